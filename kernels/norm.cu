// Group normalisation (Wu and He 2018), alone and with what a network has around it: the bias of the convolution before
// it and the leaky ReLU behind it. x (B,H,W,C) in G groups of consecutive channels; an image's group has n = H W C / G
// elements, with mean mu and variance v (over n) of x + bias.
//
//   xhat = (x + bias - mu) r,  r = (v + eps)^-1/2      z = gamma xhat + beta      y = z > 0 ? z : slope z
//
// group_norm is the case bias = 0, slope = 1. Backward, with dz = dy (z > 0 ? 1 : slope):
//
//   dbeta = sum dz      dgamma = sum dz xhat      dbias = sum dx      (over B, H, W)
//   dx = r (gamma dz - mean(gamma dz) - xhat mean(gamma dz xhat))     (means over the group)
//
// In a channel of an image z is a line in x, and so is dx beside its share of dz: every pass is a multiply-add or two.
// The bias only moves a channel's mean, by as much as it is, and its gradient follows from the channel's sums of x and
// dz: it costs nothing here, where behind a convolution its gradient is one more pass over dx. Sums run in double, so
// that taking the square of the mean off the mean of squares does no harm.
//
// Saved: x, bias, gamma, beta, (mu, r) per image and group and the sums of x per image and channel; z is computed again
// for its sign. Per element of size s forward moves 3s in two passes and takes 7 FLOPs, backward moves 5s in two passes
// and takes 12.
//
// CUDA: x, y and their gradients may be bf16. Forward is 3 launches, backward 4 (3 without dx): partial sums of the
// channels over blocks of pixels, the groups' sums of these in block order, the second pass, which begins where the
// first ended, with what the L2 cache still holds. Beside the passes they move 16 bytes per channel and block of pixels
// twice, some hundredths of the rest.
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
struct Line {
  T scale, shift;
  GT_HD T operator()(T x) const { return scale * x + shift; }
};

// The statistics below are those in a channel.

/// z in x.
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

/// A group's means of gamma dz and gamma dz xhat.
struct GradientMeans {
  double dz = 0, dz_xhat = 0;
};

/// What dx has beside gamma r dz, in x.
GT_HD inline Line<double> gradient_line(const Statistics& s, const GradientMeans& means) {
  const double scale = -s.rstd * s.rstd * means.dz_xhat;
  return {scale, -s.rstd * means.dz - s.mean * scale};
}

/// sum dx over n values from the sums of dz and x and the line of what dx has beside gamma r dz.
GT_HD inline double sum_of_gradients(double gamma_r, double dz, const Line<double>& rest, double x, double n) {
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
  double* sums;       // (B,C), of x

  GT_HD double bias_of(int64_t c) const { return bias == nullptr ? 0 : double(bias[c]); }
  GT_HD int64_t group(int64_t image, int64_t c) const {
    return image * norm.groups + int64_t(unsigned(c) / unsigned(norm.group_channels()));
  }
  GT_HD Statistics channel(int64_t image, int64_t c) const { return stats[group(image, c)].in_channel(bias_of(c)); }
  /// z in x.
  GT_HD Line<double> line(int64_t image, int64_t c) const {
    return normalising_line(channel(image, c), double(gamma[c]), double(beta[c]));
  }
};

/// What is to be filled; dx and dbias are null where nobody needs them.
template <class S, class T = compute_t<S>>
struct NormGradients {
  S* dx;
  T *dbias, *dgamma, *dbeta;
};

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

/// Statistics of group k of all images', from the sums of x and x^2 over each channel of each image (B,2,C); leaves the
/// sums of x in their place.
template <class T>
void finish_group(const Normed<T>& in, const std::vector<double>& sums, int64_t k) {
  const Norm& norm = in.norm;
  const int64_t channels = norm.shape.channels, image = k / norm.groups,
                first = k % norm.groups * norm.group_channels();
  Moments group;
  for (int64_t c = first; c < first + norm.group_channels(); ++c) {
    const Moments m{sums[size_t(2 * image * channels + c)], sums[size_t((2 * image + 1) * channels + c)]};
    in.sums[image * channels + c] = m.sum;
    group += m.with_bias(in.bias_of(c), double(norm.shape.pixels));
  }
  in.stats[k] = statistics(group, norm.group_size(), norm.eps);
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
void norm_forward(const Normed<T>& in, T* y) {
  const Channels& shape = in.norm.shape;
  const T* x = in.x;
  std::vector<double> sums(size_t(shape.images * 2 * shape.channels));
  for_images<T>(shape, 1, [&](int64_t first, int64_t last) {
    const auto moments = [=](int64_t) {
      return [=](int64_t i, int64_t) {
        const double v = double(x[i]);
        return std::array{v, v * v};
      };
    };
    channel_sums<2>(shape, first, last, moments, sums);
    for (int64_t k = first * in.norm.groups; k < last * in.norm.groups; ++k) finish_group(in, sums, k);
    const Lines<T> z_lines(shape, first, last, [&](int64_t b, int64_t c) { return in.line(b, c); });
    for_blocks(shape, first, last, [&](int64_t, int64_t image, int64_t begin, int64_t end) {
      const T *scale = z_lines.scale(image), *shift = z_lines.shift(image), slope = T(in.norm.slope);
      map_tiles(shape, begin, end, y, [=](int64_t i, int64_t j) {
        return activate(Line<T>{scale[j], shift[j]}(x[i]), slope);
      });
    });
  });
}

/// Sums over pixels and images, of each channel.
struct ParameterSums {
  double dz = 0, dz_xhat = 0, dx = 0;
};

/// From the sums of dz and dz x over each channel of each image (B,2,C), for images [first, last): their shares of the
/// parameters' gradients (C), and what dx has beside gamma r dz, as lines in x.
template <class T>
Lines<T> finish_sums(const Normed<T>& in, int64_t first_image, int64_t last_image, const std::vector<double>& sums,
                     std::vector<ParameterSums>& parameters) {
  const Norm& norm = in.norm;
  const int64_t channels = norm.shape.channels;
  std::vector<GradientMeans> means;  // (last-first,G)
  for (int64_t k = first_image * norm.groups; k < last_image * norm.groups; ++k) {
    const int64_t b = k / norm.groups, first = k % norm.groups * norm.group_channels();
    GradientMeans of_group;
    for (int64_t c = first; c < first + norm.group_channels(); ++c) {
      const double dz = sums[size_t(2 * b * channels + c)];
      const double dz_xhat = sum_with_xhat(in.channel(b, c), sums[size_t((2 * b + 1) * channels + c)], dz);
      parameters[size_t(c)].dz += dz;
      parameters[size_t(c)].dz_xhat += dz_xhat;
      of_group.dz += double(in.gamma[c]) * dz / norm.group_size();
      of_group.dz_xhat += double(in.gamma[c]) * dz_xhat / norm.group_size();
    }
    means.push_back(of_group);
  }
  const auto rest = [&](int64_t b, int64_t c) {
    return gradient_line(in.channel(b, c), means[size_t(in.group(b - first_image, c))]);
  };
  for (int64_t b = first_image; b < last_image; ++b)
    for (int64_t c = 0; c < channels; ++c)
      parameters[size_t(c)].dx += sum_of_gradients(in.line(b, c).scale, sums[size_t(2 * b * channels + c)], rest(b, c),
                                                   in.sums[b * channels + c], double(norm.shape.pixels));
  return Lines<T>(norm.shape, first_image, last_image, rest);
}

template <class T>
void norm_backward(const Normed<T>& in, const T* dy, const NormGradients<T>& g) {
  const Channels& shape = in.norm.shape;
  const T* x = in.x;
  std::vector<double> sums(size_t(shape.images * 2 * shape.channels));
  std::vector<ParameterSums> parameters(size_t(shape.channels));
  for_images<T>(shape, 2, [&](int64_t first, int64_t last) {
    const Lines<T> z_lines(shape, first, last, [&](int64_t b, int64_t c) { return in.line(b, c); });
    const auto dz_of = [&](int64_t image) {
      return [=, scale = z_lines.scale(image), shift = z_lines.shift(image), slope = T(in.norm.slope)](int64_t i,
                                                                                                       int64_t j) {
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
    const Lines<T> x_lines = finish_sums(in, first, last, sums, parameters);
    if (g.dx == nullptr) return;
    for_blocks(shape, first, last, [&](int64_t, int64_t image, int64_t begin, int64_t end) {
      const T *gamma_r = z_lines.scale(image), *scale = x_lines.scale(image), *shift = x_lines.shift(image);
      map_tiles(shape, begin, end, g.dx, [=, dz_at = dz_of(image)](int64_t i, int64_t j) {
        return input_gradient(gamma_r[j], dz_at(i, j), Line<T>{scale[j], shift[j]}(x[i]));
      });
    });
  });
  for (size_t c = 0; c < parameters.size(); ++c) {
    g.dbeta[c] = T(parameters[c].dz);
    g.dgamma[c] = T(parameters[c].dz_xhat);
    if (g.dbias != nullptr) g.dbias[c] = T(parameters[c].dx);
  }
}

}  // namespace cpu

// ---- CUDA -----------------------------------------------------------------------------------------------------------

#if GT_CUDA
/// line(c) of W neighbouring channels.
template <class T, int W>
struct ChannelLines {
  Line<T> of[W];

  template <class F>
  __device__ ChannelLines(int64_t c, const F& line) {
    for (int w = 0; w < W; ++w) {
      const Line<double> exact = line(c + w);
      of[w] = {T(exact.scale), T(exact.shift)};
    }
  }
};

/// Sums of x and x^2.
template <class S, int W>
__global__ void __launch_bounds__(row_threads, 3)
    moments_kernel(PixelRows cut, int64_t channels, const S* x, double* partial) {
  sum_channels<2, W>(cut, channels, partial, [=](int64_t, int64_t) {
    return [=](int64_t, int64_t i, double(&sums)[2][W]) {
      const Vector<S, W> xs = load<W>(x + i);
      for (int w = 0; w < W; ++w) {
        const double v = double(compute_t<S>(xs.v[w]));
        sums[0][w] += v;
        sums[1][w] += v * v;
      }
    };
  });
}

/// A block per group of each image, its warps taking channels: statistics, and the channels' sums of x.
template <class S>
__global__ void __launch_bounds__(row_threads) statistics_kernel(Normed<S> in, int64_t blocks, const double* partial) {
  const Norm& norm = in.norm;
  const int lane = int(threadIdx.x) % warp_size, warp = int(threadIdx.x) / warp_size;
  const int64_t image = blockIdx.x / norm.groups, group = blockIdx.x % norm.groups, channels = norm.shape.channels;
  const int64_t first = group * norm.group_channels(), last = first + norm.group_channels();
  Moments share;  // of the group's, the warp's
  for (int64_t c = first + warp; c < last; c += row_threads / warp_size) {
    const double* from = partial + (2 * image * channels + c) * blocks;
    const Moments m{cuda::warp_total(from, blocks), cuda::warp_total(from + channels * blocks, blocks)};
    if (lane > 0) continue;
    in.sums[image * channels + c] = m.sum;
    share += m.with_bias(in.bias_of(c), double(norm.shape.pixels));
  }
  share = {cuda::block_sum<row_threads>(share.sum), cuda::block_sum<row_threads>(share.squares)};
  if (threadIdx.x == 0) in.stats[blockIdx.x] = statistics(share, norm.group_size(), norm.eps);
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
    return [=](int64_t, int64_t i, double(&sums)[2][W]) {
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

/// A block per group of each image, its warps taking channels: sums (B,2,C) of dz and dz xhat, and the means (B,G).
template <class S>
__global__ void __launch_bounds__(row_threads)
    group_gradients_kernel(Normed<S> in, int64_t blocks, const double* partial, double* sums, GradientMeans* means) {
  const Norm& norm = in.norm;
  const int lane = int(threadIdx.x) % warp_size, warp = int(threadIdx.x) / warp_size;
  const int64_t image = blockIdx.x / norm.groups, group = blockIdx.x % norm.groups, channels = norm.shape.channels;
  const int64_t first = group * norm.group_channels(), last = first + norm.group_channels();
  GradientMeans share;  // the warp's
  for (int64_t c = first + warp; c < last; c += row_threads / warp_size) {
    const double* from = partial + (2 * image * channels + c) * blocks;
    const double dz = cuda::warp_total(from, blocks), dz_x = cuda::warp_total(from + channels * blocks, blocks);
    if (lane > 0) continue;
    const double dz_xhat = sum_with_xhat(in.channel(image, c), dz_x, dz);
    sums[2 * image * channels + c] = dz;
    sums[(2 * image + 1) * channels + c] = dz_xhat;
    share.dz += double(in.gamma[c]) * dz / norm.group_size();
    share.dz_xhat += double(in.gamma[c]) * dz_xhat / norm.group_size();
  }
  share = {cuda::block_sum<row_threads>(share.dz), cuda::block_sum<row_threads>(share.dz_xhat)};
  if (threadIdx.x == 0) means[blockIdx.x] = share;
}

/// A thread per channel; sums and means are group_gradients_kernel's.
template <class S, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads)
    parameter_gradients_kernel(Normed<S> in, const double* sums, const GradientMeans* means, NormGradients<S> g) {
  const Channels& shape = in.norm.shape;
  const int64_t c = int64_t(blockIdx.x) * row_threads + threadIdx.x;
  if (c >= shape.channels) return;
  double dz = 0, dz_xhat = 0, dx = 0;
  for (int64_t b = 0; b < shape.images; ++b) {
    const double dz_of_image = sums[2 * b * shape.channels + c];
    dz += dz_of_image;
    dz_xhat += sums[(2 * b + 1) * shape.channels + c];
    if (g.dbias == nullptr) continue;
    const Line<double> rest = gradient_line(in.channel(b, c), means[in.group(b, c)]);
    dx +=
        sum_of_gradients(in.line(b, c).scale, dz_of_image, rest, in.sums[b * shape.channels + c], double(shape.pixels));
  }
  g.dbeta[c] = T(dz);
  g.dgamma[c] = T(dz_xhat);
  if (g.dbias != nullptr) g.dbias[c] = T(dx);
}

/// means (B,G) are group_gradients_kernel's.
template <class S, int W, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads)
    input_gradient_kernel(Normed<S> in, PixelRows cut, const S* dy, const GradientMeans* means, S* dx) {
  const T slope = T(in.norm.slope);
  for_channels<W>(cut, in.norm.shape.channels, [=](int64_t image, int64_t first) {
    const ChannelLines<T, W> z(first, [=](int64_t c) { return in.line(image, c); });
    const ChannelLines<T, W> rest(
        first, [=](int64_t c) { return gradient_line(in.channel(image, c), means[in.group(image, c)]); });
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

template <class S>
void norm_forward(const Normed<S>& in, S* y) {
  const Channels& shape = in.norm.shape;
  with_vectors<S>(shape.channels, [&]<int W>() {
    const PixelRows cut = cut_pixels(shape, W);
    const Tensor partial = partial_sums(shape, cut);
    launch({cut.grid, row_threads}, moments_kernel<S, W>, cut, shape.channels, in.x, partial.data<double>());
    launch({blocks_for(shape.images * in.norm.groups, 1), row_threads}, statistics_kernel<S>, in, cut.blocks,
           partial.data<double>());
    launch({cut.grid, row_threads}, normalise_kernel<S, W>, in, cut.backwards(), y);
  });
}

template <class S>
void norm_backward(const Normed<S>& in, const S* dy, const NormGradients<S>& g) {
  const Channels& shape = in.norm.shape;
  const Tensor sums({shape.images, 2, shape.channels}, DType::f64, Device::cuda);
  const Tensor of_groups({shape.images, in.norm.groups, 2}, DType::f64, Device::cuda);
  auto* means = reinterpret_cast<GradientMeans*>(of_groups.data<double>());
  with_vectors<S>(shape.channels, [&]<int W>() {
    const PixelRows cut = cut_pixels(shape, W);
    const Tensor partial = partial_sums(shape, cut);
    launch({cut.grid, row_threads}, gradient_sums_kernel<S, W>, in, cut, dy, partial.data<double>());
    launch({blocks_for(shape.images * in.norm.groups, 1), row_threads}, group_gradients_kernel<S>, in, cut.blocks,
           partial.data<double>(), sums.data<double>(), means);
    launch({blocks_for(shape.channels, row_threads), row_threads}, parameter_gradients_kernel<S>, in,
           sums.data<double>(), means, g);
    if (g.dx != nullptr)
      launch({cut.grid, row_threads}, input_gradient_kernel<S, W>, in, cut.backwards(), dy, means, g.dx);
  });
}

}  // namespace cuda

namespace {
#endif

// ---- The ops --------------------------------------------------------------------------------------------------------

template <class S, class T = compute_t<S>>
Normed<S> normed(const Norm& norm, const Tensor& x, const Tensor& bias, const Tensor& gamma, const Tensor& beta,
                 const Tensor& stats, const Tensor& sums) {
  return {norm,
          x.data<S>(),
          pointer<T>(bias),
          gamma.data<T>(),
          beta.data<T>(),
          reinterpret_cast<Statistics*>(stats.data<double>()),
          sums.data<double>()};
}

/// bias may be undefined.
Tensor normalize(const char* name, const Tensor& x, const Tensor& bias, const Tensor& gamma, const Tensor& beta,
                 const Norm& norm) {
  GT_CHECK(x.rank() == 4 && x.size() > 0, name, ": expected x (B,H,W,C), not empty, got ", x.shape());
  GT_CHECK(norm.groups > 0 && x.dim(3) % norm.groups == 0, name, ": x is ", x.shape(), ", whose ", x.dim(3),
           " channels cannot be cut into ", norm.groups, " groups");
  const DType wide = x.dtype() == DType::bf16 ? DType::f32 : x.dtype();
  for (const Tensor& p : {gamma, beta, bias.defined() ? bias : beta})
    GT_CHECK(p.shape() == Shape{x.dim(3)} && p.dtype() == wide && p.device() == x.device(), name, ": x is ", x.dtype(),
             x.shape(), " on ", x.device(), ", so its parameters are expected to be ", wide, " of shape (", x.dim(3),
             "), got ", p.dtype(), p.shape(), " on ", p.device());
  const Tensor y(x.shape(), x.dtype(), x.device());
  const Tensor stats({x.dim(0), norm.groups, 2}, DType::f64, x.device());
  const Tensor sums({x.dim(0), x.dim(3)}, DType::f64, x.device());
  visit_stored(x.dtype(), [&]<class S>() {
    GT_DISPATCH_STORED(S, x.device(), norm_forward, normed<S>(norm, x, bias, gamma, beta, stats, sums), y.data<S>());
  });
  return record(name, y, {x, bias, gamma, beta},
                [=, x = x.detach(), bias = detached(bias), gamma = gamma.detach(), beta = beta.detach(),
                 x_needs = x.requires_grad(), bias_needs = bias.requires_grad()](const Tensor& dy) -> Tensors {
                  const Tensor dx = gradient_of(x, x_needs), dbias = gradient_of(bias, bias_needs);
                  const Tensor dgamma = gradient_of(gamma, true), dbeta = gradient_of(beta, true);
                  visit_stored(x.dtype(), [&]<class S>() {
                    using T = compute_t<S>;
                    GT_DISPATCH_STORED(
                        S, x.device(), norm_backward, normed<S>(norm, x, bias, gamma, beta, stats, sums), dy.data<S>(),
                        NormGradients<S>{pointer<S>(dx), pointer<T>(dbias), dgamma.data<T>(), dbeta.data<T>()});
                  });
                  return {dx, dbias, dgamma, dbeta};
                });
}

Norm norm_of(const Tensor& x, int64_t groups, double slope, double eps) {
  const bool image = x.rank() == 4;  // or normalize() throws
  return {image ? Channels{x.dim(0), x.dim(1) * x.dim(2), x.dim(3)} : Channels{}, groups, eps, slope};
}

}  // namespace

Tensor group_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, int64_t groups, double eps) {
  return normalize("group_norm", x, {}, gamma, beta, norm_of(x, groups, 1, eps));
}

Tensor group_norm_leaky_relu(const Tensor& x, const Tensor& bias, const Tensor& gamma, const Tensor& beta,
                             int64_t groups, double slope, double eps) {
  return normalize("group_norm_leaky_relu", x, bias, gamma, beta, norm_of(x, groups, slope, eps));
}

}  // namespace gt
