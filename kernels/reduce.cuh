// Sums on CUDA in an order that does not depend on which thread comes first: trees within warps and blocks, partial
// sums of blocks in device memory, added in block order by a second kernel. No float atomics, so the same bits every
// time.
#pragma once

#include "core/launch.cuh"
#include "core/tensor.h"
#include "kernels/channels.h"

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

/// Partial sums over a block of pixels of one image: grid (pixel blocks, images), see channel_sums().
template <int N, class F>
__global__ void __launch_bounds__(sum_threads)
    channel_sums_kernel(int64_t pixels, int64_t channels, int lanes, int64_t block_pixels, F f, double* partial) {
  GT_SHARED(double, shared, [N][sum_threads]);
  const int lane = int(threadIdx.x) % lanes, row = int(threadIdx.x) / lanes, rows = sum_threads / lanes;
  const int64_t image = blockIdx.y, begin = int64_t(blockIdx.x) * block_pixels;
  const int64_t end = begin + block_pixels < pixels ? begin + block_pixels : pixels;
  double* out = partial + (image * gridDim.x + blockIdx.x) * N * channels;
  for (int64_t first = 0; first < channels; first += lanes) {
    const int64_t c = first + lane;
    double sum[N] = {};
    if (c < channels)
      for (int64_t p = begin + row; p < end; p += rows) f(image, (image * pixels + p) * channels + c, c, sum);
    for (int n = 0; n < N; ++n) shared[n][threadIdx.x] = sum[n];
    __syncthreads();
    if (row == 0 && c < channels)
      for (int n = 0; n < N; ++n) {
        double total = 0;
        for (int r = 0; r < rows; ++r) total += shared[n][r * lanes + lane];
        out[n * channels + c] = total;
      }
    __syncthreads();
  }
}

/// sums[image][k] = sum over the blocks of partial[image][block][k], in block order.
template <class T>
__global__ void add_blocks_kernel(int64_t images, int64_t blocks, int64_t width, const T* partial, T* sums) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= images * width) return;
  const T* from = partial + i / width * blocks * width + i % width;
  T sum = 0;
  for (int64_t b = 0; b < blocks; ++b) sum += from[b * width];
  sums[i] = sum;
}

/// N sums over the pixels of each image (B,P,C) -> sums (B,N,C), on the device: f(image, i, c, sum) adds element i, of
/// channel c, to the double[N] sum. Two launches.
template <int N, class F>
void channel_sums(const Channels& shape, const F& f, double* sums) {
  int lanes = 1;
  while (lanes < sum_threads && lanes < shape.channels) lanes *= 2;
  const int64_t block_pixels = std::max<int64_t>(sum_threads / lanes, (1 << 14) / shape.channels);
  const int64_t blocks = std::max<int64_t>(1, (shape.pixels + block_pixels - 1) / block_pixels);
  const int64_t width = N * shape.channels;
  const Tensor partial({shape.images, blocks, width}, DType::f64, Device::cuda);
  launch({{unsigned(blocks), unsigned(shape.images)}, sum_threads}, channel_sums_kernel<N, F>, shape.pixels,
         shape.channels, lanes, block_pixels, f, partial.data<double>());
  launch({blocks_for(shape.images * width, 256), 256}, add_blocks_kernel<double>, shape.images, blocks, width,
         partial.data<double>(), sums);
}

}  // namespace gt::cuda

#endif
