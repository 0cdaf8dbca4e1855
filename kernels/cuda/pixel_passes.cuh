// Passes over the pixels of images (B,P,C) by the thread rows of a PixelPartition, and sums over the pixels for each
// channel. A thread takes W channels.
#pragma once

#include "kernels/cuda/partition.cuh"
#include "kernels/cuda/reduce.cuh"

#if GT_CUDA

namespace gt::gpu {

/// What a pass does with each pixel: v = read(p, i), then use(p, i, v). p counts pixels through all images. i is the
/// index of the pixel's first element that the thread takes.
template <class Read, class Use>
struct PixelPass {
  Read read;
  Use use;
};

/// `count` neighbouring channels, from `first` on, of pixels that have `stride` channels. A number of channels converts
/// to the range of all of them.
struct ChannelRange {
  int64_t stride, first, count;

  __device__ ChannelRange(int64_t channels) : ChannelRange(channels, 0, channels) {}
  __device__ ChannelRange(int64_t stride, int64_t first, int64_t count) : stride(stride), first(first), count(count) {}
};

/// The pass over the running thread row's pixels, at the channels from c on, of `channels`. A thread reads K pixels
/// before it uses the first, so that K loads are in flight.
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

/// The pass make(image, c) over the running block's pixels, for all channels c of the range, W at a time.
template <int W, int K, class Make>
__device__ void for_channels(const PixelPartition& partition, const ChannelRange& channels, const Make& make) {
  for (int64_t i = partition.lane() * W; i < channels.count; i += partition.lanes * W)
    for_pixels<K>(partition, channels.stride, channels.first + i, make(partition.image(), channels.first + i));
}

/// N sums over the running block's pixels for each channel of the range. The pass make(image, c, sums) adds to
/// T sums[N][W]; out(n, i, sum) is called by some thread, with i counted from the range's first channel. A thread adds
/// its own terms, of at most max_units pixels, in T; all further sums are in double. All threads must call it.
template <int N, int W, int K, class T, class Make, class Out>
__device__ void block_reduce_pixels(const PixelPartition& partition, const ChannelRange& channels, const Make& make,
                                    const Out& out) {
  for (int64_t first = 0; first < channels.count; first += partition.lanes * W) {
    const int64_t i = first + partition.lane() * W, c = channels.first + i;
    T sums[N][W] = {};
    if (i < channels.count) for_pixels<K>(partition, channels.stride, c, make(partition.image(), c, sums));
#pragma unroll
    for (int n = 0; n < N; ++n)  // one by one, which takes an N-th of the shared memory
      block_reduce_rows<1>(sums + n, partition.lanes, [=](int, int place, double sum) {
        if (first + place < channels.count) out(n, first + place, sum);
      });
  }
}

/// block_reduce_pixels() over all channels into the running block's part of partial (B,blocks,N,C).
template <int N, int W, int K, class T, class Make>
__device__ void store_partials(const PixelPartition& partition, int64_t channels, double* partial, const Make& make) {
  double* const to = partial + (partition.image() * partition.blocks + partition.block()) * N * channels;
  block_reduce_pixels<N, W, K, T>(partition, channels, make,
                                  [=](int n, int64_t c, double sum) { to[n * channels + c] = sum; });
}

}  // namespace gt::gpu

#endif
