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
//
// CUDA: x, y and their gradients may be bf16. Forward is 3 launches, backward 4 (3 without dx): partial sums of the
// channels over blocks of pixels, the groups' sums of these in block order, the second pass. Beside the passes they
// move 16 bytes per channel and block of pixels twice, some hundredths of the rest.
#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "core/launch.cuh"
#include "core/parallel.h"
#include "kernels/channels.h"
#include "kernels/leaky_relu.h"
#include "kernels/op.h"
#include "kernels/ops.h"
#include "kernels/reduce.cuh"
#include "kernels/rows.cuh"
#include "kernels/vector.cuh"

namespace gt {
namespace {

// ---- Maths ----------------------------------------------------------------------------------------------------------

struct Norm {
  Channels shape;
  int64_t groups;
  double eps, slope;

  GT_HD int64_t group_channels() const { return shape.channels / groups; }
  GT_HD double group_size() const { return double(shape.pixels * group_channels()); }
};

/// Mean and 1 / sqrt(variance + eps) of a group.
struct Statistics {
  double mean, rstd;
};

GT_HD inline Statistics statistics(double sum, double sum_of_squares, double n, double eps) {
  const double mean = sum / n, variance = sum_of_squares / n - mean * mean;
  return {mean, 1 / std::sqrt((variance > 0 ? variance : 0) + eps)};
}

/// scale x + shift.
template <class T>
struct Line {
  T scale, shift;
  GT_HD T operator()(T x) const { return scale * x + shift; }
};

/// z in x, in a channel.
GT_HD inline Line<double> normalising_line(const Statistics& s, double gamma, double beta) {
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

/// What dx has beside gamma r dz, in x, from the group's means of gamma dz and gamma dz xhat.
GT_HD inline Line<double> gradient_line(const Statistics& s, double mean_dz, double mean_dz_xhat) {
  const double scale = -s.rstd * s.rstd * mean_dz_xhat;
  return {scale, -s.rstd * mean_dz - s.mean * scale};
}

// ---- CPU ------------------------------------------------------------------------------------------------------------

namespace cpu {

/// For each of images [first, last), and each place in a tile, the line scale x + shift of the channel there.
template <class T>
struct Lines {
  int64_t first, tile;
  std::vector<T> scales, shifts;  // (last-first,tile)

  /// line(b, c) gives {scale, shift}.
  template <class F>
  Lines(const Channels& shape, int64_t first, int64_t last, const F& line) : first(first), tile(shape.tile()) {
    for (int64_t b = first; b < last; ++b)
      for (int64_t j = 0; j < tile; ++j) {
        const auto [scale, shift] = line(b, j % shape.channels);
        scales.push_back(T(scale));
        shifts.push_back(T(shift));
      }
  }

  const T* scale(int64_t image) const { return scales.data() + (image - first) * tile; }
  const T* shift(int64_t image) const { return shifts.data() + (image - first) * tile; }
};

/// z as lines in x.
template <class T>
Lines<T> normalising_lines(const Norm& norm, int64_t first, int64_t last, const Statistics* stats, const T* gamma,
                           const T* beta) {
  return Lines<T>(norm.shape, first, last, [=](int64_t b, int64_t c) {
    return normalising_line(stats[b * norm.groups + c / norm.group_channels()], double(gamma[c]), double(beta[c]));
  });
}

/// Of group k of all images', from the sums of x and x^2 over each channel of each image (B,2,C).
Statistics group_statistics(const Norm& norm, const std::vector<double>& sums, int64_t k) {
  const int64_t channels = norm.shape.channels;
  const int64_t first = k / norm.groups * 2 * channels + k % norm.groups * norm.group_channels();
  double sum = 0, squares = 0;
  for (int64_t c = first; c < first + norm.group_channels(); ++c) {
    sum += sums[size_t(c)];
    squares += sums[size_t(channels + c)];
  }
  return statistics(sum, squares, norm.group_size(), norm.eps);
}

/// f(first, last) for consecutive images, as many as leave a pass's `tensors` in the caches for the next pass.
template <class T, class F>
void for_images(const Channels& shape, int64_t tensors, const F& f) {
  constexpr int64_t cached = 16 << 20;
  const int64_t bytes = tensors * shape.pixels * shape.channels * int64_t(sizeof(T));
  const int64_t at_once = std::max<int64_t>(1, cached / bytes);
  for (int64_t first = 0; first < shape.images; first += at_once) f(first, std::min(first + at_once, shape.images));
}

template <class T>
void norm_forward(const Norm& norm, const T* x, const T* gamma, const T* beta, T* y, Statistics* stats) {
  const Channels& shape = norm.shape;
  std::vector<double> sums(size_t(shape.images * 2 * shape.channels));
  for_images<T>(shape, 1, [&](int64_t first, int64_t last) {
    const auto moments = [=](int64_t) {
      return [=](int64_t i, int64_t) {
        const double v = double(x[i]);
        return std::array{v, v * v};
      };
    };
    channel_sums<2>(shape, first, last, moments, sums);
    for (int64_t k = first * norm.groups; k < last * norm.groups; ++k) stats[k] = group_statistics(norm, sums, k);
    const Lines<T> z_lines = normalising_lines(norm, first, last, stats, gamma, beta);
    for_blocks(shape, first, last, [&](int64_t, int64_t image, int64_t begin, int64_t end) {
      const T *scale = z_lines.scale(image), *shift = z_lines.shift(image), slope = T(norm.slope);
      map_tiles(shape, begin, end, y, [=](int64_t i, int64_t j) {
        return activate(Line<T>{scale[j], shift[j]}(x[i]), slope);
      });
    });
  });
}

/// From the sums of dz and dz x over each channel of each image (B,2,C), for images [first, last): their shares of the
/// sums of dz and dz xhat (2,C), and what dx has beside gamma r dz, as lines in x.
template <class T>
Lines<T> finish_sums(const Norm& norm, int64_t first_image, int64_t last_image, const std::vector<double>& sums,
                     const T* gamma, const Statistics* stats, std::vector<double>& parameter_sums) {
  const int64_t channels = norm.shape.channels;
  std::vector<Line<double>> lines;  // (last-first,G)
  for (int64_t k = first_image * norm.groups; k < last_image * norm.groups; ++k) {
    const int64_t b = k / norm.groups, first = k % norm.groups * norm.group_channels();
    double mean_dz = 0, mean_dz_xhat = 0;  // of gamma dz and gamma dz xhat
    for (int64_t c = first; c < first + norm.group_channels(); ++c) {
      const double dz = sums[size_t(2 * b * channels + c)];
      const double dz_xhat = sum_with_xhat(stats[k], sums[size_t((2 * b + 1) * channels + c)], dz);
      parameter_sums[size_t(c)] += dz;
      parameter_sums[size_t(channels + c)] += dz_xhat;
      mean_dz += double(gamma[c]) * dz / norm.group_size();
      mean_dz_xhat += double(gamma[c]) * dz_xhat / norm.group_size();
    }
    lines.push_back(gradient_line(stats[k], mean_dz, mean_dz_xhat));
  }
  return Lines<T>(norm.shape, first_image, last_image, [&](int64_t b, int64_t c) {
    return lines[size_t((b - first_image) * norm.groups + c / norm.group_channels())];
  });
}

/// dx is null where nobody needs it.
template <class T>
void norm_backward(const Norm& norm, const T* x, const T* gamma, const T* beta, const Statistics* stats, const T* dy,
                   T* dx, T* dgamma, T* dbeta) {
  const Channels& shape = norm.shape;
  std::vector<double> sums(size_t(shape.images * 2 * shape.channels)), parameter_sums(size_t(2 * shape.channels));
  for_images<T>(shape, 2, [&](int64_t first, int64_t last) {
    const Lines<T> z_lines = normalising_lines(norm, first, last, stats, gamma, beta);
    const auto dz_of = [&](int64_t image) {
      return
          [=, scale = z_lines.scale(image), shift = z_lines.shift(image), slope = T(norm.slope)](int64_t i, int64_t j) {
            return activation_gradient(dy[i], Line<T>{scale[j], shift[j]}(x[i]), slope);
          };
    };
    const auto gradient_sums = [=](int64_t image) {
      return [=, dz_at = dz_of(image)](int64_t i, int64_t j) {
        const double dz = double(dz_at(i, j));
        return std::array{dz, dz * double(x[i])};
      };
    };
    channel_sums<2>(shape, first, last, gradient_sums, sums);
    const Lines<T> x_lines = finish_sums(norm, first, last, sums, gamma, stats, parameter_sums);
    if (dx == nullptr) return;
    for_blocks(shape, first, last, [&](int64_t, int64_t image, int64_t begin, int64_t end) {
      const T *gamma_r = z_lines.scale(image), *scale = x_lines.scale(image), *shift = x_lines.shift(image);
      map_tiles(shape, begin, end, dx, [=, dz_at = dz_of(image)](int64_t i, int64_t j) {
        return input_gradient(gamma_r[j], dz_at(i, j), Line<T>{scale[j], shift[j]}(x[i]));
      });
    });
  });
  std::copy_n(parameter_sums.begin(), shape.channels, dbeta);
  std::copy_n(parameter_sums.begin() + shape.channels, shape.channels, dgamma);
}

}  // namespace cpu

// ---- CUDA -----------------------------------------------------------------------------------------------------------

#if GT_CUDA
template <class S, class T = compute_t<S>>
struct Normed {
  Norm norm;
  const S* x;
  const T* gamma;
  const T* beta;
  const Statistics* stats;

  __device__ int64_t group(int64_t image, int64_t c) const {
    return image * norm.groups + unsigned(c) / unsigned(norm.group_channels());
  }
  /// z in x, in a channel.
  __device__ Line<T> line(int64_t image, int64_t c) const {
    const Line<double> z = normalising_line(stats[group(image, c)], double(gamma[c]), double(beta[c]));
    return {T(z.scale), T(z.shift)};
  }
};

/// line(c) of W neighbouring channels.
template <class T, int W>
struct ChannelLines {
  Line<T> of[W];

  template <class F>
  __device__ ChannelLines(int64_t c, const F& line) {
    for (int w = 0; w < W; ++w) of[w] = line(c + w);
  }
};

/// Sums of x and x^2.
template <class S, int W>
__global__ void __launch_bounds__(row_threads, 3)
    moments_kernel(PixelRows cut, int64_t channels, const S* x, double* partial) {
  sum_channels<2, W>(cut, channels, partial, [=](int64_t, int64_t) {
    return [=](int64_t i, double(&sums)[2][W]) {
      const Vector<S, W> xs = load<W>(x + i);
      for (int w = 0; w < W; ++w) {
        const double v = double(compute_t<S>(xs.v[w]));
        sums[0][w] += v;
        sums[1][w] += v * v;
      }
    };
  });
}

/// A block per group of each image.
__global__ void __launch_bounds__(row_threads)
    statistics_kernel(Norm norm, int64_t blocks, const double* partial, Statistics* stats) {
  const int64_t image = blockIdx.x / norm.groups, group = blockIdx.x % norm.groups;
  const int64_t size = norm.group_channels() * blocks, channels = norm.shape.channels;
  const double* sums = partial + 2 * image * channels * blocks + group * size;
  const double* squares = sums + channels * blocks;
  double sum = 0, sum_of_squares = 0;
  for (int64_t i = threadIdx.x; i < size; i += row_threads) {
    sum += sums[i];
    sum_of_squares += squares[i];
  }
  sum = cuda::block_sum<row_threads>(sum);
  sum_of_squares = cuda::block_sum<row_threads>(sum_of_squares);
  if (threadIdx.x == 0) stats[blockIdx.x] = statistics(sum, sum_of_squares, norm.group_size(), norm.eps);
}

template <class S, int W, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads) normalise_kernel(Normed<S> in, PixelRows cut, S* y) {
  const T slope = T(in.norm.slope);
  for_channels<W>(cut, in.norm.shape.channels, [=](int64_t image, int64_t first) {
    const ChannelLines<T, W> z(first, [=](int64_t c) { return in.line(image, c); });
    return [=](int64_t i) {
      Vector<S, W> v = load<W>(in.x + i);
      for (int w = 0; w < W; ++w) v.v[w] = S(activate(z.of[w](T(v.v[w])), slope));
      store(y + i, v);
    };
  });
}

/// Sums of dz and dz x.
template <class S, int W, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads)
    gradient_sums_kernel(Normed<S> in, PixelRows cut, const S* dy, double* partial) {
  const T slope = T(in.norm.slope);
  sum_channels<2, W>(cut, in.norm.shape.channels, partial, [=](int64_t image, int64_t first) {
    const ChannelLines<T, W> z(first, [=](int64_t c) { return in.line(image, c); });
    return [=](int64_t i, double(&sums)[2][W]) {
      const Vector<S, W> xs = load<W>(in.x + i), dys = load<W>(dy + i);
      for (int w = 0; w < W; ++w) {
        const T v = T(xs.v[w]);
        const double dz = double(activation_gradient(T(dys.v[w]), z.of[w](v), slope));
        sums[0][w] += dz;
        sums[1][w] += dz * double(v);
      }
    };
  });
}

/// A block per group of each image, its warps taking channels: sums (B,2,C) of dz and dz xhat, and what dx has beside
/// gamma r dz, as lines (B,G) in x.
template <class T>
__global__ void __launch_bounds__(row_threads)
    group_gradients_kernel(Norm norm, int64_t blocks, const double* partial, const T* gamma, const Statistics* stats,
                           double* sums, Line<double>* lines) {
  const int lane = int(threadIdx.x) % warp_size, warp = int(threadIdx.x) / warp_size;
  const int64_t image = blockIdx.x / norm.groups, group = blockIdx.x % norm.groups, channels = norm.shape.channels;
  const int64_t first = group * norm.group_channels(), last = first + norm.group_channels();
  double mean_dz = 0, mean_dz_xhat = 0;  // of gamma dz and gamma dz xhat: the warp's share
  for (int64_t c = first + warp; c < last; c += row_threads / warp_size) {
    const double* from = partial + (2 * image * channels + c) * blocks;
    double dz = 0, dz_x = 0;
    for (int64_t k = lane; k < blocks; k += warp_size) {
      dz += from[k];
      dz_x += from[channels * blocks + k];
    }
    dz = cuda::warp_sum(dz);
    const double dz_xhat = sum_with_xhat(stats[blockIdx.x], cuda::warp_sum(dz_x), dz);
    if (lane > 0) continue;
    sums[2 * image * channels + c] = dz;
    sums[(2 * image + 1) * channels + c] = dz_xhat;
    mean_dz += double(gamma[c]) * dz / norm.group_size();
    mean_dz_xhat += double(gamma[c]) * dz_xhat / norm.group_size();
  }
  mean_dz = cuda::block_sum<row_threads>(mean_dz);
  mean_dz_xhat = cuda::block_sum<row_threads>(mean_dz_xhat);
  if (threadIdx.x == 0) lines[blockIdx.x] = gradient_line(stats[blockIdx.x], mean_dz, mean_dz_xhat);
}

/// A thread per channel.
template <class T>
__global__ void __launch_bounds__(row_threads)
    parameter_gradients_kernel(Channels shape, const double* sums, T* dgamma, T* dbeta) {
  const int64_t c = int64_t(blockIdx.x) * row_threads + threadIdx.x;
  if (c >= shape.channels) return;
  double dz = 0, dz_xhat = 0;
  for (int64_t b = 0; b < shape.images; ++b) {
    dz += sums[2 * b * shape.channels + c];
    dz_xhat += sums[(2 * b + 1) * shape.channels + c];
  }
  dbeta[c] = T(dz);
  dgamma[c] = T(dz_xhat);
}

/// lines (B,G) are group_gradients_kernel's.
template <class S, int W, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads)
    input_gradient_kernel(Normed<S> in, PixelRows cut, const S* dy, const Line<double>* lines, S* dx) {
  const T slope = T(in.norm.slope);
  for_channels<W>(cut, in.norm.shape.channels, [=](int64_t image, int64_t first) {
    const ChannelLines<T, W> z(first, [=](int64_t c) { return in.line(image, c); });
    const ChannelLines<T, W> rest(first, [=](int64_t c) {
      const Line<double> line = lines[in.group(image, c)];
      return Line<T>{T(line.scale), T(line.shift)};
    });
    return [=](int64_t i) {
      const Vector<S, W> xs = load<W>(in.x + i);
      Vector<S, W> v = load<W>(dy + i);
      for (int w = 0; w < W; ++w) {
        const T dz = activation_gradient(T(v.v[w]), z.of[w](T(xs.v[w])), slope);
        v.v[w] = S(input_gradient(z.of[w].scale, dz, rest.of[w](T(xs.v[w]))));
      }
      store(dx + i, v);
    };
  });
}

}  // namespace

namespace cuda {

PixelRows cut_pixels(const Channels& shape, int width) {
  return {shape.images, shape.pixels, power_of_two((shape.channels + width - 1) / width, row_threads)};
}

/// Room for the sums of a pass.
Tensor partial_sums(const Channels& shape, const PixelRows& cut) {
  return Tensor({shape.images, 2, shape.channels, cut.blocks}, DType::f64, Device::cuda);
}

template <class S, class T = compute_t<S>>
void norm_forward(const Norm& norm, const S* x, const T* gamma, const T* beta, S* y, Statistics* stats) {
  const Channels& shape = norm.shape;
  with_vectors<S>(shape.channels, [&]<int W>() {
    const PixelRows cut = cut_pixels(shape, W);
    const Tensor partial = partial_sums(shape, cut);
    launch({cut.grid, row_threads}, moments_kernel<S, W>, cut, shape.channels, x, partial.data<double>());
    launch({blocks_for(shape.images * norm.groups, 1), row_threads}, statistics_kernel, norm, cut.blocks,
           partial.data<double>(), stats);
    launch({cut.grid, row_threads}, normalise_kernel<S, W>, Normed<S>{norm, x, gamma, beta, stats}, cut, y);
  });
}

/// dx is null where nobody needs it.
template <class S, class T = compute_t<S>>
void norm_backward(const Norm& norm, const S* x, const T* gamma, const T* beta, const Statistics* stats, const S* dy,
                   S* dx, T* dgamma, T* dbeta) {
  const Channels& shape = norm.shape;
  const Tensor sums({shape.images, 2, shape.channels}, DType::f64, Device::cuda);
  const Tensor lines({shape.images, norm.groups, 2}, DType::f64, Device::cuda);
  auto* x_lines = reinterpret_cast<Line<double>*>(lines.data<double>());
  const Normed<S> in{norm, x, gamma, beta, stats};
  with_vectors<S>(shape.channels, [&]<int W>() {
    const PixelRows cut = cut_pixels(shape, W);
    const Tensor partial = partial_sums(shape, cut);
    launch({cut.grid, row_threads}, gradient_sums_kernel<S, W>, in, cut, dy, partial.data<double>());
    launch({blocks_for(shape.images * norm.groups, 1), row_threads}, group_gradients_kernel<T>, norm, cut.blocks,
           partial.data<double>(), gamma, stats, sums.data<double>(), x_lines);
    launch({blocks_for(shape.channels, row_threads), row_threads}, parameter_gradients_kernel<T>, shape,
           sums.data<double>(), dgamma, dbeta);
    if (dx != nullptr) launch({cut.grid, row_threads}, input_gradient_kernel<S, W>, in, cut, dy, x_lines, dx);
  });
}

}  // namespace cuda

namespace {
#endif

// ---- The ops --------------------------------------------------------------------------------------------------------

Tensor normalize(const char* name, const Tensor& x, const Tensor& gamma, const Tensor& beta, int64_t groups,
                 double slope, double eps) {
  GT_CHECK(x.rank() == 4 && x.size() > 0, name, ": expected x (B,H,W,C), not empty, got ", x.shape());
  const int64_t channels = x.dim(3);
  GT_CHECK(groups > 0 && channels % groups == 0, name, ": x is ", x.shape(), ", whose ", channels,
           " channels cannot be cut into ", groups, " groups");
  const DType wide = x.dtype() == DType::bf16 ? DType::f32 : x.dtype();
  for (const Tensor& p : {gamma, beta})
    GT_CHECK(p.shape() == Shape{channels} && p.dtype() == wide && p.device() == x.device(), name, ": x is ", x.dtype(),
             x.shape(), " on ", x.device(), ", so gamma and beta are expected to be ", wide, " of shape (", channels,
             "), got ", p.dtype(), p.shape(), " on ", p.device());
  const Norm norm{{x.dim(0), x.dim(1) * x.dim(2), channels}, groups, eps, slope};
  const Tensor y(x.shape(), x.dtype(), x.device());
  const Tensor stats({x.dim(0), groups, 2}, DType::f64, x.device());
  const auto stats_of = [](const Tensor& t) { return reinterpret_cast<Statistics*>(t.data<double>()); };
  visit_stored(x.dtype(), [&]<class S>() {
    using T = compute_t<S>;
    GT_DISPATCH_STORED(S, x.device(), norm_forward, norm, x.data<S>(), gamma.data<T>(), beta.data<T>(), y.data<S>(),
                       stats_of(stats));
  });
  return record(name, y, {x, gamma, beta},
                [=, x = x.detach(), gamma = gamma.detach(), beta = beta.detach(),
                 x_needs = x.requires_grad()](const Tensor& dy) -> Tensors {
                  const Tensor dx = gradient_of(x, x_needs), dgamma = gradient_of(gamma, true);
                  const Tensor dbeta = gradient_of(beta, true);
                  visit_stored(x.dtype(), [&]<class S>() {
                    using T = compute_t<S>;
                    GT_DISPATCH_STORED(S, x.device(), norm_backward, norm, x.data<S>(), gamma.data<T>(), beta.data<T>(),
                                       stats_of(stats), dy.data<S>(), pointer<S>(dx), dgamma.data<T>(),
                                       dbeta.data<T>());
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
