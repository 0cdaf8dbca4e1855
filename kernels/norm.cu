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
// that taking the square of the mean off the mean of squares does no harm; on CUDA a thread's first 32 summands at most
// are added in the type that the maths has.
//
// Saved: x, bias, gamma, beta, (mu, r) per image and group and the sums of x per image and channel, on CUDA also the
// lines; z is computed again for its sign. Per element of size s forward moves 3s in two passes and takes 7 FLOPs,
// backward moves 5s in two passes and takes 12.
//
// CUDA: x, y and their gradients may be bf16. Forward is 3 launches, backward 4 (3 without dx): partial sums of the
// channels over blocks of pixels; a block for each group, which adds these in their order and makes the channels'
// lines; the second pass, which begins where the first ended, with what the L2 cache still holds. Beside the passes
// they move 16 bytes per channel and block of pixels twice, some hundredths of the rest.
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
  Line<T>* lines;     // (B,C), z in x; on CUDA

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

/// Room for a line in each channel of every image, (B,C,2).
Tensor lines_of(const Channels& shape, DType dtype, Device device) {
  return Tensor({shape.images, shape.channels, 2}, dtype, device);
}

template <class T>
Line<T>* line_pointer(const Tensor& lines) {
  return reinterpret_cast<Line<T>*>(lines.data<T>());
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
/// Lines of W neighbouring channels.
template <class T, int W>
using ChannelLines = Vector<Line<T>, W>;

/// Sums of x and x^2.
template <class S, int W, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads, 4)
    moments_kernel(PixelRows cut, int64_t channels, const S* x, double* partial) {
  sum_channels<2, W, 4, T>(cut, channels, partial, [=](int64_t, int64_t, T(&sums)[2][W]) {
    return PixelPass{[=](int64_t, int64_t i) { return load<W>(x + i); },
                     [&](int64_t, int64_t, const Vector<S, W>& xs) {
                       for (int w = 0; w < W; ++w) {
                         const T v = T(xs.v[w]);
                         sums[0][w] += v;
                         sums[1][w] += v * v;
                       }
                     }};
  });
}

/// The image and the channels of a block's group, a block being there for each of every image.
struct BlockOfGroup {
  int64_t image, first, count;

  __device__ explicit BlockOfGroup(const Norm& norm)
      : image(blockIdx.x / norm.groups),
        first(blockIdx.x % norm.groups * norm.group_channels()),
        count(norm.group_channels()) {}
};

/// A block per group of each image, so few of them: statistics, the channels' sums of x and their lines. moments
/// (B,2,C) is room.
template <class S, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads, 1)
    statistics_kernel(Normed<S> in, int64_t blocks, int lanes, const double* partial, double* moments) {
  const BlockOfGroup group(in.norm);
  const int64_t channels = in.norm.shape.channels, at = group.image * channels + group.first;
  double* const of_group = moments + 2 * group.image * channels + group.first;
  sum_blocks<2>(partial + group.image * blocks * 2 * channels, blocks, channels, group.first, group.count, lanes,
                [=](int n, int64_t c, double sum) { of_group[n * channels + c] = sum; });
  Moments share;  // the thread's, of the group's
  for (int64_t c = threadIdx.x; c < group.count; c += row_threads) {
    const Moments m{of_group[c], of_group[channels + c]};
    in.sums[at + c] = m.sum;
    share += m.with_bias(in.bias_of(group.first + c), double(in.norm.shape.pixels));
  }
  share = {cuda::block_sum<row_threads>(share.sum), cuda::block_sum<row_threads>(share.squares)};
  const Statistics stats = statistics(share, in.norm.group_size(), in.norm.eps);
  if (threadIdx.x == 0) in.stats[blockIdx.x] = stats;
  for (int64_t c = threadIdx.x; c < group.count; c += row_threads) {
    const int64_t channel = group.first + c;
    const Line<double> z =
        normalising_line(stats.in_channel(in.bias_of(channel)), double(in.gamma[channel]), double(in.beta[channel]));
    in.lines[at + c] = {T(z.scale), T(z.shift)};
  }
}

template <class S, int W, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads, 3) normalise_kernel(Normed<S> in, PixelRows cut, S* y) {
  const T slope = T(in.norm.slope);
  const int64_t channels = in.norm.shape.channels;
  for_channels<W, 4>(cut, channels, [=](int64_t image, int64_t first) {
    const ChannelLines<T, W> z = load<W>(in.lines + image * channels + first);
    return PixelPass{[=](int64_t, int64_t i) { return load<W>(in.x + i); },
                     [=](int64_t, int64_t i, Vector<S, W> v) {
                       for (int w = 0; w < W; ++w) v.v[w] = S(activate(z.v[w](T(v.v[w])), slope));
                       store(y + i, v);
                     }};
  });
}

template <class S, int W>
struct XAndGradient {
  Vector<S, W> x, dy;
};

/// Sums of dz and dz x.
template <class S, int W, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads, 3)
    gradient_sums_kernel(Normed<S> in, PixelRows cut, const S* dy, double* partial) {
  const T slope = T(in.norm.slope);
  const int64_t channels = in.norm.shape.channels;
  sum_channels<2, W, 2, T>(cut, channels, partial, [=](int64_t image, int64_t first, T(&sums)[2][W]) {
    const ChannelLines<T, W> z = load<W>(in.lines + image * channels + first);
    return PixelPass{[=](int64_t, int64_t i) {
                       return XAndGradient<S, W>{load<W>(in.x + i), load<W>(dy + i)};
                     },
                     [=, &sums](int64_t, int64_t, const XAndGradient<S, W>& read) {
                       for (int w = 0; w < W; ++w) {
                         const T v = T(read.x.v[w]), dz = activation_gradient(T(read.dy.v[w]), z.v[w](v), slope);
                         sums[0][w] += dz;
                         sums[1][w] += dz * v;
                       }
                     }};
  });
}

/// Of an image's channel: sums of dz, dz xhat and dx.
enum Share { of_dz, of_dz_xhat, of_dx, shares };

/// A block per group of each image: the channels' sums (B,shares,C), and what dx has beside gamma r dz, as lines in x
/// (B,C).
template <class S, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads)
    group_gradients_kernel(Normed<S> in, int64_t blocks, int lanes, const double* partial, double* sums,
                           Line<T>* rest_lines) {
  const BlockOfGroup group(in.norm);
  const int64_t channels = in.norm.shape.channels, at = group.image * channels + group.first;
  double* const of_group = sums + shares * group.image * channels + group.first;
  sum_blocks<2>(partial + group.image * blocks * 2 * channels, blocks, channels, group.first, group.count, lanes,
                [=](int n, int64_t c, double sum) { of_group[n * channels + c] = sum; });
  GradientMeans means;
  for (int64_t c = threadIdx.x; c < group.count; c += row_threads) {
    const int64_t channel = group.first + c;
    const double dz = of_group[c], dz_x = of_group[channels + c];
    const double dz_xhat = sum_with_xhat(in.channel(group.image, channel), dz_x, dz);
    of_group[of_dz_xhat * channels + c] = dz_xhat;
    means.dz += double(in.gamma[channel]) * dz / in.norm.group_size();
    means.dz_xhat += double(in.gamma[channel]) * dz_xhat / in.norm.group_size();
  }
  means = {cuda::block_sum<row_threads>(means.dz), cuda::block_sum<row_threads>(means.dz_xhat)};
  for (int64_t c = threadIdx.x; c < group.count; c += row_threads) {
    const int64_t channel = group.first + c;
    const Line<double> rest = gradient_line(in.channel(group.image, channel), means);
    of_group[of_dx * channels + c] = sum_of_gradients(in.line(group.image, channel).scale, of_group[c], rest,
                                                      in.sums[at + c], double(in.norm.shape.pixels));
    rest_lines[at + c] = {T(rest.scale), T(rest.shift)};
  }
}

/// A thread per channel; sums are group_gradients_kernel's.
template <class S, class T = compute_t<S>>
__global__ void __launch_bounds__(warp_size)
    parameter_gradients_kernel(Channels shape, const double* sums, NormGradients<S> g) {
  const int64_t c = int64_t(blockIdx.x) * warp_size + threadIdx.x;
  if (c >= shape.channels) return;
  double all[shares] = {};
#pragma unroll 4
  for (int64_t b = 0; b < shape.images; ++b)
    for (int n = 0; n < shares; ++n) all[n] += sums[(b * shares + n) * shape.channels + c];
  g.dbeta[c] = T(all[of_dz]);
  g.dgamma[c] = T(all[of_dz_xhat]);
  if (g.dbias != nullptr) g.dbias[c] = T(all[of_dx]);
}

template <class S, int W, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads, 3)
    input_gradient_kernel(Normed<S> in, PixelRows cut, const S* dy, const Line<T>* rest_lines, S* dx) {
  const T slope = T(in.norm.slope);
  const int64_t channels = in.norm.shape.channels;
  for_channels<W, 2>(cut, channels, [=](int64_t image, int64_t first) {
    const ChannelLines<T, W> z = load<W>(in.lines + image * channels + first);
    const ChannelLines<T, W> rest = load<W>(rest_lines + image * channels + first);
    return PixelPass{[=](int64_t, int64_t i) {
                       return XAndGradient<S, W>{load<W>(in.x + i), load<W>(dy + i)};
                     },
                     [=](int64_t, int64_t i, const XAndGradient<S, W>& read) {
                       Vector<S, W> v;
                       for (int w = 0; w < W; ++w) {
                         const T x = T(read.x.v[w]), dz = activation_gradient(T(read.dy.v[w]), z.v[w](x), slope);
                         v.v[w] = S(input_gradient(z.v[w].scale, dz, rest.v[w](x)));
                       }
                       store(dx + i, v);
                     }};
  });
}

}  // namespace

namespace cuda {

PixelRows cut_pixels(const Channels& shape, int width) {
  return {shape.images, shape.pixels, power_of_two((shape.channels + width - 1) / width, row_threads)};
}

/// Room for the sums of a pass.
Tensor partial_sums(const Channels& shape, const PixelRows& cut) {
  return Tensor({shape.images, cut.blocks, 2, shape.channels}, DType::f64, Device::cuda);
}

/// Of the threads that add up a group's sums.
int lanes_of_group(const Norm& norm) { return power_of_two(norm.group_channels(), row_threads); }

template <class S>
void norm_forward(const Normed<S>& in, S* y) {
  const Channels& shape = in.norm.shape;
  const Tensor moments({shape.images, 2, shape.channels}, DType::f64, Device::cuda);
  with_vectors<S>(shape.channels, [&]<int W>() {
    const PixelRows cut = cut_pixels(shape, W);
    const Tensor partial = partial_sums(shape, cut);
    launch({cut.grid, row_threads}, moments_kernel<S, W>, cut, shape.channels, in.x, partial.data<double>());
    launch({blocks_for(shape.images * in.norm.groups, 1), row_threads}, statistics_kernel<S>, in, cut.blocks,
           lanes_of_group(in.norm), partial.data<double>(), moments.data<double>());
    launch({cut.grid, row_threads}, normalise_kernel<S, W>, in, cut.backwards(), y);
  });
}

template <class S, class T = compute_t<S>>
void norm_backward(const Normed<S>& in, const S* dy, const NormGradients<S>& g) {
  const Channels& shape = in.norm.shape;
  const Tensor sums({shape.images, shares, shape.channels}, DType::f64, Device::cuda);
  const Tensor rest = lines_of(shape, dtype_of<T>(), Device::cuda);
  with_vectors<S>(shape.channels, [&]<int W>() {
    const PixelRows cut = cut_pixels(shape, W);
    const Tensor partial = partial_sums(shape, cut);
    launch({cut.grid, row_threads}, gradient_sums_kernel<S, W>, in, cut, dy, partial.data<double>());
    launch({blocks_for(shape.images * in.norm.groups, 1), row_threads}, group_gradients_kernel<S>, in, cut.blocks,
           lanes_of_group(in.norm), partial.data<double>(), sums.data<double>(), line_pointer<T>(rest));
    launch({blocks_for(shape.channels, warp_size), warp_size}, parameter_gradients_kernel<S>, shape,
           sums.data<double>(), g);
    if (g.dx != nullptr)
      launch({cut.grid, row_threads}, input_gradient_kernel<S, W>, in, cut.backwards(), dy, line_pointer<T>(rest),
             g.dx);
  });
}

}  // namespace cuda

namespace {
#endif

// ---- The ops --------------------------------------------------------------------------------------------------------

template <class S, class T = compute_t<S>>
Normed<S> normed(const Norm& norm, const Tensor& x, const Tensor& bias, const Tensor& gamma, const Tensor& beta,
                 const Tensor& stats, const Tensor& sums, const Tensor& lines) {
  return {norm,
          x.data<S>(),
          pointer<T>(bias),
          gamma.data<T>(),
          beta.data<T>(),
          reinterpret_cast<Statistics*>(stats.data<double>()),
          sums.data<double>(),
          lines.defined() ? line_pointer<T>(lines) : nullptr};
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
  const Tensor lines = x.device() == Device::cuda ? lines_of(norm.shape, wide, x.device()) : Tensor{};
  visit_stored(x.dtype(), [&]<class S>() {
    GT_DISPATCH_STORED(S, x.device(), norm_forward, normed<S>(norm, x, bias, gamma, beta, stats, sums, lines),
                       y.data<S>());
  });
  return record(name, y, {x, bias, gamma, beta},
                [=, x = x.detach(), bias = detached(bias), gamma = gamma.detach(), beta = beta.detach(),
                 x_needs = x.requires_grad(), bias_needs = bias.requires_grad()](const Tensor& dy) -> Tensors {
                  const Tensor dx = gradient_of(x, x_needs), dbias = gradient_of(bias, bias_needs);
                  const Tensor dgamma = gradient_of(gamma, true), dbeta = gradient_of(beta, true);
                  visit_stored(x.dtype(), [&]<class S>() {
                    using T = compute_t<S>;
                    GT_DISPATCH_STORED(
                        S, x.device(), norm_backward, normed<S>(norm, x, bias, gamma, beta, stats, sums, lines),
                        dy.data<S>(),
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
