// Correlation of images with small kernels on the CPU, which conv2d, conv_transpose2x2 and their gradients share.
// Images and weights are strided views, so that flipped or transposed weights and every second pixel of an image need
// no copy.
#pragma once

#include <limits>
#include <string>

#include "core/tensor.h"
#include "kernels/common/numerics.h"
#include "kernels/common/op_helpers.h"

namespace gt {

/// A correlation of x, `in` channels, with kernels R x R, R = 1 or 3, to y, `out` channels. x and y have
/// images x height x width pixels.
struct Correlation {
  int64_t images, height, width, in, out, kernel;
  Numerics numerics{};

  /// Of the correlation, and of each of its two gradients.
  double flops() const { return 2.0 * double(images * height * width) * double(in * out * kernel * kernel); }
  std::string label() const {
    return str_cat(images, "x", height, "x", width, " ", in, ">", out, " ", kernel, "x", kernel);
  }
};

/// The correlation that weights are laid out for. A profile labels that with the correlation, without its FLOPs.
struct WeightsFor {
  Correlation correlation;
  std::string label() const { return correlation.label(); }
};

/// A view of an image tensor. Pixel (b, r, p) starts at data + b * image + r * row + p * pixel. Its channels are
/// contiguous in parts of `part` channels, at distances of next_part.
template <class T>
struct PixelView {
  T* data;
  int64_t image, row, pixel;
  int64_t part = std::numeric_limits<int64_t>::max(), next_part = 0;

  int64_t channel(int64_t c) const { return c / part * next_part + c % part; }
  /// Whether channels [c, c + count) are contiguous.
  bool together(int64_t c, int64_t count) const { return c % part + count <= part; }
  /// A view of the channels from c on, as far as they are contiguous.
  PixelView from_channel(int64_t c) const { return {data + channel(c), image, row, pixel}; }
  T* at(int64_t b, int64_t r, int64_t p) const { return data + b * image + r * row + p * pixel; }
};

/// A view of all of an image tensor (B,H,W,C).
template <class T>
PixelView<T> all_pixels(T* data, int64_t height, int64_t width, int64_t channels) {
  return {data, height * width * channels, width * channels, channels};
}

/// A view of weights. That of output channel k, input channel c, kernel row i and column j is at
/// data + k * out + c * in + i * row + j * column. Strides may be negative.
template <class T>
struct WeightView {
  T* data;
  int64_t out, in, row, column;
};

/// y(b,r,p,k) = bias[k] + sum over c, i, j of x(b, r+i-h, p+j-h, c) w(k,c,i,j), with h = R/2 and x = 0 outside the
/// image. bias (K) may be null.
template <class T>
void correlate(const Correlation& n, const PixelView<const T>& x, const WeightView<const T>& w, const T* bias,
               const PixelView<T>& y);

/// The weight gradient of correlate(): dw(k,c,i,j) = sum over b, r, p of dy(b,r,p,k) x(b, r+i-h, p+j-h, c), and
/// dbias[k] = sum over b, r, p of dy(b,r,p,k) unless dbias is null.
template <class T>
void correlate_weight_gradient(const Correlation& n, const PixelView<const T>& x, const PixelView<const T>& dy,
                               const WeightView<T>& dw, T* dbias);

/// Throws Error, naming `op`, unless w and bias (out), which may be undefined, have the compute dtype of x and its
/// device.
inline void check_weights(const char* op, const Tensor& x, const Tensor& w, const Tensor& bias, int64_t out) {
  const DType compute = compute_dtype(x.dtype());
  GT_CHECK(w.dtype() == compute && w.device() == x.device(), op, ": x is ", x.dtype(), " on ", x.device(), ", w ",
           w.dtype(), " on ", w.device(), ", expected ", compute, " on ", x.device());
  if (!bias.defined()) return;
  GT_CHECK(bias.shape() == Shape{out} && bias.dtype() == compute && bias.device() == x.device(), op,
           ": expected a bias ", compute, Shape{out}, " on ", x.device(), ", got ", bias.dtype(), bias.shape(), " on ",
           bias.device());
}

}  // namespace gt
