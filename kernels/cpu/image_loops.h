// CPU loops over images (B,P,C) that are vectorised however few channels there are. They go by tiles of several pixels.
// What belongs to channels, factors or sums, is laid out once for each pixel of a tile.
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "core/parallel.h"
#include "kernels/common/image_shape.h"
#include "kernels/cpu/nontemporal.h"

namespace gt {

/// Elements of a tile of sums: whole pixels, at least 128 elements.
inline int64_t tile_elements(const ImageShape& shape) {
  return shape.channels * ((127 + shape.channels) / shape.channels);
}

/// Elements of a tile of map_tiles(): whole tiles of sums, at least 512 elements.
inline int64_t map_tile_elements(const ImageShape& shape) {
  const int64_t tile = tile_elements(shape);
  return tile * ((511 + tile) / tile);
}

/// Pixels of a block, a thread's unit of work, and blocks of an image.
inline int64_t block_pixels(const ImageShape& shape) { return std::max<int64_t>(1, (1 << 14) / shape.channels); }
inline int64_t image_blocks(const ImageShape& shape) {
  return (shape.pixels + block_pixels(shape) - 1) / block_pixels(shape);
}

/// Repeats the first pixel of a tile in its others.
template <class T>
void repeat_pixel(int64_t channels, int64_t elements, T* tile) {
  for (int64_t done = channels; done < elements; done += done)
    std::copy_n(tile, std::min(done, elements - done), tile + done);
}

/// The values of the channels, once for each pixel of a tile of map_tiles().
template <class T>
std::vector<T> tiled(const ImageShape& shape, const T* values /* (C) */) {
  std::vector<T> tile(size_t(map_tile_elements(shape)));
  std::copy_n(values, shape.channels, tile.data());
  repeat_pixel(shape.channels, int64_t(tile.size()), tile.data());
  return tile;
}

/// f(block, image, begin, end), elements [begin, end), for every block of images [first, last), over the threads.
template <class F>
void for_blocks(const ImageShape& shape, int64_t first_image, int64_t last_image, F&& f) {
  if (shape.size() == 0) return;
  const int64_t blocks = image_blocks(shape);
  parallel_for((last_image - first_image) * blocks, 1, [&](int64_t k, int64_t) {
    const int64_t block = first_image * blocks + k, image = block / blocks;
    const int64_t first = block % blocks * block_pixels(shape);
    const int64_t last = std::min(first + block_pixels(shape), shape.pixels);
    f(block, image, (image * shape.pixels + first) * shape.channels, (image * shape.pixels + last) * shape.channels);
  });
}

/// f(block, image, begin, end) for every block of all images, over the threads.
template <class F>
void for_blocks(const ImageShape& shape, F&& f) {
  for_blocks(shape, 0, shape.images, f);
}

/// f(pixel) for every pixel, counted through all images, over the threads.
template <class F>
void for_pixels(const ImageShape& shape, const F& f) {
  if (shape.size() == 0) return;
  parallel_for(shape.images * shape.pixels, block_pixels(shape), [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) f(p);
  });
}

/// y[i] = f(i, j) for elements [begin, end), whole pixels; j is the index of element i in its tile. f reads element i
/// of `sources`.
template <class T, class F, class... Sources>
void map_tiles(const ImageShape& shape, int64_t begin, int64_t end, T* y, const F& f, const Sources*... sources) {
  const bool nontemporal = exceeds_caches<T>(shape.size());
  const int64_t tile = map_tile_elements(shape);
  for (int64_t i = begin; i < end; i += tile) {
    const int64_t count = std::min(tile, end - i);
    map_elements(
        count, nontemporal, y + i, [=](int64_t j) { return f(i + j, j); }, (sources + i)...);
  }
}

/// sum (N,tile) += f(i, j) for elements [begin, end), whole pixels; j is the index of element i in its tile. The terms
/// of 16 tiles are added in their own type before they go to memory.
template <int64_t N, class F>
void sum_tiles(int64_t tile, int64_t begin, int64_t end, double* __restrict sum, const F& f) {
  constexpr int64_t rows = 16;
  int64_t i = begin;
  for (; i + rows * tile <= end; i += rows * tile)
#pragma GCC ivdep
    for (int64_t j = 0; j < tile; ++j) {
      auto total = f(i + j, j);
#pragma GCC unroll 16
      for (int64_t r = 1; r < rows; ++r) {
        const auto a = f(i + r * tile + j, j);
#pragma GCC unroll 2
        for (int64_t n = 0; n < N; ++n) total[n] += a[n];
      }
#pragma GCC unroll 2
      for (int64_t n = 0; n < N; ++n) sum[n * tile + j] += double(total[n]);
    }
  for (; i < end; i += tile) {
    const int64_t count = std::min(tile, end - i);
#pragma GCC ivdep
    for (int64_t j = 0; j < count; ++j) {
      const auto a = f(i + j, j);
#pragma GCC unroll 2
      for (int64_t n = 0; n < N; ++n) sum[n * tile + j] += double(a[n]);
    }
  }
}

/// sums (C) += the values of the pixels (n,C).
inline void add_pixels(int64_t channels, int64_t n, const double* values, double* sums) {
  for (int64_t p = 0; p < n; ++p)
    for (int64_t c = 0; c < channels; ++c) sums[c] += values[p * channels + c];
}

/// Adds N sums over the pixels of images [first, last) to those images' part of sums (B,N,C). f = make(image) gives the
/// N terms of element i as f(i, j), where j is its index in its tile. Sums are in double but for the first 16 terms.
template <int64_t N, class Make>
void reduce_pixels(const ImageShape& shape, int64_t first_image, int64_t last_image, const Make& make,
                   std::vector<double>& sums) {
  const int64_t tile = tile_elements(shape), width = N * shape.channels, blocks = image_blocks(shape);
  std::vector<double> partial(size_t((last_image - first_image) * blocks * width));
  for_blocks(shape, first_image, last_image, [&](int64_t block, int64_t image, int64_t begin, int64_t end) {
    std::vector<double> sum(size_t(N * tile));
    sum_tiles<N>(tile, begin, end, sum.data(), make(image));
    double* const out = partial.data() + (block - first_image * blocks) * width;
    for (int64_t n = 0; n < N; ++n)
      add_pixels(shape.channels, tile / shape.channels, sum.data() + n * tile, out + n * shape.channels);
  });
  for (int64_t image = first_image; image < last_image; ++image)
    add_pixels(width, blocks, partial.data() + (image - first_image) * blocks * width, sums.data() + image * width);
}

/// N sums over the pixels of every image, (B,N,C).
template <int64_t N, class Make>
std::vector<double> reduce_pixels(const ImageShape& shape, const Make& make) {
  std::vector<double> sums(size_t(shape.images * N * shape.channels));
  reduce_pixels<N>(shape, 0, shape.images, make, sums);
  return sums;
}

}  // namespace gt
