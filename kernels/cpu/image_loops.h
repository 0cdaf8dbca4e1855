// CPU loops over images (B,P,C), P pixels of C channels each, that vectorise however few channels there are: they go by
// tiles of several pixels, and what belongs to the channels (factors, sums) is laid out once for each pixel of a tile.
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "core/parallel.h"
#include "kernels/cpu/nontemporal.h"

namespace gt {

/// The shape (B,P,C), C at least 1, and how it is cut into work.
struct ImageShape {
  int64_t images, pixels, channels;

  int64_t size() const { return images * pixels * channels; }
  /// Elements of a tile: whole pixels.
  int64_t tile() const { return channels * ((127 + channels) / channels); }
  /// A thread's unit of work.
  int64_t block_pixels() const { return std::max<int64_t>(1, (1 << 14) / channels); }
  int64_t blocks() const { return (pixels + block_pixels() - 1) / block_pixels(); }  // of an image
};

/// The values of the channels, once for each pixel of a tile.
template <class T, class U>
std::vector<T> tiled(const ImageShape& shape, const U* values /* (C) */) {
  std::vector<T> tile(size_t(shape.tile()));
  for (size_t j = 0; j < tile.size(); ++j) tile[j] = T(values[int64_t(j) % shape.channels]);
  return tile;
}

/// f(block, image, begin, end), elements [begin, end), for every block of images [first, last), over the threads.
template <class F>
void for_blocks(const ImageShape& shape, int64_t first_image, int64_t last_image, F&& f) {
  if (shape.size() == 0) return;
  parallel_for((last_image - first_image) * shape.blocks(), 1, [&](int64_t k, int64_t) {
    const int64_t block = first_image * shape.blocks() + k, image = block / shape.blocks();
    const int64_t first = block % shape.blocks() * shape.block_pixels();
    const int64_t last = std::min(first + shape.block_pixels(), shape.pixels);
    f(block, image, (image * shape.pixels + first) * shape.channels, (image * shape.pixels + last) * shape.channels);
  });
}

/// The same for all images.
template <class F>
void for_blocks(const ImageShape& shape, F&& f) {
  for_blocks(shape, 0, shape.images, f);
}

/// f(pixel) for every pixel of every image, over the threads.
template <class F>
void for_pixels(const ImageShape& shape, const F& f) {
  if (shape.size() == 0) return;
  parallel_for(shape.images * shape.pixels, shape.block_pixels(), [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) f(p);
  });
}

/// y[i] = f(i, j) for elements [begin, end) of whole pixels, j being the place in the tile.
template <class T, class F>
void map_tiles(const ImageShape& shape, int64_t begin, int64_t end, T* y, const F& f) {
  const bool past_caches = streams<T>(shape.size());
  for (int64_t i = begin; i < end; i += shape.tile()) {
    const int64_t count = std::min(shape.tile(), end - i);
    map_elements(count, past_caches, y + i, [=](int64_t j) { return f(i + j, j); });
  }
}

/// sum (N,tile) += f(i, j) for elements [begin, end) of whole pixels, j being the place in the tile.
template <int64_t N, class F>
void sum_tiles(int64_t tile, int64_t begin, int64_t end, double* __restrict sum, const F& f) {
  constexpr int64_t rows = 4;  // of tiles, added up before they go to memory
  int64_t i = begin;
  for (; i + rows * tile <= end; i += rows * tile)
#pragma GCC ivdep
    for (int64_t j = 0; j < tile; ++j) {
      const auto a = f(i + j, j), b = f(i + tile + j, j), c = f(i + 2 * tile + j, j), d = f(i + 3 * tile + j, j);
#pragma GCC unroll 2
      for (int64_t n = 0; n < N; ++n) sum[n * tile + j] += (a[n] + b[n]) + (c[n] + d[n]);
    }
  for (; i < end; i += tile) {
    const int64_t count = std::min(tile, end - i);
#pragma GCC ivdep
    for (int64_t j = 0; j < count; ++j) {
      const auto a = f(i + j, j);
#pragma GCC unroll 2
      for (int64_t n = 0; n < N; ++n) sum[n * tile + j] += a[n];
    }
  }
}

/// Adds N sums over the pixels of images [first, last) to theirs in sums (B,N,C): f = make(image) is called as f(i, j)
/// for element i, j being its place in the tile, and gives the terms of the N sums. In double, so that squares may be
/// summed.
template <int64_t N, class Make>
void channel_sums(const ImageShape& shape, int64_t first_image, int64_t last_image, const Make& make,
                  std::vector<double>& sums) {
  const int64_t tile = shape.tile(), width = N * shape.channels, first_block = first_image * shape.blocks();
  std::vector<double> partial(size_t((last_image - first_image) * shape.blocks() * width));
  for_blocks(shape, first_image, last_image, [&](int64_t block, int64_t image, int64_t begin, int64_t end) {
    std::vector<double> sum(size_t(N * tile));
    sum_tiles<N>(tile, begin, end, sum.data(), make(image));
    double* out = partial.data() + (block - first_block) * width;
    for (int64_t n = 0; n < N; ++n)
      for (int64_t j = 0; j < tile; ++j) out[n * shape.channels + j % shape.channels] += sum[size_t(n * tile + j)];
  });
  for (int64_t k = 0; k < int64_t(partial.size()); ++k)
    sums[size_t((first_image + k / (shape.blocks() * width)) * width + k % width)] += partial[size_t(k)];
}

/// The same of all images.
template <int64_t N, class Make>
std::vector<double> channel_sums(const ImageShape& shape, const Make& make) {
  std::vector<double> sums(size_t(shape.images * N * shape.channels));
  channel_sums<N>(shape, 0, shape.images, make, sums);
  return sums;
}

}  // namespace gt
