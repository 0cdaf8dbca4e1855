// CPU loops over images (B,P,C), P pixels of C channels each, that vectorise however few channels there are: they go by
// tiles of several pixels, and what belongs to the channels (factors, sums) is laid out once for each pixel of a tile.
#pragma once

#include <algorithm>
#include <vector>

#include "core/parallel.h"

namespace gt {

/// The shape (B,P,C), C at least 1, and how it is cut into work.
struct Channels {
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
std::vector<T> tiled(const Channels& shape, const U* values /* (C) */) {
  std::vector<T> tile(size_t(shape.tile()));
  for (size_t j = 0; j < tile.size(); ++j) tile[j] = T(values[int64_t(j) % shape.channels]);
  return tile;
}

/// f(block, image, begin, end), elements [begin, end), for every block of every image, over the threads.
template <class F>
void for_blocks(const Channels& shape, F&& f) {
  if (shape.size() == 0) return;
  parallel_for(shape.images * shape.blocks(), 1, [&](int64_t block, int64_t) {
    const int64_t image = block / shape.blocks(), first = block % shape.blocks() * shape.block_pixels();
    const int64_t last = std::min(first + shape.block_pixels(), shape.pixels);
    f(block, image, (image * shape.pixels + first) * shape.channels, (image * shape.pixels + last) * shape.channels);
  });
}

/// f(pixel) for every pixel of every image, over the threads.
template <class F>
void for_pixels(const Channels& shape, const F& f) {
  if (shape.size() == 0) return;
  parallel_for(shape.images * shape.pixels, shape.block_pixels(), [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) f(p);
  });
}

/// y[i] = f(i, j) for elements [begin, end) of whole pixels, j being the place in the tile.
template <class T, class F>
void map_tiles(const Channels& shape, int64_t begin, int64_t end, T* y, const F& f) {
  for (int64_t i = begin; i < end; i += shape.tile()) {
    const int64_t count = std::min(shape.tile(), end - i);
#pragma omp simd
    for (int64_t j = 0; j < count; ++j) y[i + j] = f(i + j, j);
  }
}

/// N sums over the pixels of each image, (B,N,C): f = make(image) is called as f(i, j, add) for element i, j being its
/// place in the tile, and calls add(n, term) for each sum n. In double, so that squares may be summed.
template <int64_t N, class Make>
std::vector<double> channel_sums(const Channels& shape, const Make& make) {
  const int64_t tile = shape.tile(), width = N * shape.channels;
  std::vector<double> partial(size_t(shape.images * shape.blocks() * width));
  for_blocks(shape, [&](int64_t block, int64_t image, int64_t begin, int64_t end) {
    const auto f = make(image);
    std::vector<double> sum(size_t(N * tile));
    for (int64_t i = begin; i < end; i += tile) {
      const int64_t count = std::min(tile, end - i);
      double* s = sum.data();
#pragma omp simd
      for (int64_t j = 0; j < count; ++j) f(i + j, j, [=](int64_t n, double term) { s[n * tile + j] += term; });
    }
    double* out = partial.data() + block * width;
    for (int64_t n = 0; n < N; ++n)
      for (int64_t j = 0; j < tile; ++j) out[n * shape.channels + j % shape.channels] += sum[size_t(n * tile + j)];
  });
  std::vector<double> sums(size_t(shape.images * width));
  for (int64_t block = 0; block < shape.images * shape.blocks(); ++block)
    for (int64_t k = 0; k < width; ++k)
      sums[size_t(block / shape.blocks() * width + k)] += partial[size_t(block * width + k)];
  return sums;
}

}  // namespace gt
