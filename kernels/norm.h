// Maths of the normalisations, for the CPU (norm.cu) and CUDA (norm_cuda.cu).
//
// x (B,H,W,C) has G groups of consecutive channels. A group of an image has n = H W C / G elements; mu and v are the
// mean and the variance (over n) of x + bias there.
//
//   xhat = (x + bias - mu) r,  r = (v + eps)^-1/2      z = gamma xhat + beta      y = z > 0 ? z : slope z
//
// Backward, with dz = dy (z > 0 ? 1 : slope):
//
//   dbeta = sum dz      dgamma = sum dz xhat      dbias = sum dx      (over B, H, W)
//   dx = r (gamma dz - mean(gamma dz) - xhat mean(gamma dz xhat))     (means over the group)
//
// In a channel of an image, z is an affine function of x, and dx is gamma r dz plus another one. So a pass takes one or
// two multiply-adds an element. The bias only shifts a channel's mean, and its gradient follows from the channel's sums
// of x and dz, so both cost nothing. Behind a convolution the gradient would take another pass over dx. Sums are in
// double, so that E[x^2] - E[x]^2 loses no digits that matter. Where a few terms are added in f32, they are those of
// x - x0, with x0 a value of the channel.
#pragma once

#include <cmath>

#include "core/tensor.h"
#include "kernels/common/image_shape.h"
#include "kernels/common/math.h"

namespace gt::norm {

struct Norm {
  ImageShape shape;
  int64_t groups;
  double eps, slope;

  GT_HD int64_t group_channels() const { return shape.channels / groups; }
  GT_HD int64_t group_of(int64_t channel) const { return int64_t(unsigned(channel) / unsigned(group_channels())); }
  GT_HD double group_size() const { return double(shape.pixels * group_channels()); }
};

/// Sums of some values and of their squares.
struct Moments {
  double sum = 0, squares = 0;

  /// The moments of the n values plus `offset`.
  GT_HD Moments plus(double offset, double n) const {
    return {sum + n * offset, squares + offset * (2 * sum + n * offset)};
  }
  GT_HD void operator+=(const Moments& other) { sum += other.sum, squares += other.squares; }
};

/// Mean and 1 / sqrt(variance + eps): of a group of x + bias, or of x in one of its channels.
struct Statistics {
  double mean, rstd;

  /// Of the values less `offset`.
  GT_HD Statistics less(double offset) const { return {mean - offset, rstd}; }
};

/// From the moments of n values.
GT_HD inline Statistics statistics(const Moments& m, double n, double eps) {
  const double mean = m.sum / n, variance = m.squares / n - mean * mean;
  return {mean, 1 / std::sqrt((variance > 0 ? variance : 0) + eps)};
}

/// x -> scale x + shift.
template <class T>
struct Affine {
  T scale, shift;
  GT_HD T operator()(T x) const { return scale * x + shift; }
};

// Statistics in the functions below are those of a channel.

/// z as a function of x.
GT_HD inline Affine<double> normalization(const Statistics& s, double gamma, double beta) {
  const double scale = s.rstd * gamma;
  return {scale, beta - s.mean * scale};
}

/// y from z.
template <class T>
GT_HD inline T activate(T z, T slope) {
  return z * math::leak(z, slope);
}

/// dz from dy.
template <class T>
GT_HD inline T activation_gradient(T dy, T z, T slope) {
  return dy * math::leak(z, slope);
}

/// dx from dz and the value at x of gradient_affine().
template <class T>
GT_HD inline T input_gradient(T gamma_r, T dz, T affine) {
  return gamma_r * dz + affine;
}

/// sum dz xhat from the sums of dz x and dz.
GT_HD inline double sum_with_xhat(const Statistics& s, double dz_x, double dz) { return s.rstd * (dz_x - s.mean * dz); }

/// A group's means of gamma dz and of gamma dz xhat.
struct GradientMeans {
  double dz = 0, dz_xhat = 0;

  GT_HD void operator+=(const GradientMeans& other) { dz += other.dz, dz_xhat += other.dz_xhat; }
};

/// dx - gamma r dz as a function of x.
GT_HD inline Affine<double> gradient_affine(const Statistics& s, const GradientMeans& means) {
  const double scale = -s.rstd * s.rstd * means.dz_xhat;
  return {scale, -s.rstd * means.dz - s.mean * scale};
}

/// sum dx over n elements of a channel, from their sums of dz and x.
GT_HD inline double sum_of_gradients(double gamma_r, double dz, const Affine<double>& affine, double x, double n) {
  return gamma_r * dz + affine.scale * x + affine.shift * n;
}

/// The inputs of a norm and what it saves for backward. S is the type of x, y and their gradients.
template <class S, class T = compute_t<S>>
struct NormInputs {
  Norm norm;
  const S* x;          // (B,P,C)
  const T* bias;       // (C) or null
  const T* gamma;      // (C)
  const T* beta;       // (C)
  Statistics* stats;   // (B,G)
  double* sums;        // (B,C), of x; on the CPU
  Affine<T>* affines;  // (B,C), z as a function of x; on CUDA

  GT_HD double bias_of(int64_t c) const { return bias == nullptr ? 0 : double(bias[c]); }
  /// Index of channel c's group in (B,G).
  GT_HD int64_t group(int64_t image, int64_t c) const { return image * norm.groups + norm.group_of(c); }
  GT_HD Statistics channel(int64_t image, int64_t c) const { return stats[group(image, c)].less(bias_of(c)); }
  /// z as a function of x in channel c, from the statistics of its group.
  GT_HD Affine<double> affine(const Statistics& of_group, int64_t c) const {
    return normalization(of_group.less(bias_of(c)), double(gamma[c]), double(beta[c]));
  }
  GT_HD Affine<double> affine(int64_t image, int64_t c) const { return affine(stats[group(image, c)], c); }
  /// What channel c adds to its group's means, from the channel's sums of dz and dz xhat.
  GT_HD GradientMeans mean_terms(int64_t c, double dz, double dz_xhat) const {
    return {double(gamma[c]) * dz / norm.group_size(), double(gamma[c]) * dz_xhat / norm.group_size()};
  }
};

/// The gradients to write: dx (B,P,C), the others (C). dx and dbias are null where not needed.
template <class S, class T = compute_t<S>>
struct NormGradients {
  S* dx;
  T *dbias, *dgamma, *dbeta;
};

/// An affine function for each channel of every image, (B,C,2), not initialised.
inline Tensor empty_affines(const ImageShape& shape, DType dtype, Device device) {
  return Tensor({shape.images, shape.channels, 2}, dtype, device);
}

#if GT_CUDA
namespace cuda {

/// Writes the statistics, the affine functions and y.
template <class S>
void norm_forward(const NormInputs<S>& in, S* y);

template <class S>
void norm_backward(const NormInputs<S>& in, const S* dy, const NormGradients<S>& g);

}  // namespace cuda
#endif

}  // namespace gt::norm
