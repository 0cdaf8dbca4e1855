// Convolution on CUDA, which conv2d, conv_transpose2x2 and their gradients share. f32 and bf16 go to cuDNN, which takes
// weights (K,R,R,C), except 1 x 1 convolutions to one channel. f64, which cuDNN lacks, has plain kernels for gradient
// checks. S is the activation dtype of x and y, T the compute dtype of weights, biases and their gradients.
#pragma once

#if GT_CUDA

#include "kernels/common/numerics.h"
#include "kernels/libraries/cudnn.h"

namespace gt::gpu {

using cudnn::Convolution;

/// The convolution of conv2d: x (B,H,W,C), w (K,C,R,R). TF32 is for f32 only.
inline Convolution convolution_of_conv2d(const Shape& x, const Shape& w, DType dtype, const Numerics& numerics) {
  const bool tf32 = numerics.tf32 && dtype == DType::f32;
  return {x[0], x[1], x[2], w[1], w[0], w[2], w[2] / 2, 1, dtype, tf32, numerics.cudnn_workspace};
}

/// The convolution of stride 2 whose data gradient is conv_transpose2x2: x (B,H,W,C), w (C,K,2,2), which is also that
/// convolution's w. The gradient of conv_transpose2x2 for x is that convolution.
inline Convolution convolution_of_transpose(const Shape& x, const Shape& w, DType dtype, const Numerics& numerics) {
  const bool tf32 = numerics.tf32 && dtype == DType::f32;
  return {x[0], 2 * x[1], 2 * x[2], w[1], w[0], 2, 0, 2, dtype, tf32, numerics.cudnn_workspace};
}

/// Whether a convolution is 1 x 1 to one channel, which is computed without cuDNN (convolution_to_one.cuh).
inline bool is_to_one(const Convolution& n) { return n.kernel == 1 && n.out == 1 && n.stride == 1; }

/// w (K,C,R,R) in the layout of the functions below: (K,R,R,C) in the activation dtype, or w itself for f64 and
/// wherever that is the same.
Tensor packed_weights(const Convolution& n, const Tensor& w);

/// y = x * w + bias; w packed, bias (K) or null. This function and the two gradients throw Error for cuDNN's
/// convolutions with more than 2^31 - 1 elements in x or y.
template <class S, class T>
void convolve(const Convolution& n, const S* x, const S* w, const T* bias, S* y);

/// dx, the gradient of convolve() for x; w packed.
template <class S>
void convolve_data_gradient(const Convolution& n, const S* dy, const S* w, S* dx);

/// dw (K,C,R,R), the gradient of convolve() for w.
template <class S, class T>
void convolve_weight_gradient(const Convolution& n, const S* x, const S* dy, T* dw);

/// y (P,C) += bias (C).
template <class S, class T>
void add_bias(int64_t pixels, int64_t channels, const T* bias, S* y);

/// dbias (C) = the sum of dy (P,C) over the pixels, in double.
template <class S, class T>
void bias_gradient(int64_t pixels, int64_t channels, const S* dy, T* dbias);

}  // namespace gt::gpu

#endif
