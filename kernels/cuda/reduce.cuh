// Sums on CUDA in an order that does not depend on which thread comes first: trees within warps and blocks, partial
// sums of blocks in device memory, added in a fixed order by a second kernel. No float atomics, so the same bits every
// time.
#pragma once

#include <algorithm>

#include "core/launch.cuh"
#include "core/tensor.h"
#include "kernels/cpu/image_loops.h"

#if GT_CUDA

namespace gt::cuda {

/// Sum over the warp, in every lane. All lanes must call it.
template <class T>
__device__ T warp_sum(T v) {
  for (int d = warp_size / 2; d > 0; d /= 2) v += __shfl_xor_sync(full_mask, v, d);
  return v;
}

/// Sum over the block of `threads`, a multiple of the warp, in every thread. All threads must call it.
template <int threads, class T>
__device__ T block_sum(T v) {
  static_assert(threads % warp_size == 0);
  constexpr int warps = threads / warp_size;
  GT_SHARED(T, partial, [warps]);
  const int lane = int(threadIdx.x) % warp_size;
  v = warp_sum(v);
  if (lane == 0) partial[threadIdx.x / warp_size] = v;
  __syncthreads();
  v = warp_sum(lane < warps ? partial[lane] : T(0));
  __syncthreads();  // partial may be used again
  return v;
}

constexpr int sum_threads = 256;
constexpr int64_t max_partials = 1024;  // blocks over all images that leave a partial sum: enough for the largest GPUs

/// Partial sums over a block of pixels of one image, (B,blocks,N,C): grid (images x blocks), see channel_sums().
/// `lanes` threads, a power of two, go over the channels; the rest of the block takes other pixels.
template <int N, class F>
__global__ void __launch_bounds__(sum_threads)
    channel_sums_kernel(int64_t pixels, int64_t channels, unsigned blocks, int64_t block_pixels, int lanes, F f,
                        double* partial) {
  GT_SHARED(double, shared, [N][sum_threads]);
  const int thread = int(threadIdx.x), lane = thread % lanes, row = thread / lanes, rows = sum_threads / lanes;
  const int64_t image = blockIdx.x / blocks, begin = int64_t(blockIdx.x % blocks) * block_pixels;
  const int64_t end = begin + block_pixels < pixels ? begin + block_pixels : pixels;
  const int64_t stop = (image * pixels + end) * channels;
  double* out = partial + int64_t(blockIdx.x) * N * channels;
  for (int64_t first = 0; first < channels; first += lanes) {
    const int64_t c = first + lane;
    double sum[N] = {};
    if (c < channels)
#pragma unroll 4
      for (int64_t i = (image * pixels + begin + row) * channels + c; i < stop; i += rows * channels)
        f(image, i, c, sum);
    for (int n = 0; n < N; ++n) shared[n][thread] = sum[n];
    for (int half = rows / 2; half > 0; half /= 2) {
      __syncthreads();
      if (row < half)
        for (int n = 0; n < N; ++n) shared[n][thread] += shared[n][thread + half * lanes];
    }
    if (row == 0 && c < channels)
      for (int n = 0; n < N; ++n) out[n * channels + c] = shared[n][thread];
    __syncthreads();
  }
}

/// out(image, k, sum), by some thread, with the sum over the blocks of partial[image][block][k], k < width <= stride:
/// grid (images x groups of columns).
template <int threads, class Out>
__global__ void __launch_bounds__(threads)
    add_blocks_kernel(unsigned groups, int64_t blocks, int64_t width, int64_t stride, const double* partial, Out out) {
  constexpr int columns = 4, rows = threads / columns, warps = threads / warp_size;
  static_assert(columns <= warps && warps <= warp_size);
  GT_SHARED(double, of_warps, [columns][warps]);
  const int warp = int(threadIdx.x) / warp_size, lane = int(threadIdx.x) % warp_size;
  const int64_t image = blockIdx.x / groups, first = int64_t(blockIdx.x % groups) * columns, k = first + lane % columns;
  double sum = 0;
  if (k < width)
#pragma unroll 4
    for (int64_t b = threadIdx.x / columns; b < blocks; b += rows) sum += partial[(image * blocks + b) * stride + k];
  for (int d = warp_size / 2; d >= columns; d /= 2) sum += __shfl_xor_sync(full_mask, sum, d);
  if (lane < columns) of_warps[lane][warp] = sum;
  __syncthreads();
  if (warp >= columns) return;
  sum = warp_sum(lane < warps ? of_warps[warp][lane] : 0.0);
  if (lane == 0 && first + warp < width) out(image, first + warp, sum);
}

/// partial (images,blocks,stride), the first `width` of each row: out(image, k, sum over the blocks), on the device.
template <class Out>
void add_blocks(int64_t images, int64_t blocks, int64_t width, int64_t stride, const double* partial, const Out& out) {
  constexpr int few = 128, many = 1024;  // threads, for blocks that are so
  const bool are_few = blocks <= 256;
  const int64_t groups = (width + 3) / 4;
  launch({blocks_for(images * groups, 1), unsigned(are_few ? few : many)},
         are_few ? add_blocks_kernel<few, Out> : add_blocks_kernel<many, Out>, groups, blocks, width, stride, partial,
         out);
}

/// Where sums (images,width) go.
template <class T>
struct SumsTo {
  T* sums;
  int64_t width;

  __device__ void operator()(int64_t image, int64_t k, double sum) const { sums[image * width + k] = T(sum); }
};

/// The same into sums (images,width).
template <class T>
void add_blocks(int64_t images, int64_t blocks, int64_t width, int64_t stride, const double* partial, T* sums) {
  add_blocks(images, blocks, width, stride, partial, SumsTo<T>{sums, width});
}

/// N sums over the pixels of each image (B,P,C) -> sums (B,N,C), on the device: f(image, i, c, sum) adds element i, of
/// channel c, to the double[N] sum. Two launches.
template <int N, class F, class T>
void channel_sums(const ImageShape& shape, const F& f, T* sums) {
  int lanes = 1;
  while (lanes < sum_threads && lanes < shape.channels) lanes *= 2;
  const int64_t max_blocks = std::max<int64_t>(1, max_partials / std::max<int64_t>(1, shape.images));
  const int64_t block_pixels = std::max(
      {int64_t(sum_threads / lanes), (1 << 12) / shape.channels, (shape.pixels + max_blocks - 1) / max_blocks});
  const int64_t blocks = std::max<int64_t>(1, (shape.pixels + block_pixels - 1) / block_pixels);
  const int64_t width = N * shape.channels;
  const Tensor partial({shape.images, blocks, width}, DType::f64, Device::cuda);
  launch({blocks_for(shape.images * blocks, 1), sum_threads}, channel_sums_kernel<N, F>, shape.pixels, shape.channels,
         blocks, block_pixels, lanes, f, partial.data<double>());
  add_blocks(shape.images, blocks, width, width, partial.data<double>(), sums);
}

}  // namespace gt::cuda

#endif
