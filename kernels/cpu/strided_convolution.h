// Convolutions of any odd kernel and any stride on the CPU, as matrix products of patches (im2col). They are for the
// few layers of an encoder that the direct and Winograd convolutions of convolution.h do not compute. Weights are
// (K,R,R,C).
#pragma once

#include <cstdint>
#include <string>

#include "core/check.h"
#include "kernels/common/numerics.h"

namespace gt {

/// A convolution of x (B,height,width,in) with kernels R x R, R odd, and zero padding R/2 on all sides -> y
/// (B,out_height,out_width,out). Pixel (r,p) of y is centred on pixel (stride r, stride p) of x.
struct StridedConvolution {
  int64_t images, height, width, in, out, kernel, stride;
  Numerics numerics{};

  int64_t out_height() const { return (height - 1) / stride + 1; }
  int64_t out_width() const { return (width - 1) / stride + 1; }
  int64_t out_pixels() const { return out_height() * out_width(); }  ///< of an image
  int64_t patch() const { return kernel * kernel * in; }             ///< values of x that a pixel of y depends on
  /// Of the convolution, and of each of its two gradients.
  double flops() const { return 2.0 * double(images * out_pixels()) * double(patch() * out); }
  std::string label() const {
    return str_cat(images, "x", height, "x", width, " ", in, ">", out, " ", kernel, "x", kernel, "/", stride);
  }
};

/// y = x * w + bias; bias (K) may be null.
template <class T>
void convolve_patches(const StridedConvolution& n, const T* x, const T* w, const T* bias, T* y);

/// dx, the gradient for x.
template <class T>
void convolve_patches_data_gradient(const StridedConvolution& n, const T* dy, const T* w, T* dx);

/// dw (K,R,R,C), the gradient for w.
template <class T>
void convolve_patches_weight_gradient(const StridedConvolution& n, const T* x, const T* dy, T* dw);

}  // namespace gt
