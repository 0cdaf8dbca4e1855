// Group normalisation (Wu and He 2018), alone and with the leaky ReLU behind it. x (B,H,W,C) in G groups of consecutive
// channels; an image's group has n = H W C / G elements, with mean mu and variance v (over n).
//
//   xhat = (x - mu) r,  r = (v + eps)^-1/2      z = gamma xhat + beta      y = z > 0 ? z : slope z
//
// group_norm is the case slope = 1. Backward, with dz = dy (z > 0 ? 1 : slope):
//
//   dbeta = sum dz      dgamma = sum dz xhat                          (over B, H, W)
//   dx = r (gamma dz - mean(gamma dz) - xhat mean(gamma dz xhat))     (means over the group)
//
// In a channel of an image z is a line in x, and so is dx beside its share of dz: every pass is a multiply-add or two.
// Sums run in double, so that taking the square of the mean off the mean of squares does no harm.
//
// Saved: x, gamma, beta, and (mu, r) per image and group; z is computed again for its sign. Per element of size s
// forward moves 3s in two passes and takes 7 FLOPs, backward moves 5s in two passes and takes 12.
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "core/parallel.h"
#include "kernels/channels.h"
#include "kernels/leaky_relu.h"
#include "kernels/op.h"
#include "kernels/ops.h"

namespace gt {
namespace {

// ---- Maths ----------------------------------------------------------------------------------------------------------

struct Norm {
  Channels shape;
  int64_t groups;
  double eps, slope;

  int64_t group_channels() const { return shape.channels / groups; }
  double group_size() const { return double(shape.pixels * group_channels()); }
};

/// Mean and 1 / sqrt(variance + eps) of a group.
struct Statistics {
  double mean, rstd;
};

GT_HD inline Statistics statistics(double sum, double sum_of_squares, double n, double eps) {
  const double mean = sum / n, variance = sum_of_squares / n - mean * mean;
  return {mean, 1 / std::sqrt((variance > 0 ? variance : 0) + eps)};
}

// ---- CPU ------------------------------------------------------------------------------------------------------------

namespace cpu {

/// For each image, and each place in a tile, the line scale x + shift of the channel there.
template <class T>
struct Lines {
  int64_t tile;
  std::vector<T> scales, shifts;  // (B,tile)

  /// line(b, c) gives {scale, shift}.
  template <class F>
  Lines(const Channels& shape, const F& line) : tile(shape.tile()) {
    for (int64_t b = 0; b < shape.images; ++b)
      for (int64_t j = 0; j < tile; ++j) {
        const auto [scale, shift] = line(b, j % shape.channels);
        scales.push_back(T(scale));
        shifts.push_back(T(shift));
      }
  }

  const T* scale(int64_t image) const { return scales.data() + image * tile; }
  const T* shift(int64_t image) const { return shifts.data() + image * tile; }
};

/// z as lines in x.
template <class T>
Lines<T> normalising_lines(const Norm& norm, const Statistics* stats, const T* gamma, const T* beta) {
  return Lines<T>(norm.shape, [=](int64_t b, int64_t c) {
    const auto [mean, rstd] = stats[b * norm.groups + c / norm.group_channels()];
    const double scale = rstd * double(gamma[c]);
    return std::pair(scale, double(beta[c]) - mean * scale);
  });
}

template <class T>
void norm_forward(const Norm& norm, const T* x, const T* gamma, const T* beta, T* y, Statistics* stats) {
  const Channels& shape = norm.shape;
  const std::vector<double> sums = channel_sums<2>(shape, [=](int64_t) {
    return [=](int64_t i, int64_t, const auto& add) {
      const double v = double(x[i]);
      add(0, v);
      add(1, v * v);
    };
  });
  for (int64_t k = 0; k < shape.images * norm.groups; ++k) {
    const int64_t first = k / norm.groups * 2 * shape.channels + k % norm.groups * norm.group_channels();
    double sum = 0, squares = 0;
    for (int64_t c = first; c < first + norm.group_channels(); ++c) {
      sum += sums[size_t(c)];
      squares += sums[size_t(shape.channels + c)];
    }
    stats[k] = statistics(sum, squares, norm.group_size(), norm.eps);
  }
  const Lines<T> z_lines = normalising_lines(norm, stats, gamma, beta);
  for_blocks(shape, [&](int64_t, int64_t image, int64_t begin, int64_t end) {
    const T *scale = z_lines.scale(image), *shift = z_lines.shift(image), slope = T(norm.slope);
    map_tiles(shape, begin, end, y, [=](int64_t i, int64_t j) {
      const T z = scale[j] * x[i] + shift[j];
      return z * leak(z, slope);
    });
  });
}

/// From the sums of dz and dz x over each channel of each image (B,2,C): dgamma, dbeta, and what dx has beside gamma r
/// dz, as lines in x.
template <class T>
Lines<T> finish_sums(const Norm& norm, const std::vector<double>& sums, const T* gamma, const Statistics* stats,
                     T* dgamma, T* dbeta) {
  const int64_t channels = norm.shape.channels;
  std::vector<double> sum_dz(norm.shape.channels, 0.0), sum_dz_xhat(sum_dz);
  std::vector<std::pair<double, double>> lines;  // (B,G)
  for (int64_t k = 0; k < norm.shape.images * norm.groups; ++k) {
    const auto [mean, rstd] = stats[k];
    const int64_t b = k / norm.groups, first = k % norm.groups * norm.group_channels();
    double mean_dz = 0, mean_dz_xhat = 0;  // of gamma dz and gamma dz xhat
    for (int64_t c = first; c < first + norm.group_channels(); ++c) {
      const double dz = sums[size_t(2 * b * channels + c)];
      const double dz_xhat = rstd * (sums[size_t((2 * b + 1) * channels + c)] - mean * dz);
      sum_dz[size_t(c)] += dz;
      sum_dz_xhat[size_t(c)] += dz_xhat;
      mean_dz += double(gamma[c]) * dz / norm.group_size();
      mean_dz_xhat += double(gamma[c]) * dz_xhat / norm.group_size();
    }
    const double scale = -rstd * rstd * mean_dz_xhat;
    lines.emplace_back(scale, -rstd * mean_dz - mean * scale);
  }
  std::copy(sum_dz.begin(), sum_dz.end(), dbeta);
  std::copy(sum_dz_xhat.begin(), sum_dz_xhat.end(), dgamma);
  return Lines<T>(norm.shape,
                  [&](int64_t b, int64_t c) { return lines[size_t(b * norm.groups + c / norm.group_channels())]; });
}

/// dx is null where nobody needs it.
template <class T>
void norm_backward(const Norm& norm, const T* x, const T* gamma, const T* beta, const Statistics* stats, const T* dy,
                   T* dx, T* dgamma, T* dbeta) {
  const Channels& shape = norm.shape;
  const Lines<T> z_lines = normalising_lines(norm, stats, gamma, beta);
  const auto dz_of = [&](int64_t image) {
    return [=, scale = z_lines.scale(image), shift = z_lines.shift(image), slope = T(norm.slope)](
               int64_t i, int64_t j) { return dy[i] * leak(scale[j] * x[i] + shift[j], slope); };
  };
  const std::vector<double> sums = channel_sums<2>(shape, [=](int64_t image) {
    return [=, dz_at = dz_of(image)](int64_t i, int64_t j, const auto& add) {
      const double dz = double(dz_at(i, j));
      add(0, dz);
      add(1, dz * double(x[i]));
    };
  });
  const Lines<T> x_lines = finish_sums(norm, sums, gamma, stats, dgamma, dbeta);
  if (dx == nullptr) return;
  for_blocks(shape, [&](int64_t, int64_t image, int64_t begin, int64_t end) {
    const T *gamma_r = z_lines.scale(image), *scale = x_lines.scale(image), *shift = x_lines.shift(image);
    map_tiles(shape, begin, end, dx, [=, dz_at = dz_of(image)](int64_t i, int64_t j) {
      return gamma_r[j] * dz_at(i, j) + (scale[j] * x[i] + shift[j]);
    });
  });
}

}  // namespace cpu

#if GT_CUDA
namespace cuda = cpu;  // its CUDA bodies are not written yet
#endif

// ---- The ops --------------------------------------------------------------------------------------------------------

Tensor normalize(const char* name, const Tensor& x, const Tensor& gamma, const Tensor& beta, int64_t groups,
                 double slope, double eps) {
  GT_CHECK(x.rank() == 4 && x.size() > 0, name, ": expected x (B,H,W,C), not empty, got ", x.shape());
  const int64_t channels = x.dim(3);
  GT_CHECK(groups > 0 && channels % groups == 0, name, ": x is ", x.shape(), ", whose ", channels,
           " channels cannot be cut into ", groups, " groups");
  for (const Tensor& p : {gamma, beta})
    GT_CHECK(p.shape() == Shape{channels} && p.dtype() == x.dtype() && p.device() == x.device(), name, ": x is ",
             x.dtype(), x.shape(), " on ", x.device(), ", so gamma and beta are expected to have shape (", channels,
             "), got ", p.dtype(), p.shape(), " on ", p.device());
  const Norm norm{{x.dim(0), x.dim(1) * x.dim(2), channels}, groups, eps, slope};
  const Tensor y(x.shape(), x.dtype(), x.device());
  const Tensor stats({x.dim(0), groups, 2}, DType::f64, x.device());
  const auto stats_of = [](const Tensor& t) { return reinterpret_cast<Statistics*>(t.data<double>()); };
  visit_float(x.dtype(), [&]<class T>() {
    GT_DISPATCH(x.device(), norm_forward, norm, x.data<T>(), gamma.data<T>(), beta.data<T>(), y.data<T>(),
                stats_of(stats));
  });
  return record(name, y, {x, gamma, beta},
                [=, x = x.detach(), gamma = gamma.detach(), beta = beta.detach(),
                 x_needs = x.requires_grad()](const Tensor& dy) -> Tensors {
                  const Tensor dx = gradient_of(x, x_needs), dgamma = gradient_of(gamma, true);
                  const Tensor dbeta = gradient_of(beta, true);
                  visit_float(x.dtype(), [&]<class T>() {
                    GT_DISPATCH(x.device(), norm_backward, norm, x.data<T>(), gamma.data<T>(), beta.data<T>(),
                                stats_of(stats), dy.data<T>(), pointer<T>(dx), dgamma.data<T>(), dbeta.data<T>());
                  });
                  return {dx, dgamma, dbeta};
                });
}

}  // namespace

Tensor group_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, int64_t groups, double eps) {
  return normalize("group_norm", x, gamma, beta, groups, 1, eps);
}

Tensor group_norm_leaky_relu(const Tensor& x, const Tensor& gamma, const Tensor& beta, int64_t groups, double slope,
                             double eps) {
  return normalize("group_norm_leaky_relu", x, gamma, beta, groups, slope, eps);
}

}  // namespace gt
