// Convolution in two dimensions (a correlation, as is usual in deep learning), stride 1, zero padding that keeps the
// size:
//   y(b,r,p,k) = bias(k) + sum_{c,i,j} x(b, r+i-h, p+j-h, c) w(k,c,i,j),   h = R/2
//   dx(b,r,p,c) = sum_{k,i,j} dy(b, r-i+h, p-j+h, k) w(k,c,i,j)            (w flipped and transposed)
//   dw(k,c,i,j) = sum_{b,r,p} dy(b,r,p,k) x(b, r+i-h, p+j-h, c),           dbias(k) = sum_{b,r,p} dy(b,r,p,k)
// x (B,H,W,C), w (K,C,R,R), bias (K) or undefined -> y (B,H,W,K). If x is bf16, w and bias are f32.
//
// Saved: x, or how to compute it, and w; on CUDA w in cuDNN's layout. Forward takes 2 R^2 B H W C K FLOPs, reads x, w
// and bias and writes y. Backward takes as many FLOPs for each of dx and dw. For dx it reads dy and w, for dw dy and x.
#include "core/autograd.h"
#include "kernels/common/numerics.h"
#include "kernels/common/op_helpers.h"
#include "kernels/cpu/convolution.h"
#include "kernels/cuda/convolution.h"
#include "kernels/ops.h"

namespace gt {
namespace {

// ---- CPU ------------------------------------------------------------------------------------------------------------

namespace cpu {

/// w as conv2d_forward() and conv2d_data_gradient() take it.
Tensor conv2d_weights(const WeightsFor&, DType, const Tensor& w) { return w.detach(); }

template <class T>
void conv2d_forward(const Correlation& n, const T* x, const T* w, const T* bias, T* y) {
  const int64_t taps = n.kernel * n.kernel;
  correlate<T>(n, all_pixels(x, n.height, n.width, n.in), {w, n.in * taps, taps, n.kernel, 1}, bias,
               all_pixels(y, n.height, n.width, n.out));
}

template <class T>
void conv2d_data_gradient(const Correlation& n, const T* dy, const T* w, T* dx) {
  const int64_t taps = n.kernel * n.kernel;
  correlate<T>({n.images, n.height, n.width, n.out, n.in, n.kernel, n.numerics},
               all_pixels(dy, n.height, n.width, n.out), {w + taps - 1, taps, n.in * taps, -n.kernel, -1}, nullptr,
               all_pixels(dx, n.height, n.width, n.in));
}

/// dbias may be null.
template <class T>
void conv2d_weight_gradient(const Correlation& n, const T* dy, const T* x, T* dw, T* dbias) {
  const int64_t taps = n.kernel * n.kernel;
  correlate_weight_gradient<T>(n, all_pixels(x, n.height, n.width, n.in), all_pixels(dy, n.height, n.width, n.out),
                               {dw, n.in * taps, taps, n.kernel, 1}, dbias);
}

}  // namespace cpu

// ---- CUDA -----------------------------------------------------------------------------------------------------------

#if GT_CUDA
namespace cuda {

using namespace gpu;

Convolution convolution(const Correlation& n, DType dtype) {
  return convolution_of_conv2d({n.images, n.height, n.width, n.in}, {n.out, n.in, n.kernel, n.kernel}, dtype,
                               n.numerics);
}

Tensor conv2d_weights(const WeightsFor& n, DType dtype, const Tensor& w) {
  return packed_weights(convolution(n.correlation, dtype), w);
}

template <class S, class T = compute_t<S>>
void conv2d_forward(const Correlation& n, const S* x, const S* w, const T* bias, S* y) {
  convolve(convolution(n, dtype_of<S>()), x, w, bias, y);
}

template <class S>
void conv2d_data_gradient(const Correlation& n, const S* dy, const S* w, S* dx) {
  convolve_data_gradient(convolution(n, dtype_of<S>()), dy, w, dx);
}

template <class S, class T = compute_t<S>>
void conv2d_weight_gradient(const Correlation& n, const S* dy, const S* x, T* dw, T* dbias) {
  convolve_weight_gradient(convolution(n, dtype_of<S>()), x, dy, dw);
  if (dbias != nullptr) bias_gradient(n.images * n.height * n.width, n.out, dy, dbias);
}

}  // namespace cuda
#endif
}  // namespace

// ---- The op ---------------------------------------------------------------------------------------------------------

Tensor conv2d(const Tensor& x, const Tensor& w, const Tensor& bias, const Numerics& numerics) {
  GT_CHECK(x.rank() == 4 && w.rank() == 4 && w.dim(1) == x.dim(3) && w.dim(2) == w.dim(3) &&
               (w.dim(2) == 1 || w.dim(2) == 3) && x.size() > 0 && w.size() > 0,
           "conv2d: expected x (B,H,W,C) and w (K,C,R,R) with R 1 or 3, none empty, got x ", x.shape(), " and w ",
           w.shape());
  const Correlation n{x.dim(0), x.dim(1), x.dim(2), x.dim(3), w.dim(0), w.dim(2), numerics};
  check_weights("conv2d", x, w, bias, n.out);
  Tensor y({n.images, n.height, n.width, n.out}, x.dtype(), x.device());
  const Tensor weights = GT_DISPATCH(x.device(), conv2d_weights, WeightsFor{n}, x.dtype(), w);
  visit_activation(x.dtype(), [&]<class S>() {
    GT_DISPATCH_ACTIVATION(S, x.device(), conv2d_forward, n, operand<S>(x), operand<S>(weights),
                           operand_or_null<compute_t<S>>(bias), operand<S>(y));
  });
  const bool x_needs = x.requires_grad(), w_needs = w.requires_grad(), bias_needs = bias.requires_grad();
  return record("conv2d", y, {x, w, bias}, [=, x = Saved(x), w = w.detach()](const Tensor& dy) -> Tensors {
    Tensor dw = empty_gradient(w, w_needs || bias_needs), dx;
    Tensor dbias = bias_needs ? Tensor({n.out}, w.dtype(), w.device()) : Tensor{};
    visit_activation(dy.dtype(), [&]<class S>() {
      using T = compute_t<S>;
      if (dw.defined())
        GT_DISPATCH_ACTIVATION(S, dy.device(), conv2d_weight_gradient, n, operand<S>(dy), operand<S>(x.get()),
                               operand<T>(dw), operand_or_null<T>(dbias));
      if (!x_needs) return;
      dx = Tensor(x.shape(), x.dtype(), x.device());
      GT_DISPATCH_ACTIVATION(S, dy.device(), conv2d_data_gradient, n, operand<S>(dy), operand<S>(weights),
                             operand<S>(dx));
    });
    return {dx, dw, dbias};
  });
}

}  // namespace gt
