// Convolution in two dimensions with a stride s, and zero padding of half the kernel, h = (R-1)/2:
//   y(b,r,p,k) = bias(k) + sum_{c,i,j} x(b, s r + i - h, s p + j - h, c) w(k,c,i,j)
//   dx(b,u,v,c) = sum_{k,i,j} dy(b, (u + h - i)/s, (v + h - j)/s, k) w(k,c,i,j), where the quotients are whole
//   dw(k,c,i,j) = sum_{b,r,p} dy(b,r,p,k) x(b, s r + i - h, s p + j - h, c),     dbias(k) = sum_{b,r,p} dy(b,r,p,k)
// x (B,H,W,C), w (K,C,R,R), bias (K) or undefined -> y (B, ceil(H/s), ceil(W/s), K). If x is bf16, w and bias are f32.
//
// Saved: x and w, both alive anyway, and w as (K,R,R,C). With P pixels of y, forward takes 2 P R^2 C K FLOPs, reads x,
// w and bias and writes y. Backward takes as many FLOPs for each of dx and dw. The CPU also writes and reads the
// patches of one image at a time, P R^2 C / B values a pass. It is correct first: encoders have few such layers.
#include "core/autograd.h"
#include "core/parallel.h"
#include "kernels/common/op_helpers.h"
#include "kernels/cpu/convolution.h"
#include "kernels/cpu/image_loops.h"
#include "kernels/cpu/strided_convolution.h"
#include "kernels/cuda/convolution.h"
#include "kernels/ops.h"

namespace gt {
namespace {

/// A convolution whose weights are laid out. A profile labels that with it, without its FLOPs.
struct WeightsOf {
  StridedConvolution convolution;
  std::string label() const { return convolution.label(); }
};

// ---- CPU ------------------------------------------------------------------------------------------------------------

namespace cpu {

/// to (K,R,R,C) = from (K,C,R,R), or the inverse.
template <bool to_channels_last, class T>
void reorder_weights(const StridedConvolution& n, const T* from, T* to) {
  const int64_t taps = n.kernel * n.kernel;
  parallel_for(n.out, 1, [=](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k)
      for (int64_t c = 0; c < n.in; ++c)
        for (int64_t t = 0; t < taps; ++t) {
          const int64_t by_tap = (k * taps + t) * n.in + c, by_channel = (k * n.in + c) * taps + t;
          to[to_channels_last ? by_tap : by_channel] = from[to_channels_last ? by_channel : by_tap];
        }
  });
}

Tensor conv2d_strided_weights(const WeightsOf& n, DType, const Tensor& w) {
  Tensor packed(w.shape(), w.dtype());
  visit_float(w.dtype(), [&]<class T>() { reorder_weights<true>(n.convolution, w.data<T>(), packed.data<T>()); });
  return packed;
}

template <class T>
void conv2d_strided_forward(const StridedConvolution& n, const T* x, const T* w, const T* bias, T* y) {
  convolve_patches(n, x, w, bias, y);
}

template <class T>
void conv2d_strided_data_gradient(const StridedConvolution& n, const T* dy, const T* w, T* dx) {
  convolve_patches_data_gradient(n, dy, w, dx);
}

/// dbias may be null.
template <class T>
void conv2d_strided_weight_gradient(const StridedConvolution& n, const T* dy, const T* x, T* dw, T* dbias) {
  const Tensor packed({n.out, n.patch()}, dtype_of<T>());
  convolve_patches_weight_gradient(n, x, dy, packed.data<T>());
  reorder_weights<false>(n, packed.data<T>(), dw);
  if (dbias == nullptr) return;
  const std::vector<double> sums = reduce_pixels<1>(ImageShape{1, n.images * n.out_pixels(), n.out}, [=](int64_t) {
    return [=](int64_t i, int64_t) { return std::array{double(dy[i])}; };
  });
  std::copy(sums.begin(), sums.end(), dbias);
}

}  // namespace cpu

// ---- CUDA -----------------------------------------------------------------------------------------------------------

#if GT_CUDA
namespace cuda {

using namespace gpu;

Convolution convolution(const StridedConvolution& n, DType dtype) {
  Convolution c =
      convolution_of_conv2d({n.images, n.height, n.width, n.in}, {n.out, n.in, n.kernel, n.kernel}, dtype, n.numerics);
  c.stride = n.stride;
  return c;
}

Tensor conv2d_strided_weights(const WeightsOf& n, DType dtype, const Tensor& w) {
  return packed_weights(convolution(n.convolution, dtype), w);
}

template <class S, class T = compute_t<S>>
void conv2d_strided_forward(const StridedConvolution& n, const S* x, const S* w, const T* bias, S* y) {
  convolve(convolution(n, dtype_of<S>()), x, w, bias, y);
}

template <class S>
void conv2d_strided_data_gradient(const StridedConvolution& n, const S* dy, const S* w, S* dx) {
  convolve_data_gradient(convolution(n, dtype_of<S>()), dy, w, dx);
}

template <class S, class T = compute_t<S>>
void conv2d_strided_weight_gradient(const StridedConvolution& n, const S* dy, const S* x, T* dw, T* dbias) {
  convolve_weight_gradient(convolution(n, dtype_of<S>()), x, dy, dw);
  if (dbias != nullptr) bias_gradient(n.images * n.out_pixels(), n.out, dy, dbias);
}

}  // namespace cuda
#endif
}  // namespace

// ---- The op ---------------------------------------------------------------------------------------------------------

Tensor conv2d_strided(const Tensor& x, const Tensor& w, const Tensor& bias, int64_t stride, const Numerics& numerics) {
  GT_CHECK(x.rank() == 4 && w.rank() == 4 && w.dim(1) == x.dim(3) && w.dim(2) == w.dim(3) &&
               (w.dim(2) == 1 || w.dim(2) == 3 || w.dim(2) == 7) && x.size() > 0 && w.size() > 0,
           "conv2d_strided: expected x (B,H,W,C) and w (K,C,R,R) with R 1, 3 or 7, none empty, got x ", x.shape(),
           " and w ", w.shape());
  GT_CHECK(stride == 1 || stride == 2, "conv2d_strided: expected a stride of 1 or 2, got ", stride);
  const StridedConvolution n{x.dim(0), x.dim(1), x.dim(2), x.dim(3), w.dim(0), w.dim(2), stride, numerics};
  check_weights("conv2d_strided", x, w, bias, n.out);
  Tensor y({n.images, n.out_height(), n.out_width(), n.out}, x.dtype(), x.device());
  const Tensor weights = GT_DISPATCH(x.device(), conv2d_strided_weights, WeightsOf{n}, x.dtype(), w);
  visit_activation(x.dtype(), [&]<class S>() {
    GT_DISPATCH_ACTIVATION(S, x.device(), conv2d_strided_forward, n, operand<S>(x), operand<S>(weights),
                           operand_or_null<compute_t<S>>(bias), operand<S>(y));
  });
  const bool x_needs = x.requires_grad(), w_needs = w.requires_grad(), bias_needs = bias.requires_grad();
  return record({"conv2d_strided", {{"stride", double(stride)}}}, y, {x, w, bias},
                [=, x = x.detach(), w = w.detach()](const Tensor& dy) -> Tensors {
                  Tensor dx = empty_gradient(x, x_needs), dw = empty_gradient(w, w_needs || bias_needs);
                  Tensor dbias = bias_needs ? Tensor({n.out}, w.dtype(), w.device()) : Tensor{};
                  visit_activation(dy.dtype(), [&]<class S>() {
                    using T = compute_t<S>;
                    if (dx.defined())
                      GT_DISPATCH_ACTIVATION(S, dy.device(), conv2d_strided_data_gradient, n, operand<S>(dy),
                                             operand<S>(weights), operand<S>(dx));
                    if (dw.defined())
                      GT_DISPATCH_ACTIVATION(S, dy.device(), conv2d_strided_weight_gradient, n, operand<S>(dy),
                                             operand<S>(x), operand<T>(dw), operand_or_null<T>(dbias));
                  });
                  return {dx, dw, dbias};
                });
}

}  // namespace gt
