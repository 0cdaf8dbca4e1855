// Transposed convolution, kernel 2, stride 2: every input pixel makes a block of 2 x 2 output pixels.
//   y(b,2r+i,2p+j,k) = bias(k) + sum_c x(b,r,p,c) w(c,k,i,j)
//   dx(b,r,p,c) = sum_{k,i,j} dy(b,2r+i,2p+j,k) w(c,k,i,j)
//   dw(c,k,i,j) = sum_{b,r,p} x(b,r,p,c) dy(b,2r+i,2p+j,k),   dbias(k) = sum of dy(..,k)
// x (B,H,W,C), w (C,K,2,2), bias (K) or undefined -> y (B,2H,2W,K). If x is bf16, w and bias are f32.
// Seen as H x W pixels of 4K channels (i,j,k), in two parts one row apart, y is a 1 x 1 convolution of x.
//
// Saved: x and w, both alive anyway; on CUDA w in cuDNN's layout. Forward takes 8 B H W C K FLOPs, reads x, w and bias
// and writes y. Backward takes as many FLOPs for each of dx and dw. For dx it reads dy and w, for dw dy and x.
#include <vector>

#include "core/autograd.h"
#include "core/parallel.h"
#include "kernels/common/numerics.h"
#include "kernels/common/op_helpers.h"
#include "kernels/cpu/convolution.h"
#include "kernels/cuda/convolution.h"
#include "kernels/ops.h"

namespace gt {
namespace {

// ---- CPU ------------------------------------------------------------------------------------------------------------

namespace cpu {

/// The large image (B,2H,2W,K) seen as H x W pixels of 4K channels (i,j,k).
template <class T>
PixelView<T> blocks_of_pixels(T* large, const Correlation& n) {
  const int64_t part = n.out / 2, row = n.width * part;
  return {large, 2 * n.height * row, 2 * row, part, part, row};
}

/// f(s, t) for each weight, with index s in the weights of the 1 x 1 convolution, [c][i][j][k], and t in w,
/// [c][k][i][j].
template <class F>
void for_weights(const Correlation& n, F&& f) {
  const int64_t outputs = n.out / 4;
  parallel_for(n.in, 1 + (1 << 14) / n.out, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c)
      for (int64_t ij = 0; ij < 4; ++ij)
        for (int64_t k = 0; k < outputs; ++k) f((c * 4 + ij) * outputs + k, (c * outputs + k) * 4 + ij);
  });
}

/// w as conv_transpose2x2_forward() and conv_transpose2x2_data_gradient() take it.
Tensor conv_transpose2x2_weights(const WeightsFor&, DType, const Tensor& w) { return w.detach(); }

template <class T>
void conv_transpose2x2_forward(const Correlation& n, const T* x, const T* w, const T* bias, T* y) {
  Tensor weights({n.in, n.out}, dtype_of<T>());
  for_weights(n, [to = weights.data<T>(), w](int64_t s, int64_t t) { to[s] = w[t]; });
  std::vector<T> repeated;
  for (int ij = 0; ij < 4 && bias != nullptr; ++ij) repeated.insert(repeated.end(), bias, bias + n.out / 4);
  correlate<T>(n, all_pixels(x, n.height, n.width, n.in), {weights.data<T>(), 1, n.out, 0, 0},
               bias == nullptr ? nullptr : repeated.data(), blocks_of_pixels(y, n));
}

template <class T>
void conv_transpose2x2_data_gradient(const Correlation& n, const T* dy, const T* w, T* dx) {
  Tensor weights({n.in, n.out}, dtype_of<T>());
  for_weights(n, [to = weights.data<T>(), w](int64_t s, int64_t t) { to[s] = w[t]; });
  correlate<T>({n.images, n.height, n.width, n.out, n.in, 1, n.numerics}, blocks_of_pixels(dy, n),
               {weights.data<T>(), n.out, 1, 0, 0}, nullptr, all_pixels(dx, n.height, n.width, n.in));
}

/// dbias may be null.
template <class T>
void conv_transpose2x2_weight_gradient(const Correlation& n, const T* dy, const T* x, T* dw, T* dbias) {
  Tensor weights({n.in, n.out}, dtype_of<T>());
  std::vector<T> sums(size_t(n.out));  // [i][j][k]
  correlate_weight_gradient<T>(n, all_pixels(x, n.height, n.width, n.in), blocks_of_pixels(dy, n),
                               {weights.data<T>(), 1, n.out, 0, 0}, sums.data());
  for_weights(n, [from = weights.data<T>(), dw](int64_t s, int64_t t) { dw[t] = from[s]; });
  for (int64_t k = 0, outputs = n.out / 4; k < outputs && dbias != nullptr; ++k)
    dbias[k] =
        sums[size_t(k)] + sums[size_t(k + outputs)] + sums[size_t(k + 2 * outputs)] + sums[size_t(k + 3 * outputs)];
}

}  // namespace cpu

// ---- CUDA -----------------------------------------------------------------------------------------------------------

#if GT_CUDA
namespace cuda {

using namespace gpu;

Convolution convolution(const Correlation& n, DType dtype) {
  return convolution_of_transpose({n.images, n.height, n.width, n.in}, {n.in, n.out / 4, 2, 2}, dtype, n.numerics);
}

Tensor conv_transpose2x2_weights(const WeightsFor& n, DType dtype, const Tensor& w) {
  return packed_weights(convolution(n.correlation, dtype), w);
}

template <class S, class T = compute_t<S>>
void conv_transpose2x2_forward(const Correlation& n, const S* x, const S* w, const T* bias, S* y) {
  convolve_data_gradient(convolution(n, dtype_of<S>()), x, w, y);
  if (bias != nullptr) add_bias(4 * n.images * n.height * n.width, n.out / 4, bias, y);
}

template <class S>
void conv_transpose2x2_data_gradient(const Correlation& n, const S* dy, const S* w, S* dx) {
  const compute_t<S>* no_bias = nullptr;
  convolve(convolution(n, dtype_of<S>()), dy, w, no_bias, dx);
}

template <class S, class T = compute_t<S>>
void conv_transpose2x2_weight_gradient(const Correlation& n, const S* dy, const S* x, T* dw, T* dbias) {
  convolve_weight_gradient(convolution(n, dtype_of<S>()), dy, x, dw);
  if (dbias != nullptr) bias_gradient(4 * n.images * n.height * n.width, n.out / 4, dy, dbias);
}

}  // namespace cuda
#endif
}  // namespace

// ---- The op ---------------------------------------------------------------------------------------------------------

Tensor conv_transpose2x2(const Tensor& x, const Tensor& w, const Tensor& bias, const Numerics& numerics) {
  GT_CHECK(x.rank() == 4 && w.rank() == 4 && w.dim(0) == x.dim(3) && w.dim(2) == 2 && w.dim(3) == 2 && x.size() > 0 &&
               w.size() > 0,
           "conv_transpose2x2: expected x (B,H,W,C) and w (C,K,2,2), none empty, got x ", x.shape(), " and w ",
           w.shape());
  const Correlation n{x.dim(0), x.dim(1), x.dim(2), x.dim(3), 4 * w.dim(1), 1, numerics};
  check_weights("conv_transpose2x2", x, w, bias, w.dim(1));
  Tensor y({n.images, 2 * n.height, 2 * n.width, w.dim(1)}, x.dtype(), x.device());
  const Tensor weights = GT_DISPATCH(x.device(), conv_transpose2x2_weights, WeightsFor{n}, x.dtype(), w);
  visit_activation(x.dtype(), [&]<class S>() {
    GT_DISPATCH_ACTIVATION(S, x.device(), conv_transpose2x2_forward, n, operand<S>(x), operand<S>(weights),
                           operand_or_null<compute_t<S>>(bias), operand<S>(y));
  });
  const bool x_needs = x.requires_grad(), w_needs = w.requires_grad(), bias_needs = bias.requires_grad();
  return record("conv_transpose2x2", y, {x, w, bias}, [=, x = Saved(x), w = w.detach()](const Tensor& dy) -> Tensors {
    Tensor dw = empty_gradient(w, w_needs || bias_needs), dx;
    Tensor dbias = bias_needs ? Tensor({w.dim(1)}, w.dtype(), w.device()) : Tensor{};
    visit_activation(dy.dtype(), [&]<class S>() {
      using T = compute_t<S>;
      if (dw.defined())
        GT_DISPATCH_ACTIVATION(S, dy.device(), conv_transpose2x2_weight_gradient, n, operand<S>(dy),
                               operand<S>(x.get()), operand<T>(dw), operand_or_null<T>(dbias));
      if (!x_needs) return;
      dx = Tensor(x.shape(), x.dtype(), x.device());
      GT_DISPATCH_ACTIVATION(S, dy.device(), conv_transpose2x2_data_gradient, n, operand<S>(dy), operand<S>(weights),
                             operand<S>(dx));
    });
    return {dx, dw, dbias};
  });
}

}  // namespace gt
