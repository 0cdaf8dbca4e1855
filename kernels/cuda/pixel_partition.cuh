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
inline constexpr int max_units = 32;  // pixels of a row

/// How the pixels of images are cut into blocks. The threads of a block stand in rows of `lanes`, a power of two: a row
/// takes a pixel, W channels a thread, and all rows take neighbouring pixels at once.
struct PixelPartition {
  int lanes;
  unsigned blocks, grid;  // of an image, of all
  int64_t pixels, block_pixels;
  bool last_first = false;  // the grid's first block has the last pixels
  unsigned shift = 0;       // of the blocks' order against the grid's

  PixelPartition(int64_t images, int64_t pixels, int lanes, int64_t block_pixels)
      : lanes(lanes),
        blocks(blocks_for(pixels, int(block_pixels))),
        grid(blocks_for(images * blocks, 1)),
        pixels(pixels),
        block_pixels(block_pixels) {}
  PixelPartition(int64_t images, int64_t pixels, int lanes)
      : PixelPartition(images, pixels, lanes, items_per_block(images * pixels, row_threads / lanes, 4, max_units)) {}

  /// The same from the last block to the first: a second pass then begins with what the first left in the L2 cache.
  PixelPartition backwards() const {
    PixelPartition partition = *this;
    partition.last_first = !last_first;
    return partition;
  }

  /// The same where the running block has this ticket among the grid's.
  __device__ PixelPartition with_ticket(unsigned ticket) const {
    PixelPartition partition = *this;
    partition.shift = ticket - blockIdx.x;
    return partition;
  }

  // Of the running thread: pixels begin() + row(), and so on by rows(), below end(), counted through all images.
  __device__ int lane() const { return int(threadIdx.x) % lanes; }
  __device__ int row() const { return int(threadIdx.x) / lanes; }
  __device__ int rows() const { return row_threads / lanes; }
  __device__ unsigned index() const {
    const unsigned ticket = blockIdx.x + shift;
    return last_first ? grid - 1 - ticket : ticket;
  }
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

/// Sums of N values over each of the warp's segments of `lanes`, both powers of two, spread over the segment: its lane
/// i gets the sum of value i / (lanes / N) in v[0]; or, of more values than lanes, N / lanes sums in v[0], v[1] ..,
/// from that of value i (N / lanes) on. All lanes of the warp must call it. A step sends half of the values across and
/// keeps the sums of the others: over the warp N - 1 + log2(32 / N) shuffles, where one sum after the other takes 5 N.
template <int lanes, int N, class T>
__device__ void spread_sums(T* v) {
  if constexpr (lanes > 1) {
    constexpr int half = N / 2, bit = lanes / 2;
    if (half == 0) v[0] += __shfl_xor_sync(full_mask, v[0], bit);
    const bool upper = (threadIdx.x & unsigned(bit)) != 0;
#pragma unroll
    for (int k = 0; k < half; ++k) {
      const T sent = upper ? v[k] : v[k + half];
      v[k] = (upper ? v[k + half] : v[k]) + __shfl_xor_sync(full_mask, sent, bit);
    }
    spread_sums<bit, half>(v);
  }
}

/// The same over the warp, of no more values than its lanes: value i / (32 / N) in lane i.
template <int N, class T>
__device__ T warp_sums(T (&v)[N]) {
  static_assert(N <= warp_size);
  spread_sums<warp_size, N>(v);
  return v[0];
}

/// Sums v[n][w] over a block's rows, in double: out(n, c, sum) is called, by some thread, for each of the W x lanes
/// channels c that a row has. All threads must call it.
template <int N, int W, class T, class Out>
__device__ void sum_rows(const T (*v)[W] /* [N] */, int lanes, const Out& out) {
  constexpr int stride = row_threads + 4;  // neighbouring threads read from different banks below
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
  __syncthreads();  // shared may be used again
}

/// What a pass does with each pixel: v = read(p, i), then use(p, i, v), for the elements at i of pixel p, counted
/// through all images.
template <class Read, class Use>
struct PixelPass {
  Read read;
  Use use;
};

/// Some neighbouring channels of pixels that have `stride` of them; all, unless said otherwise.
struct ChannelRange {
  int64_t stride, first, count;

  __device__ ChannelRange(int64_t channels) : ChannelRange(channels, 0, channels) {}
  __device__ ChannelRange(int64_t stride, int64_t first, int64_t count) : stride(stride), first(first), count(count) {}
};

/// Goes over the running row's pixels with the W channels from c on. A thread reads K pixels before it uses the first,
/// so that as many loads are on their way.
template <int K, class Pass>
__device__ void for_pixels(const PixelPartition& partition, int64_t channels, int64_t c, const Pass& pass) {
  const int64_t end = partition.end();
  const int rows = partition.rows();
  int64_t p = partition.begin() + partition.row();
  for (; p + (K - 1) * rows < end; p += K * rows) {
    decltype(pass.read(p, c)) values[K];
#pragma unroll
    for (int k = 0; k < K; ++k) values[k] = pass.read(p + k * rows, (p + k * rows) * channels + c);
#pragma unroll
    for (int k = 0; k < K; ++k) pass.use(p + k * rows, (p + k * rows) * channels + c, values[k]);
  }
  for (; p < end; p += rows) pass.use(p, p * channels + c, pass.read(p, p * channels + c));
}

/// The pass make(image, c) over the block's pixels, for all channels of the range, W at a time.
template <int W, int K, class Make>
__device__ void for_channels(const PixelPartition& partition, const ChannelRange& channels, const Make& make) {
  for (int64_t i = partition.lane() * W; i < channels.count; i += partition.lanes * W)
    for_pixels<K>(partition, channels.stride, channels.first + i, make(partition.image(), channels.first + i));
}

/// The block's N sums over its pixels: out(n, i, sum), by some thread, for every channel of the range, counted from its
/// first; the pass make(image, c, sums) adds to T sums[N][W]. A thread's own sums, of max_units pixels at the most,
/// are in T, all others in double.
template <int N, int W, int K, class T, class Make, class Out>
__device__ void sum_block(const PixelPartition& partition, const ChannelRange& channels, const Make& make,
                          const Out& out) {
  for (int64_t first = 0; first < channels.count; first += partition.lanes * W) {
    const int64_t i = first + partition.lane() * W, c = channels.first + i;
    T sums[N][W] = {};
    if (i < channels.count) for_pixels<K>(partition, channels.stride, c, make(partition.image(), c, sums));
#pragma unroll
    for (int n = 0; n < N; ++n)  // one after the other, which takes a part of the shared memory
      sum_rows<1>(sums + n, partition.lanes, [=](int, int place, double sum) {
        if (first + place < channels.count) out(n, first + place, sum);
      });
  }
}

/// The blocks' N sums, partial (B,blocks,N,C).
template <int N, int W, int K, class T, class Make>
__device__ void sum_channels(const PixelPartition& partition, int64_t channels, double* partial, const Make& make) {
  double* const to = partial + (partition.image() * partition.blocks + partition.block()) * N * channels;
  sum_block<N, W, K, T>(partition, channels, make, [=](int n, int64_t c, double sum) { to[n * channels + c] = sum; });
}

/// Adds up what sum_channels() left of one image, partial (blocks,N,C), for `count` channels from `first` on: out(n, c,
/// sum), by some thread, for c in [0, count). The block's threads stand in rows of `lanes`, a power of two.
template <int N, class Out>
__device__ void sum_blocks(const double* partial, int64_t blocks, int64_t channels, int64_t first, int64_t count,
                           int lanes, const Out& out) {
  const int lane = int(threadIdx.x) % lanes, row = int(threadIdx.x) / lanes, rows = row_threads / lanes;
  for (int64_t begin = 0; begin < count; begin += lanes) {
    double sums[N][1] = {};
    if (begin + lane < count)
#pragma unroll 4
      for (int64_t k = row; k < blocks; k += rows)
        for (int n = 0; n < N; ++n) sums[n][0] += partial[(k * N + n) * channels + first + begin + lane];
    sum_rows<N>(sums, lanes, [=](int n, int place, double sum) {
      if (begin + place < count) out(n, begin + place, sum);
    });
  }
}

}  // namespace gt

#endif
