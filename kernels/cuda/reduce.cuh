// Reductions on CUDA: sums, maxima and minima whose order depends on shapes alone. Warps and blocks reduce by trees;
// the blocks' partial sums go to device memory, and a second kernel adds them in a fixed order. There are no atomics on
// floating-point numbers, so the same inputs give the same bits.
//
//   warp_reduce, subwarp_reduce, block_reduce      one value a thread; the result is in every thread
//   warp_reduce_scatter, subwarp_reduce_scatter    N values a thread; the results are spread over the lanes
//   block_reduce_rows                              values of the threads of a PixelPartition, over its thread rows
//   reduce_rows, reduce_partials, reduce_pixels    whole launches, called on the host
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "core/launch.cuh"
#include "core/tensor.h"
#include "kernels/common/image_shape.h"
#include "kernels/cuda/partition.cuh"

#if GT_CUDA

namespace gt::gpu {

// ---- What is combined -----------------------------------------------------------------------------------------------

struct Plus {
  template <class T>
  __device__ T operator()(const T& a, const T& b) const {
    return a + b;
  }
};

struct Min {
  template <class T>
  __device__ T operator()(const T& a, const T& b) const {
    return b < a ? b : a;
  }
};

struct Max {
  template <class T>
  __device__ T operator()(const T& a, const T& b) const {
    return b > a ? b : a;
  }
};

/// A value of a map and its index there. In reductions by Max the larger value wins, and of equal values the lower
/// index.
template <class T>
struct ArgMax {
  T value;
  int32_t index;

  /// Below every element of a map whose values are 0 or more.
  static __device__ ArgMax none() { return {0, std::numeric_limits<int32_t>::max()}; }
  __device__ bool operator>(const ArgMax& other) const {
    return value > other.value || (value == other.value && index < other.index);
  }
};

// ---- Warps ----------------------------------------------------------------------------------------------------------

/// The value of the lane whose number differs in the bits of `mask`.
template <class T>
__device__ T shuffle_xor(const T& v, int mask) {
  return __shfl_xor_sync(full_mask, v, mask);
}
template <class T>
__device__ ArgMax<T> shuffle_xor(const ArgMax<T>& v, int mask) {
  return {__shfl_xor_sync(full_mask, v.value, mask), __shfl_xor_sync(full_mask, v.index, mask)};
}

/// Reduces over each of the warp's segments of `lanes` lanes, a power of two. Every lane gets its segment's result. All
/// lanes of the warp must call it.
template <class T, class Op = Plus>
__device__ T subwarp_reduce(T v, int lanes, const Op& op = {}) {
  for (int d = lanes / 2; d > 0; d /= 2) v = op(v, shuffle_xor(v, d));
  return v;
}

/// Reduces over the warp. Every lane gets the result. All lanes must call it.
template <class T, class Op = Plus>
__device__ T warp_reduce(T v, const Op& op = {}) {
  return subwarp_reduce(v, warp_size, op);
}

/// Sums N values over each of the warp's segments of `lanes` lanes, and spreads the sums over the segment's lanes. Both
/// numbers are powers of two. If N <= lanes, lane i gets the sum of value i / (lanes / N) in v[0]. Otherwise lane i
/// gets N / lanes sums in v[0], v[1], .., from that of value i (N / lanes) on. All lanes of the warp must call it.
///
/// Each step sends half of the values across and keeps the sums of the others. Over a warp that takes
/// N - 1 + log2(32 / N) shuffles; N calls of warp_reduce() would take 5 N.
template <int lanes, int N, class T>
__device__ void subwarp_reduce_scatter(T* v) {
  if constexpr (lanes > 1) {
    constexpr int half = N / 2, bit = lanes / 2;
    if (half == 0) v[0] += shuffle_xor(v[0], bit);
    const bool upper = (threadIdx.x & unsigned(bit)) != 0;
#pragma unroll
    for (int k = 0; k < half; ++k) {
      const T sent = upper ? v[k] : v[k + half];
      v[k] = (upper ? v[k + half] : v[k]) + shuffle_xor(sent, bit);
    }
    subwarp_reduce_scatter<bit, half>(v);
  }
}

/// Sums N values, at most 32, over the warp. Lane i gets the sum of value i / (32 / N). All lanes must call it.
template <int N, class T>
__device__ T warp_reduce_scatter(T (&v)[N]) {
  static_assert(N <= warp_size);
  subwarp_reduce_scatter<warp_size, N>(v);
  return v[0];
}

// ---- Blocks ---------------------------------------------------------------------------------------------------------

/// Reduces over a block of `threads` threads, a power of two of whole warps. Every thread gets the result. All threads
/// must call it.
template <int threads, class T, class Op = Plus>
__device__ T block_reduce(T v, const Op& op = {}) {
  constexpr int warps = threads / warp_size;
  static_assert(threads == warps * warp_size && warps <= warp_size && (warps & (warps - 1)) == 0);
  GT_SHARED(T, partial, [warps]);
  const int lane = int(threadIdx.x) % warp_size;
  v = warp_reduce(v, op);
  if (lane == 0) partial[threadIdx.x / warp_size] = v;
  __syncthreads();
  v = subwarp_reduce(T(partial[lane % warps]), warps, op);
  __syncthreads();  // partial may be written again
  return v;
}

/// Sums v[n][w] in double over the thread rows of a PixelPartition's block, whose rows have `lanes` threads. Some
/// thread calls out(n, c, sum) for each of the W x lanes channels c of a row. All threads must call it.
template <int N, int W, class T, class Out>
__device__ void block_reduce_rows(const T (*v)[W] /* [N] */, int lanes, const Out& out) {
  constexpr int stride = row_threads + 4;  // spreads the reads below over the memory banks
  GT_SHARED(T, shared, [N * W * stride]);
  const int thread = int(threadIdx.x);
  for (int n = 0; n < N; ++n)
    for (int w = 0; w < W; ++w) shared[(n * W + w) * stride + thread] = v[n][w];
  __syncthreads();
  for (int k = thread; k < N * W * lanes; k += row_threads) {
    const int w = k % W, lane = k / W % lanes, n = k / W / lanes;
    const T* column = shared + (n * W + w) * stride;
    double sum = 0;
#pragma unroll 4
    for (int i = lane; i < row_threads; i += lanes) sum += double(column[i]);
    out(n, lane * W + w, sum);
  }
  __syncthreads();  // shared may be written again
}

// ---- Launches -------------------------------------------------------------------------------------------------------

inline constexpr int reduce_threads = 256;

/// Where a launch's sums go: sums (rows,width), of type T.
template <class T>
struct StoreSums {
  T* sums;
  int64_t width;

  __device__ void operator()(int64_t row, int64_t k, double sum) const { sums[row * width + k] = T(sum); }
};

template <class Out>
__global__ void __launch_bounds__(reduce_threads) reduce_rows_kernel(int64_t width, const double* x, Out out) {
  const int64_t row = blockIdx.x;
  double sum = 0;
  for (int64_t k = threadIdx.x; k < width; k += reduce_threads) sum += x[row * width + k];
  sum = block_reduce<reduce_threads>(sum);
  if (threadIdx.x == 0) out(row, sum);
}

/// Sums each row of x (rows,width), a block a row: out(row, sum) is called on the device.
template <class Out>
void reduce_rows(int64_t rows, int64_t width, const double* x, const Out& out) {
  launch({blocks_for(rows, 1), reduce_threads}, reduce_rows_kernel<Out>, width, x, out);
}

// A block sums four columns of one image. Its grid is images x groups of four columns.
template <int threads, class Out>
__global__ void __launch_bounds__(threads) reduce_partials_kernel(unsigned groups, int64_t blocks, int64_t width,
                                                                  int64_t stride, const double* partial, Out out) {
  constexpr int columns = 4, rows = threads / columns, warps = threads / warp_size;
  static_assert(columns <= warps && warps <= warp_size);
  GT_SHARED(double, warp_sums, [columns][warps]);
  const int warp = int(threadIdx.x) / warp_size, lane = int(threadIdx.x) % warp_size;
  const int64_t image = blockIdx.x / groups, first = int64_t(blockIdx.x % groups) * columns, k = first + lane % columns;
  double sum = 0;
  if (k < width)
#pragma unroll 4
    for (int64_t b = threadIdx.x / columns; b < blocks; b += rows) sum += partial[(image * blocks + b) * stride + k];
  for (int d = warp_size / 2; d >= columns; d /= 2) sum += shuffle_xor(sum, d);
  if (lane < columns) warp_sums[lane][warp] = sum;
  __syncthreads();
  if (warp >= columns) return;
  sum = subwarp_reduce(warp_sums[warp][lane % warps], warps);
  if (lane == 0 && first + warp < width) out(image, first + warp, sum);
}

/// Adds the partial sums of blocks: partial (images,blocks,stride), of which the first `width` columns count.
/// out(image, k, sum over the blocks) is called on the device for each column k.
template <class Out>
void reduce_partials(int64_t images, int64_t blocks, int64_t width, int64_t stride, const double* partial,
                     const Out& out) {
  constexpr int few = 128, many = 1024;  // threads, for few and for many blocks
  const bool are_few = blocks <= 256;
  const int64_t groups = (width + 3) / 4;
  launch({blocks_for(images * groups, 1), unsigned(are_few ? few : many)},
         are_few ? reduce_partials_kernel<few, Out> : reduce_partials_kernel<many, Out>, groups, blocks, width, stride,
         partial, out);
}

// A block sums some pixels of one image -> partial (B,blocks,C). `lanes` threads go over the channels, the rest of the
// block over other pixels. Its grid is images x blocks.
template <class Element>
__global__ void __launch_bounds__(reduce_threads)
    reduce_pixels_kernel(int64_t pixels, int64_t channels, unsigned blocks, int64_t block_pixels, int lanes,
                         Element element, double* partial) {
  GT_SHARED(double, shared, [reduce_threads]);
  const int thread = int(threadIdx.x), lane = thread % lanes, row = thread / lanes, rows = reduce_threads / lanes;
  const int64_t image = blockIdx.x / blocks, begin = int64_t(blockIdx.x % blocks) * block_pixels;
  const int64_t end = begin + block_pixels < pixels ? begin + block_pixels : pixels;
  const int64_t stop = (image * pixels + end) * channels;
  for (int64_t first = 0; first < channels; first += lanes) {
    const int64_t c = first + lane;
    double sum = 0;
    if (c < channels)
#pragma unroll 4
      for (int64_t i = (image * pixels + begin + row) * channels + c; i < stop; i += rows * channels) sum += element(i);
    shared[thread] = sum;
    for (int half = rows / 2; half > 0; half /= 2) {
      __syncthreads();
      if (row < half) shared[thread] += shared[thread + half * lanes];
    }
    if (row == 0 && c < channels) partial[int64_t(blockIdx.x) * channels + c] = shared[thread];
    __syncthreads();
  }
}

/// Sums element(i), a double, over the pixels of each image: element i of (B,P,C) -> sums (B,C). Two launches.
template <class Element, class T>
void reduce_pixels(const ImageShape& shape, const Element& element, T* sums) {
  constexpr int64_t max_partials = 1024;  // blocks over all images: enough for the largest GPUs
  const int lanes = next_power_of_two(shape.channels, reduce_threads);
  const int64_t max_blocks = std::max<int64_t>(1, max_partials / std::max<int64_t>(1, shape.images));
  const int64_t block_pixels = std::max(
      {int64_t(reduce_threads / lanes), (1 << 12) / shape.channels, (shape.pixels + max_blocks - 1) / max_blocks});
  const int64_t blocks = std::max<int64_t>(1, (shape.pixels + block_pixels - 1) / block_pixels);
  Tensor partial({shape.images, blocks, shape.channels}, DType::f64, Device::cuda);
  launch({blocks_for(shape.images * blocks, 1), reduce_threads}, reduce_pixels_kernel<Element>, shape.pixels,
         shape.channels, blocks, block_pixels, lanes, element, partial.data<double>());
  reduce_partials(shape.images, blocks, shape.channels, shape.channels, partial.data<double>(),
                  StoreSums<T>{sums, shape.channels});
}

/// Element i of x as a double, for reduce_pixels().
template <class T>
struct ElementOf {
  const T* x;
  __device__ double operator()(int64_t i) const { return double(x[i]); }
};

}  // namespace gt::gpu

#endif
