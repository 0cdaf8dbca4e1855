// What the norms on CUDA have in common in one pass (norm_cuda_one_pass.cu) and in two (norm_cuda.cu): the partition of
// their pixels, what a pass does with a pixel's elements, and what follows from a block's sums. Both ways add the same
// terms in the same order, and so give the same bits. std::fma leaves compilers no choice of which products they round.
// A pass reads elements by its argument `read`, from device memory or from shared memory.
//
// A block's sums of x are those of x - x0, with x0 the channel's value in the block's first pixel. A thread adds some
// terms in f32. The squares of x itself would lose the digits of the variance where the mean is far above it.
#pragma once

#include "kernels/cuda/grid_barrier.cuh"
#include "kernels/cuda/pixel_passes.cuh"
#include "kernels/cuda/shared_arena.cuh"
#include "kernels/cuda/vector.cuh"
#include "kernels/norm.h"

#if GT_CUDA

namespace gt::norm {

// ---- A thread's pass over its pixels --------------------------------------------------------------------------------

/// The affine functions of W neighbouring channels.
template <class T, int W>
using ChannelAffines = gpu::Vector<Affine<T>, W>;

template <class S, int W>
struct XAndGradient {
  gpu::Vector<S, W> x, dy;
};

/// Adds to the sums of x - x0 and of its square.
template <int W, class T, class S, class Read>
__device__ auto moments_pass(T (&sums)[2][W], const gpu::Vector<S, W>& x0, const Read& read) {
  return gpu::PixelPass{read, [&sums, x0](int64_t, int64_t, const auto& x) {
                          for (int w = 0; w < W; ++w) {
                            const T v = T(x.v[w]) - T(x0.v[w]);
                            sums[0][w] += v;
                            sums[1][w] = std::fma(v, v, sums[1][w]);
                          }
                        }};
}

/// Writes y.
template <int W, class T, class S, class Read>
__device__ auto normalise_pass(const ChannelAffines<T, W>& z, T slope, S* y, const Read& read) {
  return gpu::PixelPass{read, [=](int64_t, int64_t i, gpu::Vector<S, W> v) {
                          for (int w = 0; w < W; ++w) v.v[w] = S(activate(z.v[w](T(v.v[w])), slope));
                          gpu::store(y + i, v);
                        }};
}

/// A channel's sums that the parameters' gradients follow from: of dz, dz xhat and dx. The latter two are sums of
/// dz (x - x0) and x - x0 first; that of dx is one of x until the group's means are known.
enum ChannelSum { of_dz, of_dz_xhat, of_dx, channel_sums };
inline constexpr int of_dz_x = of_dz_xhat, of_x = of_dx;

/// Adds to the sums of dz, dz (x - x0) and x - x0.
template <int W, class T, class S, class Read>
__device__ auto gradient_sums_pass(T (&sums)[channel_sums][W], const gpu::Vector<S, W>& x0,
                                   const ChannelAffines<T, W>& z, T slope, const Read& read) {
  return gpu::PixelPass{read, [=, &sums](int64_t, int64_t, const auto& read) {
                          for (int w = 0; w < W; ++w) {
                            const T x = T(read.x.v[w]), dz = activation_gradient(T(read.dy.v[w]), z.v[w](x), slope);
                            const T v = x - T(x0.v[w]);
                            sums[of_dz][w] += dz;
                            sums[of_dz_x][w] = std::fma(dz, v, sums[of_dz_x][w]);
                            sums[of_x][w] += v;
                          }
                        }};
}

/// Writes dx; `affine` is gradient_affine().
template <int W, class T, class S, class Read>
__device__ auto input_gradient_pass(const ChannelAffines<T, W>& z, const ChannelAffines<T, W>& affine, T slope, S* dx,
                                    const Read& read) {
  return gpu::PixelPass{read, [=](int64_t, int64_t i, const XAndGradient<S, W>& read) {
                          gpu::Vector<S, W> v;
                          for (int w = 0; w < W; ++w) {
                            const T x = T(read.x.v[w]), dz = activation_gradient(T(read.dy.v[w]), z.v[w](x), slope);
                            v.v[w] = S(input_gradient(z.v[w].scale, dz, affine.v[w](x)));
                          }
                          gpu::store(dx + i, v);
                        }};
}

// ---- What follows from a block's sums -------------------------------------------------------------------------------

/// The moments of x + bias over n pixels of channel c, from those of x - x0.
template <class S>
__device__ Moments moments_of(const NormInputs<S>& in, int64_t c, double x0, double n, const Moments& m) {
  return m.plus(x0 + in.bias_of(c), n);
}

/// Turns the sums over n pixels of channel c of dz (x - x0) and of x - x0 into those of dz xhat and of x. Returns what
/// the channel adds to its group's means.
template <class S>
__device__ GradientMeans means_of(const NormInputs<S>& in, int64_t image, int64_t c, double x0, double n, double dz,
                                  double& dz_xhat, double& x) {
  dz_xhat = sum_with_xhat(in.channel(image, c).less(x0), dz_xhat, dz);
  x += n * x0;
  return in.mean_terms(c, dz, dz_xhat);
}

/// The warp's sum of f(i) over i in [0, n), in every lane. A Pair is two doubles.
template <class Pair, class F>
__device__ Pair warp_reduce_pairs(int64_t n, const F& f) {
  Pair own;
#pragma unroll 2
  for (int64_t i = threadIdx.x % warp_size; i < n; i += warp_size) own += f(i);
  auto& [a, b] = own;
  return {gpu::warp_reduce(a), gpu::warp_reduce(b)};
}

// ---- The partition --------------------------------------------------------------------------------------------------

/// A block's shared memory besides its pixels in one pass, for a launch of C channels in G groups.
template <class T>
struct ForwardArena : gpu::SharedArena {
  double* sums;        // (2,C), of x - x0 and its square
  Statistics* stats;   // (G)
  Affine<T>* affines;  // (C), z as a function of x; written over the sums

  GT_HD explicit ForwardArena(int64_t channels, int64_t groups, char* begin = nullptr)
      : SharedArena(begin),
        sums(take<double>(2 * channels)),
        stats(take<Statistics>(groups)),
        affines(reinterpret_cast<Affine<T>*>(sums)) {}
};

template <class T>
struct BackwardArena : gpu::SharedArena {
  double* sums;          // (channel_sums,C)
  GradientMeans* means;  // (G)
  Affine<T>* affines;    // (C), gradient_affine()

  GT_HD explicit BackwardArena(int64_t channels, int64_t groups, char* begin = nullptr)
      : SharedArena(begin),
        sums(take<double>(channel_sums * channels)),
        means(take<GradientMeans>(groups)),
        affines(take<Affine<T>>(channels)) {}
};

/// How a norm's pixels are divided into blocks, and what one pass needs.
struct NormPlan {
  gpu::PixelPartition partition;
  int64_t launches = 0;     // of one pass, each for an equal number of groups; 0: only two passes are possible
  size_t shared_bytes = 0;  // of a block in one pass
};

/// Threads that share a pixel, W channels each.
inline int lanes_of_pixel(int64_t channels, int W) {
  return gpu::next_power_of_two((channels + W - 1) / W, gpu::row_threads);
}

/// The plan for blocks that keep their pixels of `tensors` tensors of S and need `Arena` besides them, with W elements
/// a thread. It follows from the shape and two constants, because the order of sums follows from it.
///
/// The constants are those of an H200: blocks at once, and bytes of shared memory of each. The partition has as many
/// blocks as are at once, or blocks as large as they can be. An image has at most half of the blocks at once, so that
/// other blocks read while these wait. Where it needs more, the groups are split over 2, 4, .. launches. They are not
/// split further than to 64 bytes of a pixel, which memory moves as one.
template <class S, class Arena>
NormPlan make_plan(const Norm& norm, int W, int64_t tensors) {
  constexpr int64_t at_once = 3 * 132, max_shared = 66 * 1024 + 512;
  const auto quotient = [](int64_t n, int64_t d) { return (n + d - 1) / d; };
  const ImageShape& shape = norm.shape;
  for (int64_t launches = 1; norm.groups % launches == 0; launches *= 2) {
    const int64_t channels = shape.channels / launches;
    if (launches > 1 && (channels % W != 0 || channels * int64_t(sizeof(S)) < 64)) break;
    const int lanes = lanes_of_pixel(channels, W), rows = gpu::row_threads / lanes;
    const auto shared_bytes = [&](int64_t units) {  // a unit is a pixel for every thread row
      Arena arena(channels, norm.groups / launches);
      for (int64_t i = 0; i < tensors; ++i) arena.template take<S>(units * rows * channels);
      return arena.bytes();
    };
    const int64_t without_pixels = int64_t(shared_bytes(0)), unit_bytes = int64_t(shared_bytes(1)) - without_pixels;
    const int64_t max = std::min<int64_t>(gpu::max_units, (max_shared - without_pixels) / unit_bytes);
    if (max <= 0) continue;
    const int64_t units = std::clamp<int64_t>(
        std::max(quotient(shape.images * shape.pixels, rows * at_once), quotient(shape.pixels, rows * (at_once / 2))),
        1, max);
    const gpu::PixelPartition partition(shape.images, shape.pixels, lanes, units * rows);
    if (gpu::barriers_fit(shape.images, partition.blocks, at_once)) return {partition, launches, shared_bytes(units)};
  }
  return {gpu::PixelPartition(shape.images, shape.pixels, lanes_of_pixel(shape.channels, W))};
}

// ---- Workspace, and the last launch of backward ---------------------------------------------------------------------

/// The blocks' N partial sums for each channel, (B,blocks,N,C), not initialised.
inline Tensor empty_partials(const ImageShape& shape, const gpu::PixelPartition& partition, int N) {
  return Tensor({shape.images, partition.blocks, N, shape.channels}, DType::f64, Device::cuda);
}

/// Writes the parameters' gradients: the sums over rows of channel sums (rows,channel_sums,C).
template <class S>
void reduce_parameter_gradients(const Norm& norm, int64_t rows, const Tensor& sums, const NormGradients<S>& g);

/// norm_forward() and norm_backward() in one pass, with W elements a thread. They do nothing and return false if the
/// plan has no such launches, or if the device cannot hold twice an image's blocks at once.
template <class S, int W>
bool norm_forward_in_one_pass(const NormPlan& plan, const NormInputs<S>& in, S* y);
template <class S, int W>
bool norm_backward_in_one_pass(const NormPlan& plan, const NormInputs<S>& in, const S* dy, const NormGradients<S>& g);

}  // namespace gt::norm

#endif
