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

/// sum dz xhat from the sums of dz x and dz.
GT_HD inline double sum_with_xhat(const Statistics& s, double dz_x, double dz) { return s.rstd * (dz_x - s.mean * dz); }

/// What dx has beside gamma r dz, in x, from the group's means of gamma dz and gamma dz xhat.
GT_HD inline Line<double> gradient_line(const Statistics& s, double mean_dz, double mean_dz_xhat) {
  const double scale = -s.rstd * s.rstd * mean_dz_xhat;
  return {scale, -s.rstd * mean_dz - s.mean * scale};
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
    return normalising_line(stats[b * norm.groups + c / norm.group_channels()], double(gamma[c]), double(beta[c]));
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
      return activate(Line<T>{scale[j], shift[j]}(x[i]), slope);
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
  std::vector<Line<double>> lines;  // (B,G)
  for (int64_t k = 0; k < norm.shape.images * norm.groups; ++k) {
    const int64_t b = k / norm.groups, first = k % norm.groups * norm.group_channels();
    double mean_dz = 0, mean_dz_xhat = 0;  // of gamma dz and gamma dz xhat
    for (int64_t c = first; c < first + norm.group_channels(); ++c) {
      const double dz = sums[size_t(2 * b * channels + c)];
      const double dz_xhat = sum_with_xhat(stats[k], sums[size_t((2 * b + 1) * channels + c)], dz);
      sum_dz[size_t(c)] += dz;
      sum_dz_xhat[size_t(c)] += dz_xhat;
      mean_dz += double(gamma[c]) * dz / norm.group_size();
      mean_dz_xhat += double(gamma[c]) * dz_xhat / norm.group_size();
    }
    lines.push_back(gradient_line(stats[k], mean_dz, mean_dz_xhat));
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
    return
        [=, scale = z_lines.scale(image), shift = z_lines.shift(image), slope = T(norm.slope)](int64_t i, int64_t j) {
          return activation_gradient(dy[i], Line<T>{scale[j], shift[j]}(x[i]), slope);
        };
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
      return gamma_r[j] * dz_at(i, j) + Line<T>{scale[j], shift[j]}(x[i]);
    });
  });
}

}  // namespace cpu

// ---- CUDA -----------------------------------------------------------------------------------------------------------

#if GT_CUDA
constexpr int norm_threads = 256;

/// How each image's pixels are cut into blocks. The threads of a block stand in rows of `lanes`: a row takes a pixel,
/// W channels a thread, and all rows take neighbouring pixels at once.
struct Cut {
  int lanes;
  unsigned blocks;  // of an image
  int64_t block_pixels;

  Cut(const Channels& shape, int width)
      : lanes(power_of_two((shape.channels + width - 1) / width, norm_threads)),
        block_pixels(items_per_block(shape.images * shape.pixels, norm_threads / lanes, 4, 32)) {
    blocks = unsigned((shape.pixels + block_pixels - 1) / block_pixels);
  }
};

/// What a thread of it takes: pixels begin, begin + rows, .. below end, counted through all images.
struct Place {
  int lane, row, rows;
  unsigned image, block;
  int64_t begin, end;

  __device__ Place(const Channels& shape, const Cut& cut)
      : lane(int(threadIdx.x) % cut.lanes),
        row(int(threadIdx.x) / cut.lanes),
        rows(norm_threads / cut.lanes),
        image(blockIdx.x / cut.blocks),
        block(blockIdx.x % cut.blocks) {
    const int64_t first = int64_t(block) * cut.block_pixels;
    const int64_t last = first + cut.block_pixels < shape.pixels ? first + cut.block_pixels : shape.pixels;
    begin = image * shape.pixels + first + row;
    end = image * shape.pixels + last;
  }
};

/// z as lines in x, in W neighbouring channels.
template <class T, int W>
struct ChannelLines {
  Line<T> of[W];

  __device__ ChannelLines(const Norm& norm, const Statistics* stats, const T* gamma, const T* beta, unsigned image,
                          int64_t c) {
    for (int w = 0; w < W; ++w) {
      const unsigned group = unsigned(c + w) / unsigned(norm.group_channels());
      const Line<double> line =
          normalising_line(stats[image * norm.groups + group], double(gamma[c + w]), double(beta[c + w]));
      of[w] = {T(line.scale), T(line.shift)};
    }
  }
};

/// A block's two sums over its pixels, for every channel: f = make(image, c) is called as f(i, sums) for the W elements
/// at i, of channels c .. c+W-1. partial (B,2,C,blocks).
template <int W, class Make>
__device__ void sum_channels(const Channels& shape, const Cut& cut, double* partial, const Make& make) {
  const Place at(shape, cut);
  for (int64_t first = 0; first < shape.channels; first += cut.lanes * W) {
    const int64_t c = first + at.lane * W;
    double sums[2][W] = {};
    if (c < shape.channels) {
      const auto f = make(at.image, c);
#pragma unroll 4
      for (int64_t p = at.begin; p < at.end; p += at.rows) f(p * shape.channels + c, sums);
    }
    for (int n = 0; n < 2; ++n) {
      sum_rows<norm_threads>(sums[n], cut.lanes);
      if (at.row > 0 || c >= shape.channels) continue;
      for (int w = 0; w < W; ++w)
        partial[((2 * int64_t(at.image) + n) * shape.channels + c + w) * cut.blocks + at.block] = sums[n][w];
    }
  }
}

/// f = make(image, c) is called as f(i) for the W elements at i, for all of x.
template <int W, class Make>
__device__ void for_channels(const Channels& shape, const Cut& cut, const Make& make) {
  const Place at(shape, cut);
  for (int64_t c = at.lane * W; c < shape.channels; c += cut.lanes * W) {
    const auto f = make(at.image, c);
    for (int64_t p = at.begin; p < at.end; p += at.rows) f(p * shape.channels + c);
  }
}

/// Sums of x and x^2.
template <class S, int W>
__global__ void __launch_bounds__(norm_threads) moments_kernel(Channels shape, Cut cut, const S* x, double* partial) {
  sum_channels<W>(shape, cut, partial, [=](unsigned, int64_t) {
    return [=](int64_t i, double(&sums)[2][W]) {
      const Pack<S, W> xs = Pack<S, W>::at(x + i);
      for (int w = 0; w < W; ++w) {
        const double v = double(compute_t<S>(xs.v[w]));
        sums[0][w] += v;
        sums[1][w] += v * v;
      }
    };
  });
}

/// A block per group of each image.
__global__ void __launch_bounds__(norm_threads)
    statistics_kernel(Norm norm, int64_t blocks, const double* partial, Statistics* stats) {
  const int64_t image = blockIdx.x / norm.groups, group = blockIdx.x % norm.groups;
  const int64_t size = norm.group_channels() * blocks, channels = norm.shape.channels;
  const double* sums = partial + 2 * image * channels * blocks + group * size;
  const double* squares = sums + channels * blocks;
  double sum = 0, sum_of_squares = 0;
  for (int64_t i = threadIdx.x; i < size; i += norm_threads) {
    sum += sums[i];
    sum_of_squares += squares[i];
  }
  sum = cuda::block_sum<norm_threads>(sum);
  sum_of_squares = cuda::block_sum<norm_threads>(sum_of_squares);
  if (threadIdx.x == 0) stats[blockIdx.x] = statistics(sum, sum_of_squares, norm.group_size(), norm.eps);
}

template <class S, int W, class T = compute_t<S>>
__global__ void __launch_bounds__(norm_threads)
    normalise_kernel(Norm norm, Cut cut, const S* x, const T* gamma, const T* beta, const Statistics* stats, S* y) {
  const T slope = T(norm.slope);
  for_channels<W>(norm.shape, cut, [=](unsigned image, int64_t c) {
    return [=, z = ChannelLines<T, W>(norm, stats, gamma, beta, image, c)](int64_t i) {
      Pack<S, W> v = Pack<S, W>::at(x + i);
      for (int w = 0; w < W; ++w) v.v[w] = S(activate(z.of[w](T(v.v[w])), slope));
      Pack<S, W>::at(y + i) = v;
    };
  });
}

/// Sums of dz and dz x.
template <class S, int W, class T = compute_t<S>>
__global__ void __launch_bounds__(norm_threads)
    gradient_sums_kernel(Norm norm, Cut cut, const S* x, const T* gamma, const T* beta, const Statistics* stats,
                         const S* dy, double* partial) {
  const T slope = T(norm.slope);
  sum_channels<W>(norm.shape, cut, partial, [=](unsigned image, int64_t c) {
    return [=, z = ChannelLines<T, W>(norm, stats, gamma, beta, image, c)](int64_t i, double(&sums)[2][W]) {
      const Pack<S, W> xs = Pack<S, W>::at(x + i), dys = Pack<S, W>::at(dy + i);
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
__global__ void __launch_bounds__(norm_threads)
    group_gradients_kernel(Norm norm, int64_t blocks, const double* partial, const T* gamma, const Statistics* stats,
                           double* sums, Line<double>* lines) {
  const int lane = int(threadIdx.x) % warp_size, warp = int(threadIdx.x) / warp_size;
  const int64_t image = blockIdx.x / norm.groups, group = blockIdx.x % norm.groups, channels = norm.shape.channels;
  const int64_t first = group * norm.group_channels(), last = first + norm.group_channels();
  double mean_dz = 0, mean_dz_xhat = 0;  // of gamma dz and gamma dz xhat: the warp's share
  for (int64_t c = first + warp; c < last; c += norm_threads / warp_size) {
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
  mean_dz = cuda::block_sum<norm_threads>(mean_dz);
  mean_dz_xhat = cuda::block_sum<norm_threads>(mean_dz_xhat);
  if (threadIdx.x == 0) lines[blockIdx.x] = gradient_line(stats[blockIdx.x], mean_dz, mean_dz_xhat);
}

/// A thread per channel.
template <class T>
__global__ void __launch_bounds__(norm_threads)
    parameter_gradients_kernel(Channels shape, const double* sums, T* dgamma, T* dbeta) {
  const int64_t c = int64_t(blockIdx.x) * norm_threads + threadIdx.x;
  if (c >= shape.channels) return;
  double dz = 0, dz_xhat = 0;
  for (int64_t b = 0; b < shape.images; ++b) {
    dz += sums[2 * b * shape.channels + c];
    dz_xhat += sums[(2 * b + 1) * shape.channels + c];
  }
  dbeta[c] = T(dz);
  dgamma[c] = T(dz_xhat);
}

template <class S, int W, class T = compute_t<S>>
__global__ void __launch_bounds__(norm_threads)
    input_gradient_kernel(Norm norm, Cut cut, const S* x, const T* gamma, const T* beta, const Statistics* stats,
                          const S* dy, const Line<double>* lines, S* dx) {
  const T slope = T(norm.slope);
  for_channels<W>(norm.shape, cut, [=](unsigned image, int64_t c) {
    Line<T> rest[W];
    for (int w = 0; w < W; ++w) {
      const Line<double> line = lines[image * norm.groups + unsigned(c + w) / unsigned(norm.group_channels())];
      rest[w] = {T(line.scale), T(line.shift)};
    }
    return [=, z = ChannelLines<T, W>(norm, stats, gamma, beta, image, c)](int64_t i) {
      const Pack<S, W> xs = Pack<S, W>::at(x + i);
      Pack<S, W> v = Pack<S, W>::at(dy + i);
      for (int w = 0; w < W; ++w) {
        const T dz = activation_gradient(T(v.v[w]), z.of[w](T(xs.v[w])), slope);
        v.v[w] = S(z.of[w].scale * dz + rest[w](T(xs.v[w])));
      }
      Pack<S, W>::at(dx + i) = v;
    };
  });
}

}  // namespace

namespace cuda {

/// Room for the sums of a pass.
Tensor partial_sums(const Channels& shape, const Cut& cut) {
  return Tensor({shape.images, 2, shape.channels, cut.blocks}, DType::f64, Device::cuda);
}

Launch pass(const Channels& shape, const Cut& cut) { return {blocks_for(shape.images * cut.blocks, 1), norm_threads}; }

template <class S, class T = compute_t<S>>
void norm_forward(const Norm& norm, const S* x, const T* gamma, const T* beta, S* y, Statistics* stats) {
  const Channels& shape = norm.shape;
  visit_width<S>(shape.channels % vector_size<S> == 0 && aligned16(x, y), [&]<int W>() {
    const Cut cut(shape, W);
    const Tensor partial = partial_sums(shape, cut);
    launch(pass(shape, cut), moments_kernel<S, W>, shape, cut, x, partial.data<double>());
    launch({blocks_for(shape.images * norm.groups, 1), norm_threads}, statistics_kernel, norm, cut.blocks,
           partial.data<double>(), stats);
    launch(pass(shape, cut), normalise_kernel<S, W>, norm, cut, x, gamma, beta, stats, y);
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
  visit_width<S>(shape.channels % vector_size<S> == 0 && aligned16(x, dy, dx), [&]<int W>() {
    const Cut cut(shape, W);
    const Tensor partial = partial_sums(shape, cut);
    launch(pass(shape, cut), gradient_sums_kernel<S, W>, norm, cut, x, gamma, beta, stats, dy, partial.data<double>());
    launch({blocks_for(shape.images * norm.groups, 1), norm_threads}, group_gradients_kernel<T>, norm, cut.blocks,
           partial.data<double>(), gamma, stats, sums.data<double>(), x_lines);
    launch({blocks_for(shape.channels, norm_threads), norm_threads}, parameter_gradients_kernel<T>, shape,
           sums.data<double>(), dgamma, dbeta);
    if (dx != nullptr)
      launch(pass(shape, cut), input_gradient_kernel<S, W>, norm, cut, x, gamma, beta, stats, dy, x_lines, dx);
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
