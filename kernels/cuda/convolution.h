// Convolution on the device: what conv2d, conv_transpose2x2 and all their gradients have in common. f32 and bf16 are
// cuDNN's, which wants weights (K,R,R,C), but for 1x1 to one channel; f64, which it does not have, is done by plain
// kernels, for gradient checks. S is the type of x and y; weights, biases and their gradients are f32 where that is
// bf16.
#pragma once

#if GT_CUDA

#include "kernels/libraries/cudnn.h"

namespace gt::gpu {

using cudnn::Convolution;

/// The convolution that conv2d is: x (B,H,W,C), w (K,C,R,R). Rounded to TF32 only if f32.
inline Convolution convolution_of_conv2d(const Shape& x, const Shape& w, DType dtype, bool tf32) {
  return {x[0], x[1], x[2], w[1], w[0], w[2], w[2] / 2, 1, dtype, tf32 && dtype == DType::f32};
}

/// The convolution of stride 2 whose data gradient conv_transpose2x2 is: x (B,H,W,C), w (C,K,2,2), which is that
/// convolution's w as it stands. The gradient for x is that convolution itself.
inline Convolution convolution_of_transpose(const Shape& x, const Shape& w, DType dtype, bool tf32) {
  return {x[0], 2 * x[1], 2 * x[2], w[1], w[0], 2, 0, 2, dtype, tf32 && dtype == DType::f32};
}

/// Whether it is 1x1 to one channel, which is done without cuDNN (convolution_to_one.cuh).
inline bool is_to_one(const Convolution& n) { return n.kernel == 1 && n.out == 1 && n.stride == 1; }

/// w (K,C,R,R) as the functions below take it, w itself where it can be: (K,R,R,C) in n's type, of f64 (K,C,R,R).
Tensor arranged_weights(const Convolution& n, const Tensor& w);

/// y = x * w + bias; w arranged, bias (K) or null.
template <class S, class T>
void convolve(const Convolution& n, const S* x, const S* w, const T* bias, S* y);

/// dx, the gradient of convolve() for x; w arranged.
template <class S>
void convolve_data_gradient(const Convolution& n, const S* dy, const S* w, S* dx);

/// dw (K,C,R,R), the gradient of convolve() for w.
template <class S, class T>
void convolve_weight_gradient(const Convolution& n, const S* x, const S* dy, T* dw);

/// y (P,C) += bias (C).
template <class S, class T>
void add_bias(int64_t pixels, int64_t channels, const T* bias, S* y);

/// sums (C) = the sum of x (P,C) over P, in double, always in the same order.
template <class S, class T>
void bias_gradient(int64_t pixels, int64_t channels, const S* x, T* sums);

}  // namespace gt::gpu

#endif
