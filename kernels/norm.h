// What the normalisations compute, for both their bodies (norm.cu, norm_cuda.cu).
//
// x (B,H,W,C) in G groups of consecutive channels; an image's group has n = H W C / G elements, with mean mu and
// variance v (over n) of x + bias.
//
//   xhat = (x + bias - mu) r,  r = (v + eps)^-1/2      z = gamma xhat + beta      y = z > 0 ? z : slope z
//
// Backward, with dz = dy (z > 0 ? 1 : slope):
//
//   dbeta = sum dz      dgamma = sum dz xhat      dbias = sum dx      (over B, H, W)
//   dx = r (gamma dz - mean(gamma dz) - xhat mean(gamma dz xhat))     (means over the group)
//
// In a channel of an image z is a line in x, and so is dx beside its share of dz: every pass is a multiply-add or two.
// The bias only moves a channel's mean, by as much as it is, and its gradient follows from the channel's sums of x and
// dz: it costs nothing here, where behind a convolution its gradient is one more pass over dx. Sums run in double, so
// that taking the square of the mean off the mean of squares does no harm.
#pragma once

#include <cmath>

#include "core/tensor.h"
#include "kernels/common/leaky_relu.h"
#include "kernels/cpu/image_loops.h"

namespace gt::norm {

struct Norm {
  ImageShape shape;
  int64_t groups;
  double eps, slope;

  GT_HD int64_t group_channels() const { return shape.channels / groups; }
  GT_HD int64_t group_of(int64_t channel) const { return int64_t(unsigned(channel) / unsigned(group_channels())); }
  GT_HD double group_size() const { return double(shape.pixels * group_channels()); }
};

/// Sums of x and x^2, or of x + bias and its squares.
struct Moments {
  double sum = 0, squares = 0;

  /// Those of the same n values and a bias.
  GT_HD Moments with_bias(double bias, double n) const {
    return {sum + n * bias, squares + bias * (2 * sum + n * bias)};
  }
  GT_HD void operator+=(const Moments& other) { sum += other.sum, squares += other.squares; }
};

/// Mean and 1 / sqrt(variance + eps) of a group of x + bias, or, in a channel, as x has them.
struct Statistics {
  double mean, rstd;

  GT_HD Statistics in_channel(double bias) const { return {mean - bias, rstd}; }
};

GT_HD inline Statistics statistics(const Moments& m, double n, double eps) {
  const double mean = m.sum / n, variance = m.squares / n - mean * mean;
  return {mean, 1 / std::sqrt((variance > 0 ? variance : 0) + eps)};
}

/// scale x + shift.
template <class T>
struct Affine {
  T scale, shift;
  GT_HD T operator()(T x) const { return scale * x + shift; }
};

// The statistics below are those in a channel.

/// z in x.
GT_HD inline Affine<double> normalising_line(const Statistics& s, double gamma, double beta) {
  const double scale = s.rstd * gamma;
  return {scale, beta - s.mean * scale};
}

template <class T>
GT_HD inline T activate(T z, T slope) {
  return z * leak(z, slope);
}

/// dz.
template <class T>
GT_HD inline T activation_gradient(T dy, T z, T slope) {
  return dy * leak(z, slope);
}

template <class T>
GT_HD inline T input_gradient(T gamma_r, T dz, T rest) {
  return gamma_r * dz + rest;
}

/// sum dz xhat from the sums of dz x and dz.
GT_HD inline double sum_with_xhat(const Statistics& s, double dz_x, double dz) { return s.rstd * (dz_x - s.mean * dz); }

/// A group's means of gamma dz and gamma dz xhat.
struct GradientMeans {
  double dz = 0, dz_xhat = 0;

  GT_HD void operator+=(const GradientMeans& other) { dz += other.dz, dz_xhat += other.dz_xhat; }
};

/// What dx has beside gamma r dz, in x.
GT_HD inline Affine<double> gradient_affine(const Statistics& s, const GradientMeans& means) {
  const double scale = -s.rstd * s.rstd * means.dz_xhat;
  return {scale, -s.rstd * means.dz - s.mean * scale};
}

/// sum dx over n values from the sums of dz and x and the line of what dx has beside gamma r dz.
GT_HD inline double sum_of_gradients(double gamma_r, double dz, const Affine<double>& rest, double x, double n) {
  return gamma_r * dz + rest.scale * x + rest.shift * n;
}

/// What goes in and what is saved of it. S is the type of x, y and their gradients.
template <class S, class T = compute_t<S>>
struct Normed {
  Norm norm;
  const S* x;         // (B,P,C)
  const T* bias;      // (C) or null
  const T* gamma;     // (C)
  const T* beta;      // (C)
  Statistics* stats;  // (B,G)
  double* sums;       // (B,C), of x; on the CPU
  Affine<T>* lines;   // (B,C), z in x; on CUDA

  GT_HD double bias_of(int64_t c) const { return bias == nullptr ? 0 : double(bias[c]); }
  GT_HD int64_t group(int64_t image, int64_t c) const { return image * norm.groups + norm.group_of(c); }
  GT_HD Statistics channel(int64_t image, int64_t c) const { return stats[group(image, c)].in_channel(bias_of(c)); }
  /// z in x, by its group's statistics.
  GT_HD Affine<double> affine_by(const Statistics& of_group, int64_t c) const {
    return normalising_line(of_group.in_channel(bias_of(c)), double(gamma[c]), double(beta[c]));
  }
  GT_HD Affine<double> line(int64_t image, int64_t c) const { return affine_by(stats[group(image, c)], c); }
  /// What sums of dz and dz xhat over a channel add to its group's means.
  GT_HD GradientMeans mean_shares(int64_t c, double dz, double dz_xhat) const {
    return {double(gamma[c]) * dz / norm.group_size(), double(gamma[c]) * dz_xhat / norm.group_size()};
  }
};

/// What is to be filled; dx and dbias are null where nobody needs them.
template <class S, class T = compute_t<S>>
struct NormGradients {
  S* dx;
  T *dbias, *dgamma, *dbeta;
};

/// SharedArena for a line in each channel of every image, (B,C,2).
inline Tensor affines_of(const ImageShape& shape, DType dtype, Device device) {
  return Tensor({shape.images, shape.channels, 2}, dtype, device);
}

template <class T>
Affine<T>* affine_pointer(const Tensor& lines) {
  return reinterpret_cast<Affine<T>*>(lines.data<T>());
}

#if GT_CUDA
namespace cuda {

/// Statistics, lines and y.
template <class S>
void norm_forward(const Normed<S>& in, S* y);

template <class S>
void norm_backward(const Normed<S>& in, const S* dy, const NormGradients<S>& g);

}  // namespace cuda
#endif

}  // namespace gt::norm
