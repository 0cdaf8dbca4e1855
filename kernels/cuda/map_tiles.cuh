// How CUDA draws maps from tracks: all levels of all images in one launch, a block to each tile of 32 x 32 pixels, a
// warp to 8 rows of it, a lane to each column. So a warp writes whole lines of memory, and what its rows have in common
// comes to all lanes in one read of shared memory.
#pragma once

#include <limits>

#include "core/launch.cuh"
#include "kernels/common/tracks.h"
#include "kernels/cuda/fast_divider.h"
#include "kernels/cuda/pixel_partition.cuh"

#if GT_CUDA

namespace gt {

inline constexpr int tile_size = warp_size, tile_threads = 128, tile_warps = tile_threads / warp_size;
inline constexpr int thread_rows = tile_size / tile_warps;
inline constexpr int max_levels = 8;

/// What a thread holds of a tile.
template <class T>
using Pixels = T[thread_rows];

template <class T>
struct MapTile {
  T* map;  // (H,W), null if the level has none
  int64_t height, width;
  T row_height, column_width;  // in image sides
  int64_t level, image;
  int64_t index, tiles;  // which of how many in the map
  int64_t slot;          // which of the tiles of one image's maps, level by level
  int64_t row, column;   // of its first pixel

  // Of the thread's pixels, in the tile.
  static __device__ int first_row() { return int(threadIdx.x) / warp_size * thread_rows; }
  static __device__ int lane() { return int(threadIdx.x) % warp_size; }

  // Their centres, in image sides.
  __device__ T x() const { return (T(column + lane()) + T(0.5)) * column_width; }
  __device__ T y(int r) const { return centre_of_row(first_row() + r); }
  __device__ T centre_of_row(int r) const { return (T(row + r) + T(0.5)) * row_height; }

  /// f(v, u, r) for each of the thread's pixels, its r-th, that is in the map, there at row v and column u.
  template <class F>
  __device__ void for_pixels(const F& f) const {
    const int64_t v = row + first_row(), u = column + lane();
    if (u >= width) return;
#pragma unroll
    for (int r = 0; r < thread_rows; ++r)
      if (v + r < height) f(v + r, u, r);
  }

  /// Writes the thread's pixels to the map.
  __device__ void store(const Pixels<T>& value) const {
    T* to = map + (row + first_row()) * width + column + lane();
    for_pixels([&](int64_t, int64_t, int r) { to[r * width] = value[r]; });
  }
};

/// The maps of all levels, cut into tiles in the order level, image, row, column. Kernels take it by value and as
/// __grid_constant__: else a level that is not known to the compiler would have all copied to local memory.
template <class T>
struct TiledMaps {
  struct Level {
    T* maps;  // (B,H,W), null if it has none
    int64_t height, width;
    T row_height, column_width;       // 1 / height, 1 / width
    unsigned tiles;                   // of a map
    FastDivider by_across, by_tiles;  // tiles side by side, and in all
    unsigned first;                   // its first tile of all
    unsigned slot;                    // its first tile of one image's
  };

  TiledMaps(const char* op, const std::vector<MapSize>& sizes, const std::vector<T*>& maps, int64_t batch)
      : levels(int(sizes.size())), batch(batch) {
    GT_CHECK(levels <= max_levels, op, ": ", levels, " levels, CUDA draws at most ", max_levels);
    int64_t all = 0, of_image = 0;
    for (size_t l = 0; l < sizes.size(); ++l) {
      const auto [height, width] = sizes[l];
      const int64_t across = (width + tile_size - 1) / tile_size, tiles = (height + tile_size - 1) / tile_size * across;
      blocks_for(tiles * batch, 1);  // or it throws, as below
      level[l] = {maps[l],
                  height,
                  width,
                  1 / T(height),
                  1 / T(width),
                  unsigned(tiles),
                  FastDivider(unsigned(across)),
                  FastDivider(unsigned(tiles)),
                  unsigned(all),
                  unsigned(of_image)};
      max_tiles = std::max(max_tiles, tiles);
      of_image += tiles;
      all += tiles * batch;
      blocks_for(std::max(all, of_image), 1);
    }
    blocks = unsigned(all);
    slots = of_image;
  }

  /// Tile i of all.
  __device__ MapTile<T> tile(unsigned i) const {
    int l = 0;
#pragma unroll
    for (int k = 1; k < max_levels; ++k) l += k < levels && i >= level[k].first;
    const Level& at = level[l];
    const unsigned image = at.by_tiles.quotient(i - at.first), index = at.by_tiles.remainder(i - at.first);
    return {at.maps == nullptr ? nullptr : at.maps + image * at.height * at.width,
            at.height,
            at.width,
            at.row_height,
            at.column_width,
            l,
            image,
            index,
            at.tiles,
            int64_t(at.slot) + index,
            int64_t(at.by_across.quotient(index)) * tile_size,
            int64_t(at.by_across.remainder(index)) * tile_size};
  }

  Level level[max_levels] = {};
  int levels;
  int64_t batch;
  unsigned blocks;        // tiles in all
  int64_t slots;          // tiles of one image's maps
  int64_t max_tiles = 0;  // of a map
};

/// A value of a map and its place there.
template <class T>
struct Peak {
  T value;
  int32_t place;
};

/// Lower than any, for maps of values from 0 on.
template <class T>
inline constexpr Peak<T> no_peak{0, std::numeric_limits<int32_t>::max()};

/// The higher of two; of equals, the first in the map.
template <class T>
__device__ Peak<T> higher(const Peak<T>& a, const Peak<T>& b) {
  return b.value > a.value || (b.value == a.value && b.place < a.place) ? b : a;
}

/// The highest of the block's, in every thread. All threads must call it.
template <class T>
__device__ Peak<T> highest(Peak<T> peak) {
  GT_SHARED(T, values, [tile_warps]);
  GT_SHARED(int32_t, places, [tile_warps]);
  for (int d = warp_size / 2; d > 0; d /= 2)
    peak = higher(peak, {__shfl_xor_sync(full_mask, peak.value, d), __shfl_xor_sync(full_mask, peak.place, d)});
  const int warp = int(threadIdx.x) / warp_size;
  if (threadIdx.x % warp_size == 0) values[warp] = peak.value, places[warp] = peak.place;
  __syncthreads();
  for (int w = 0; w < tile_warps; ++w) peak = higher(peak, {values[w], places[w]});
  return peak;
}

}  // namespace gt

#endif
