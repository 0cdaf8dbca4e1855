// Blocks whose threads stand in rows, a row to a pixel, and sums over the rows of what belongs to the channels. How
// much of a pixel a thread takes at once is vector.cuh's matter.
#pragma once

#include "core/launch.cuh"

#if GT_CUDA

namespace gt {

/// The least power of two that is at least n, but `most`, a power of two, at the most.
inline int power_of_two(int64_t n, int most) {
  int power = 1;
  while (power < most && power < n) power *= 2;
  return power;
}

/// Items of a block where n of them, a unit at least, are to fill any device: about 1024 blocks of `least` units or
/// more, up to `most`, so that the blocks' partial sums stay few. Depends on n alone, as must the order of a sum.
inline int64_t items_per_block(int64_t n, int64_t unit, int least, int most) {
  const int64_t units = n / 1024 / unit;
  return unit * (units < least ? least : units > most ? most : units);
}

inline constexpr int row_threads = 256;

/// How the pixels of images are cut into blocks. The threads of a block stand in rows of `lanes`, a power of two: a row
/// takes a pixel, W channels a thread, and all rows take neighbouring pixels at once.
struct PixelRows {
  int lanes;
  unsigned blocks, grid;  // of an image, of all
  int64_t pixels, block_pixels;
  bool last_first = false;  // the grid's first block has the last pixels

  PixelRows(int64_t images, int64_t pixels, int lanes, int64_t block_pixels)
      : lanes(lanes),
        blocks(blocks_for(pixels, int(block_pixels))),
        grid(blocks_for(images * blocks, 1)),
        pixels(pixels),
        block_pixels(block_pixels) {}
  PixelRows(int64_t images, int64_t pixels, int lanes)
      : PixelRows(images, pixels, lanes, items_per_block(images * pixels, row_threads / lanes, 4, 32)) {}

  /// The same from the last block to the first: a second pass then begins with what the first left in the L2 cache.
  PixelRows backwards() const {
    PixelRows cut = *this;
    cut.last_first = !last_first;
    return cut;
  }

  // Of the running thread: pixels begin() + row(), and so on by rows(), below end(), counted through all images.
  __device__ int lane() const { return int(threadIdx.x) % lanes; }
  __device__ int row() const { return int(threadIdx.x) / lanes; }
  __device__ int rows() const { return row_threads / lanes; }
  __device__ unsigned index() const { return last_first ? grid - 1 - blockIdx.x : blockIdx.x; }
  __device__ int64_t image() const { return index() / blocks; }
  __device__ int64_t block() const { return index() % blocks; }
  __device__ int64_t begin() const { return image() * pixels + block() * block_pixels; }
  __device__ int64_t end() const {
    const int64_t last = (block() + 1) * block_pixels;
    return image() * pixels + (last < pixels ? last : pixels);
  }
};

/// Sum over the warp's segment of `lanes` (a power of two up to the warp) that the thread is in, in each of its lanes.
/// All lanes of the warp must call it.
template <class T>
__device__ T segment_sum(T v, int lanes) {
  for (int d = lanes / 2; d > 0; d /= 2) v += __shfl_xor_sync(full_mask, v, d);
  return v;
}

/// Sums v over a block's rows, by a tree, into the first row's v. All threads must call it.
template <int N>
__device__ void sum_rows(double (&v)[N], int lanes) {
  GT_SHARED(double, shared, [N][row_threads]);
  const int thread = int(threadIdx.x);
  for (int n = 0; n < N; ++n) shared[n][thread] = v[n];
  for (int half = row_threads / 2; half >= lanes; half /= 2) {
    __syncthreads();
    if (thread < half)
      for (int n = 0; n < N; ++n) shared[n][thread] += shared[n][thread + half];
  }
  for (int n = 0; n < N; ++n) v[n] = shared[n][thread];
  __syncthreads();  // shared may be used again
}

/// f = make(image, c) is called as f(i) for the W elements at i, of channels c .. c+W-1, for all elements (B,P,C).
template <int W, class Make>
__device__ void for_channels(const PixelRows& cut, int64_t channels, const Make& make) {
  const int64_t end = cut.end();
  for (int64_t c = cut.lane() * W; c < channels; c += cut.lanes * W) {
    const auto f = make(cut.image(), c);
#pragma unroll 2  // so that a thread has loads of two pixels in flight
    for (int64_t p = cut.begin() + cut.row(); p < end; p += cut.rows()) f(p * channels + c);
  }
}

/// The blocks' N sums over their pixels, for every channel: f is called as f(p, i, sums), p being the pixel, counted
/// through all images. partial (B,N,C,blocks).
template <int N, int W, class Make>
__device__ void sum_channels(const PixelRows& cut, int64_t channels, double* partial, const Make& make) {
  const int64_t end = cut.end();
  for (int64_t first = 0; first < channels; first += cut.lanes * W) {
    const int64_t c = first + cut.lane() * W;
    double sums[N][W] = {};
    if (c < channels) {
      const auto f = make(cut.image(), c);
#pragma unroll 4
      for (int64_t p = cut.begin() + cut.row(); p < end; p += cut.rows()) f(p, p * channels + c, sums);
    }
    for (int n = 0; n < N; ++n) {
      sum_rows(sums[n], cut.lanes);
      if (cut.row() > 0 || c >= channels) continue;
      for (int w = 0; w < W; ++w)
        partial[((cut.image() * N + n) * channels + c + w) * cut.blocks + cut.block()] = sums[n][w];
    }
  }
}

}  // namespace gt

#endif
