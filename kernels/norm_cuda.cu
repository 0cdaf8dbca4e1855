// The normalisations on CUDA, in two ways that give the same but for the order of their sums. x, y and their gradients
// may be bf16.
//
// In one pass: a block keeps its pixels of an image in shared memory, waits for the sums of that image's other blocks
// (meeting.cuh) and goes on with what it has kept. Per element of size s forward moves 2s in 1 launch, backward 3s in
// 2. For that the device must hold an image's blocks at once; beside the elements move 16 bytes per group and block,
// and backward 24 per channel and block.
//
// In two passes, where it does not: forward moves 3s in 3 launches, backward 5s in 4. Partial sums of the channels over
// blocks of pixels; a block for each group, which adds these in their order and makes the channels' lines; the second
// pass, which begins where the first ended, with what the L2 cache still holds. Beside the passes they move 16 or 24
// bytes per channel and block of pixels twice, some hundredths of the rest.
//
// A thread's first 32 summands at most are added in the type that the maths has, all others in double.
#include <algorithm>
#include <optional>

#include "core/launch.cuh"
#include "kernels/cuda/grid_barrier.cuh"
#include "kernels/cuda/pixel_partition.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/vector.cuh"
#include "kernels/norm.h"

#if GT_CUDA

namespace gt::norm {
namespace {

/// Lines of W neighbouring channels.
template <class T, int W>
using ChannelAffines = Vector<Affine<T>, W>;

template <class S, int W>
struct XAndGradient {
  Vector<S, W> x, dy;
};

// ---- What a pass does with its elements, which it reads where `read` says -------------------------------------------

/// Adds to the sums of x and x^2.
template <int W, class T, class Read>
__device__ auto moments_pass(T (&sums)[2][W], const Read& read) {
  return PixelPass{read, [&](int64_t, int64_t, const auto& x) {
                     for (int w = 0; w < W; ++w) {
                       const T v = T(x.v[w]);
                       sums[0][w] += v;
                       sums[1][w] += v * v;
                     }
                   }};
}

template <int W, class T, class S, class Read>
__device__ auto normalise_pass(const ChannelAffines<T, W>& z, T slope, S* y, const Read& read) {
  return PixelPass{read, [=](int64_t, int64_t i, Vector<S, W> v) {
                     for (int w = 0; w < W; ++w) v.v[w] = S(activate(z.v[w](T(v.v[w])), slope));
                     store(y + i, v);
                   }};
}

/// Of an image's channel: sums of dz, dz xhat and dx, and before these are known of dz, dz x and x.
enum Share { of_dz, of_dz_xhat, of_dx, shares };
constexpr int of_dz_x = of_dz_xhat, of_x = of_dx;

/// Adds to the sums of dz, dz x and x.
template <int W, class T, class Read>
__device__ auto gradient_sums_pass(T (&sums)[shares][W], const ChannelAffines<T, W>& z, T slope, const Read& read) {
  return PixelPass{read, [=, &sums](int64_t, int64_t, const auto& read) {
                     for (int w = 0; w < W; ++w) {
                       const T x = T(read.x.v[w]), dz = activation_gradient(T(read.dy.v[w]), z.v[w](x), slope);
                       sums[of_dz][w] += dz;
                       sums[of_dz_x][w] += dz * x;
                       sums[of_x][w] += x;
                     }
                   }};
}

template <int W, class T, class S, class Read>
__device__ auto input_gradient_pass(const ChannelAffines<T, W>& z, const ChannelAffines<T, W>& rest, T slope, S* dx,
                                    const Read& read) {
  return PixelPass{read, [=](int64_t, int64_t i, const XAndGradient<S, W>& read) {
                     Vector<S, W> v;
                     for (int w = 0; w < W; ++w) {
                       const T x = T(read.x.v[w]), dz = activation_gradient(T(read.dy.v[w]), z.v[w](x), slope);
                       v.v[w] = S(input_gradient(z.v[w].scale, dz, rest.v[w](x)));
                     }
                     store(dx + i, v);
                   }};
}

// ---- In two passes --------------------------------------------------------------------------------------------------

template <class S, int W, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads, 4)
    moments_kernel(PixelPartition partition, int64_t channels, const S* x, double* partial) {
  sum_channels<2, W, 4, T>(partition, channels, partial, [=](int64_t, int64_t, T(&sums)[2][W]) {
    return moments_pass(sums, [=](int64_t, int64_t i) { return load<W>(x + i); });
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

/// A block per group of each image, so few of them: statistics and the channels' lines. moments (B,2,C) is room.
template <class S, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads, 1)
    statistics_kernel(Normed<S> in, int64_t blocks, int lanes, const double* partial, double* moments) {
  const BlockOfGroup group(in.norm);
  const int64_t channels = in.norm.shape.channels;
  double* const of_group = moments + 2 * group.image * channels + group.first;
  sum_blocks<2>(partial + group.image * blocks * 2 * channels, blocks, channels, group.first, group.count, lanes,
                [=](int n, int64_t c, double sum) { of_group[n * channels + c] = sum; });
  Moments share;  // the thread's, of the group's
  for (int64_t c = threadIdx.x; c < group.count; c += row_threads)
    share += Moments{of_group[c], of_group[channels + c]}.with_bias(in.bias_of(group.first + c),
                                                                    double(in.norm.shape.pixels));
  share = {gt::cuda::block_sum<row_threads>(share.sum), gt::cuda::block_sum<row_threads>(share.squares)};
  const Statistics stats = statistics(share, in.norm.group_size(), in.norm.eps);
  if (threadIdx.x == 0) in.stats[blockIdx.x] = stats;
  for (int64_t c = threadIdx.x; c < group.count; c += row_threads) {
    const int64_t channel = group.first + c;
    const Affine<double> z = in.affine_by(stats, channel);
    in.lines[group.image * channels + channel] = {T(z.scale), T(z.shift)};
  }
}

template <class S, int W, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads, 3) normalise_kernel(Normed<S> in, PixelPartition partition, S* y) {
  const int64_t channels = in.norm.shape.channels;
  for_channels<W, 4>(partition, channels, [=](int64_t image, int64_t first) {
    return normalise_pass(load<W>(in.lines + image * channels + first), T(in.norm.slope), y,
                          [=](int64_t, int64_t i) { return load<W>(in.x + i); });
  });
}

/// Sums of dz, dz x and x.
template <class S, int W, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads, 3)
    gradient_sums_kernel(Normed<S> in, PixelPartition partition, const S* dy, double* partial) {
  const int64_t channels = in.norm.shape.channels;
  sum_channels<shares, W, 2, T>(partition, channels, partial, [=](int64_t image, int64_t first, T(&sums)[shares][W]) {
    return gradient_sums_pass(sums, load<W>(in.lines + image * channels + first), T(in.norm.slope),
                              [=](int64_t, int64_t i) {
                                return XAndGradient<S, W>{load<W>(in.x + i), load<W>(dy + i)};
                              });
  });
}

/// A block per group of each image: the channels' shares (B,shares,C), and what dx has beside gamma r dz, as lines in x
/// (B,C).
template <class S, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads)
    group_gradients_kernel(Normed<S> in, int64_t blocks, int lanes, const double* partial, double* sums,
                           Affine<T>* rest_affines) {
  const BlockOfGroup group(in.norm);
  const int64_t channels = in.norm.shape.channels;
  double* const of_group = sums + shares * group.image * channels + group.first;
  sum_blocks<shares>(partial + group.image * blocks * shares * channels, blocks, channels, group.first, group.count,
                     lanes, [=](int n, int64_t c, double sum) { of_group[n * channels + c] = sum; });
  GradientMeans means;
  for (int64_t c = threadIdx.x; c < group.count; c += row_threads) {
    double& dz_xhat = of_group[of_dz_xhat * channels + c];
    dz_xhat = sum_with_xhat(in.channel(group.image, group.first + c), of_group[of_dz_x * channels + c], of_group[c]);
    means += in.mean_shares(group.first + c, of_group[c], dz_xhat);
  }
  means = {gt::cuda::block_sum<row_threads>(means.dz), gt::cuda::block_sum<row_threads>(means.dz_xhat)};
  for (int64_t c = threadIdx.x; c < group.count; c += row_threads) {
    const int64_t channel = group.first + c;
    const Affine<double> rest = gradient_affine(in.channel(group.image, channel), means);
    double& dx = of_group[of_dx * channels + c];
    dx = sum_of_gradients(in.line(group.image, channel).scale, of_group[c], rest, of_group[of_x * channels + c],
                          double(in.norm.shape.pixels));
    rest_affines[group.image * channels + channel] = {T(rest.scale), T(rest.shift)};
  }
}

template <class S, int W, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads, 3)
    input_gradient_kernel(Normed<S> in, PixelPartition partition, const S* dy, const Affine<T>* rest_affines, S* dx) {
  const int64_t channels = in.norm.shape.channels;
  for_channels<W, 2>(partition, channels, [=](int64_t image, int64_t first) {
    return input_gradient_pass(load<W>(in.lines + image * channels + first),
                               load<W>(rest_affines + image * channels + first), T(in.norm.slope), dx,
                               [=](int64_t, int64_t i) {
                                 return XAndGradient<S, W>{load<W>(in.x + i), load<W>(dy + i)};
                               });
  });
}

// ---- In one pass ----------------------------------------------------------------------------------------------------

__device__ unsigned counters[GridBarrier::counters_of(max_barriers)];  // of the barrier, one for each image

/// Neighbouring groups of all images and their channels, which a launch is for.
struct GroupRange {
  int64_t first, count;

  __device__ ChannelRange channels(const Norm& norm) const {
    return {norm.shape.channels, first * norm.group_channels(), count * norm.group_channels()};
  }
};

/// A block's pixels of a tensor in shared memory, (pixels, channels of the range).
template <class S, int W>
struct SharedTile {
  S* elements;
  int64_t begin;  // the first pixel
  ChannelRange channels;

  __device__ Vector<S, W> at(int64_t p, int64_t i) const { return load<W>(elements + place(p, i)); }

  /// Starts to copy those that the thread will read.
  __device__ void fetch(const PixelPartition& partition, const S* from) const {
    for_channels<W, 1>(partition, channels, [&](int64_t, int64_t) {
      return PixelPass{[](int64_t, int64_t) { return 0; },
                       [&](int64_t p, int64_t i, int) { copy_to_shared<W>(elements + place(p, i), from + i); }};
    });
  }

 private:
  /// Of the tensor's element i, which is in pixel p.
  __device__ int place(int64_t p, int64_t i) const {
    return int(p - begin) * int(channels.count) + int(i - p * channels.stride - channels.first);
  }
};

/// The warp's sum of f(i) over i in [0, n), in every lane; a Pair is two doubles.
template <class Pair, class F>
__device__ Pair warp_sum_of(int64_t n, const F& f) {
  Pair share;
#pragma unroll 2
  for (int64_t i = threadIdx.x % warp_size; i < n; i += warp_size) share += f(i);
  auto& [a, b] = share;
  return {gt::cuda::warp_sum(a), gt::cuda::warp_sum(b)};
}

/// An image's sums over each of its groups' channels, of which the block has of(i) in channel i of the range: use(g,
/// sum), by some thread, when all of the image's blocks have met. partial (B,blocks,G) is room.
template <class Pair, class Of, class Use>
__device__ void sum_image(const GridBarrier& barrier, const PixelPartition& partition, int64_t groups,
                          int64_t group_channels, Pair* partial, const Of& of, const Use& use) {
  Pair* const of_image = partial + partition.image() * partition.blocks * groups;
  const int64_t warp = threadIdx.x / warp_size, warps = row_threads / warp_size;
  const bool first_lane = threadIdx.x % warp_size == 0;
  for (int64_t g = warp; g < groups; g += warps) {
    const Pair sum = warp_sum_of<Pair>(group_channels, [&](int64_t k) { return of(g * group_channels + k); });
    if (first_lane) of_image[partition.block() * groups + g] = sum;
  }
  barrier.arrive_and_wait(partition.image(), partition.blocks);
  for (int64_t g = warp; g < groups; g += warps) {
    const Pair sum = warp_sum_of<Pair>(partition.blocks, [&](int64_t b) { return of_image[b * groups + g]; });
    if (first_lane) use(g, sum);
  }
  __syncthreads();
}

/// The shared memory of a block, in parts of whole 128 bytes; without a beginning only their bytes are counted.
class SharedArena {
 public:
  GT_HD explicit SharedArena(char* begin = nullptr) : begin_(begin) {}

  template <class T>
  GT_HD T* take(int64_t count) {
    T* const part = begin_ == nullptr ? nullptr : reinterpret_cast<T*>(begin_ + bytes_);
    bytes_ += (size_t(count) * sizeof(T) + 127) / 128 * 128;
    return part;
  }
  GT_HD size_t bytes() const { return bytes_; }

 private:
  char* begin_;
  size_t bytes_ = 0;
};

/// What a block has there beside the pixels; C channels, G groups of the launch.
template <class T>
struct ForwardArena : SharedArena {
  double* sums;       // (2,C), until the lines take their place
  Statistics* stats;  // (G)
  Affine<T>* lines;   // (C), z in x

  GT_HD explicit ForwardArena(int64_t channels, int64_t groups, char* begin = nullptr)
      : SharedArena(begin),
        sums(take<double>(2 * channels)),
        stats(take<Statistics>(groups)),
        lines(reinterpret_cast<Affine<T>*>(sums)) {}
};

template <class T>
struct BackwardArena : SharedArena {
  double* sums;          // (shares,C)
  GradientMeans* means;  // (G)
  Affine<T>* lines;      // (C), what dx has beside gamma r dz

  GT_HD explicit BackwardArena(int64_t channels, int64_t groups, char* begin = nullptr)
      : SharedArena(begin),
        sums(take<double>(shares * channels)),
        means(take<GradientMeans>(groups)),
        lines(take<Affine<T>>(channels)) {}
};

/// Statistics, lines and y of the launch's groups. partial (B,blocks,G) is room.
template <class S, int W, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads, 3)
    norm_kernel(Normed<S> in, GroupRange groups, PixelPartition all, Moments* partial, S* y) {
  GT_DYNAMIC_SHARED(char, shared);
  const Norm& norm = in.norm;
  const ChannelRange channels = groups.channels(norm);
  const GridBarrier barrier{counters};
  const PixelPartition partition = all.with_ticket(barrier.ticket());
  ForwardArena<T> room(channels.count, groups.count, shared);
  const SharedTile<S, W> x{room.template take<S>(partition.block_pixels * channels.count), partition.begin(), channels};
  x.fetch(partition, in.x);
  const auto kept = [=](int64_t p, int64_t i) { return x.at(p, i); };
  wait_for_copies();

  sum_block<2, W, 2, T>(
      partition, channels, [&](int64_t, int64_t, T(&sums)[2][W]) { return moments_pass(sums, kept); },
      [=](int n, int64_t i, double sum) { room.sums[n * channels.count + i] = sum; });
  sum_image(
      barrier, partition, groups.count, norm.group_channels(), partial,
      [&](int64_t i) {
        return Moments{room.sums[i], room.sums[channels.count + i]}.with_bias(
            in.bias_of(channels.first + i), double(partition.end() - partition.begin()));
      },
      [&](int64_t g, const Moments& m) {
        room.stats[g] = statistics(m, norm.group_size(), norm.eps);
        if (partition.block() == 0) in.stats[partition.image() * norm.groups + groups.first + g] = room.stats[g];
      });
  for (int64_t i = threadIdx.x; i < channels.count; i += row_threads) {
    const int64_t c = channels.first + i;
    const Affine<double> z = in.affine_by(room.stats[norm.group_of(i)], c);
    room.lines[i] = {T(z.scale), T(z.shift)};
    if (partition.block() == 0) in.lines[partition.image() * channels.stride + c] = room.lines[i];
  }
  __syncthreads();
  for_channels<W, 2>(partition, channels, [&](int64_t, int64_t c) {
    return normalise_pass(load<W>(room.lines + c - channels.first), T(norm.slope), y, kept);
  });
  barrier.leave(norm.shape.images);
}

/// dx, unless it is null, and the blocks' shares of the parameters' gradients (B,blocks,shares,C). partial (B,blocks,G)
/// is room.
template <class S, int W, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads, 3)
    norm_gradients_kernel(Normed<S> in, GroupRange groups, PixelPartition all, const S* dy, GradientMeans* partial,
                          double* of_parameters, S* dx) {
  GT_DYNAMIC_SHARED(char, shared);
  const Norm& norm = in.norm;
  const ChannelRange channels = groups.channels(norm);
  const GridBarrier barrier{counters};
  const PixelPartition partition = all.with_ticket(barrier.ticket());
  BackwardArena<T> room(channels.count, groups.count, shared);
  const SharedTile<S, W> x{room.template take<S>(partition.block_pixels * channels.count), partition.begin(), channels};
  const SharedTile<S, W> gradient{room.template take<S>(partition.block_pixels * channels.count), partition.begin(),
                                  channels};
  x.fetch(partition, in.x);
  gradient.fetch(partition, dy);
  const auto kept = [=](int64_t p, int64_t i) { return XAndGradient<S, W>{x.at(p, i), gradient.at(p, i)}; };
  const int64_t image = partition.image();
  const auto z_affines = [=](int64_t c) { return load<W>(in.lines + image * channels.stride + c); };
  wait_for_copies();

  sum_block<shares, W, 2, T>(
      partition, channels,
      [&](int64_t, int64_t c, T(&sums)[shares][W]) {
        return gradient_sums_pass(sums, z_affines(c), T(norm.slope), kept);
      },
      [=](int n, int64_t i, double sum) { room.sums[n * channels.count + i] = sum; });
  const auto of_share = [=](Share share) { return room.sums + share * channels.count; };
  sum_image(
      barrier, partition, groups.count, norm.group_channels(), partial,
      [&](int64_t i) {
        const int64_t c = channels.first + i;
        double& dz_xhat = of_share(of_dz_xhat)[i];  // so far dz x
        dz_xhat = sum_with_xhat(in.channel(image, c), dz_xhat, of_share(of_dz)[i]);
        return in.mean_shares(c, of_share(of_dz)[i], dz_xhat);
      },
      [&](int64_t g, const GradientMeans& means) { room.means[g] = means; });
  double* const to = of_parameters + (image * partition.blocks + partition.block()) * shares * channels.stride;
  for (int64_t i = threadIdx.x; i < channels.count; i += row_threads) {
    const int64_t c = channels.first + i;
    const Affine<double> rest = gradient_affine(in.channel(image, c), room.means[norm.group_of(i)]);
    const double dz = of_share(of_dz)[i];
    room.lines[i] = {T(rest.scale), T(rest.shift)};
    to[of_dz * channels.stride + c] = dz;
    to[of_dz_xhat * channels.stride + c] = of_share(of_dz_xhat)[i];
    to[of_dx * channels.stride + c] = sum_of_gradients(in.line(image, c).scale, dz, rest, of_share(of_dx)[i],  // of x
                                                       double(partition.end() - partition.begin()));
  }
  __syncthreads();
  if (dx != nullptr)
    for_channels<W, 2>(partition, channels, [&](int64_t, int64_t c) {
      return input_gradient_pass(z_affines(c), load<W>(room.lines + c - channels.first), T(norm.slope), dx, kept);
    });
  barrier.leave(norm.shape.images);
}

// ---- Both -----------------------------------------------------------------------------------------------------------

/// Where the sums of shares (shares,C) of the parameters' gradients go.
template <class S>
struct ParameterGradients {
  NormGradients<S> g;
  int64_t channels;

  __device__ void operator()(int64_t, int64_t k, double sum) const {
    const int64_t share = k / channels;
    auto* const to = share == of_dz ? g.dbeta : share == of_dz_xhat ? g.dgamma : g.dbias;
    if (to != nullptr) to[k % channels] = compute_t<S>(sum);
  }
};

/// The parameters' gradients from shares of them (rows,shares,C).
template <class S>
void sum_parameter_gradients(const Norm& norm, int64_t rows, const Tensor& of_rows, const NormGradients<S>& g) {
  const int64_t width = shares * norm.shape.channels;
  gt::cuda::add_blocks(1, rows, width, width, of_rows.data<double>(), ParameterGradients<S>{g, norm.shape.channels});
}

/// Threads to a pixel.
int lanes_of(int64_t channels, int width) { return power_of_two((channels + width - 1) / width, row_threads); }

struct OnePass {
  int64_t launches;  // each for as many of the groups
  PixelPartition partition;
  size_t shared_bytes;

  /// SharedArena for pairs of doubles of a launch, of each group in each block.
  Tensor pairs(const Norm& norm) const {
    return Tensor({norm.shape.images, partition.blocks, norm.groups / launches, 2}, DType::f64, Device::cuda);
  }
  /// launch(), once for each range of groups.
  template <class S, class... Parameters, class... Arguments>
  void launch_each(void (*kernel)(Parameters...), const Normed<S>& in, const Arguments&... arguments) const {
    const int64_t count = in.norm.groups / launches;
    for (int64_t i = 0; i < launches; ++i)
      launch({partition.grid, row_threads, shared_bytes}, kernel, in, GroupRange{i * count, count}, partition,
             arguments...);
  }
};

/// How the pixels are cut for a kernel whose blocks keep them, of so many tensors of W elements a thread, and have
/// Beside beside them: into as many blocks as the device holds at once, or if it holds less than all pixels into the
/// largest. An image's blocks may be half of those that it holds, so that others read while they wait; else a launch is
/// for the half of the groups, and so on as long as a pixel's share is of 64 bytes, which memory moves as one. Nothing
/// where that does not do, or if a block cannot hold as many pixels as it has rows.
template <class S, int W, class Beside, class... Parameters>
std::optional<OnePass> in_one_pass(const Norm& norm, int64_t tensors, void (*kernel)(Parameters...)) {
  constexpr int64_t max_shared = 66 * 1024 + 512;  // bytes: three blocks on an H100's multiprocessor, with sum_rows()'s
  const ImageShape& shape = norm.shape;
  for (int64_t launches = 1; norm.groups % launches == 0; launches *= 2) {
    const int64_t channels = shape.channels / launches;
    if (launches > 1 && (channels % W != 0 || channels * int64_t(sizeof(S)) < 64)) return {};
    const int lanes = lanes_of(channels, W), rows = row_threads / lanes;
    const auto shared_bytes = [&](int64_t units) {  // for units of a pixel in every row
      Beside room(channels, norm.groups / launches);
      for (int64_t i = 0; i < tensors; ++i) room.template take<S>(units * rows * channels);
      return room.bytes();
    };
    const int64_t beside = int64_t(shared_bytes(0));
    const int64_t most = std::min<int64_t>(max_units, (max_shared - beside) / (int64_t(shared_bytes(1)) - beside));
    if (most <= 0) continue;
    const int64_t held = blocks_at_once(kernel, row_threads, shared_bytes(most));
    if (held == 0) continue;
    const int64_t units = std::clamp<int64_t>((shape.images * shape.pixels + rows * held - 1) / (rows * held), 1, most);
    const PixelPartition partition(shape.images, shape.pixels, lanes, units * rows);
    if (fit_at_once(shape.images, partition.blocks, held)) return OnePass{launches, partition, shared_bytes(units)};
  }
  return {};
}

/// SharedArena for the sums of a pass.
Tensor partial_sums(const ImageShape& shape, const PixelPartition& partition, int n) {
  return Tensor({shape.images, partition.blocks, n, shape.channels}, DType::f64, Device::cuda);
}

/// Of the threads that add up a group's sums.
int lanes_of_group(const Norm& norm) { return power_of_two(norm.group_channels(), row_threads); }

}  // namespace

namespace cuda {

template <class S>
void norm_forward(const Normed<S>& in, S* y) {
  using T = compute_t<S>;
  const Norm& norm = in.norm;
  const ImageShape& shape = norm.shape;
  with_vectors<S>(shape.channels, [&]<int W>() {
    const auto kernel = norm_kernel<S, W>;
    if (const auto one_pass = in_one_pass<S, W, ForwardArena<T>>(norm, 1, kernel)) {
      const Tensor room = one_pass->pairs(norm);
      one_pass->launch_each(kernel, in, reinterpret_cast<Moments*>(room.data<double>()), y);
      return;
    }
    const PixelPartition partition(shape.images, shape.pixels, lanes_of(shape.channels, W));
    const Tensor partial = partial_sums(shape, partition, 2),
                 moments({shape.images, 2, shape.channels}, DType::f64, Device::cuda);
    launch({partition.grid, row_threads}, moments_kernel<S, W>, partition, shape.channels, in.x,
           partial.data<double>());
    launch({blocks_for(shape.images * norm.groups, 1), row_threads}, statistics_kernel<S>, in, partition.blocks,
           lanes_of_group(norm), partial.data<double>(), moments.data<double>());
    launch({partition.grid, row_threads}, normalise_kernel<S, W>, in, partition.backwards(), y);
  });
}

template <class S>
void norm_backward(const Normed<S>& in, const S* dy, const NormGradients<S>& g) {
  using T = compute_t<S>;
  const Norm& norm = in.norm;
  const ImageShape& shape = norm.shape;
  with_vectors<S>(shape.channels, [&]<int W>() {
    const auto kernel = norm_gradients_kernel<S, W>;
    if (const auto one_pass = in_one_pass<S, W, BackwardArena<T>>(norm, 2, kernel)) {
      const Tensor room = one_pass->pairs(norm), of_blocks = partial_sums(shape, one_pass->partition, shares);
      one_pass->launch_each(kernel, in, dy, reinterpret_cast<GradientMeans*>(room.data<double>()),
                            of_blocks.data<double>(), g.dx);
      sum_parameter_gradients(norm, one_pass->partition.grid, of_blocks, g);
      return;
    }
    const PixelPartition partition(shape.images, shape.pixels, lanes_of(shape.channels, W));
    const Tensor partial = partial_sums(shape, partition, shares),
                 sums({shape.images, shares, shape.channels}, DType::f64, Device::cuda),
                 rest = affines_of(shape, dtype_of<T>(), Device::cuda);
    launch({partition.grid, row_threads}, gradient_sums_kernel<S, W>, in, partition, dy, partial.data<double>());
    launch({blocks_for(shape.images * norm.groups, 1), row_threads}, group_gradients_kernel<S>, in, partition.blocks,
           lanes_of_group(norm), partial.data<double>(), sums.data<double>(), affine_pointer<T>(rest));
    sum_parameter_gradients(norm, shape.images, sums, g);
    if (g.dx != nullptr)
      launch({partition.grid, row_threads}, input_gradient_kernel<S, W>, in, partition.backwards(), dy,
             affine_pointer<T>(rest), g.dx);
  });
}

#define GT_INSTANTIATE(S)                           \
  template void norm_forward(const Normed<S>&, S*); \
  template void norm_backward(const Normed<S>&, const S*, const NormGradients<S>&);
GT_INSTANTIATE(float)
GT_INSTANTIATE(double)
GT_INSTANTIATE(bf16)

}  // namespace cuda
}  // namespace gt::norm

#endif
