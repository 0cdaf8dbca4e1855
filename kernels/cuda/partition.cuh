// How work is partitioned into the blocks of a launch. There is one partition for each kind of data:
//   PixelPartition   pixels of images: passes and sums over pixels
//   RowPartition     rows of pixels: passes that need a pixel's row and column
//   ChunkPartition   flat arrays: reductions over all elements of each array
//   MapPartition     maps of several levels: tiles of 32 x 32 pixels of each map
// A partition depends on shapes alone, because the order of a sum follows from it.
#pragma once

#include <algorithm>
#include <vector>

#include "core/launch.cuh"
#include "kernels/common/tracks.h"
#include "kernels/cuda/fast_divider.h"

#if GT_CUDA

namespace gt::gpu {

/// The smallest power of two that is at least n, or `limit`, itself a power of two, if that is smaller.
inline int next_power_of_two(int64_t n, int limit) {
  int power = 1;
  while (power < limit && power < n) power *= 2;
  return power;
}

/// Items of a block when n items, at least one unit, are spread over about 1024 blocks, enough for any device. A block
/// gets a whole number of units from min_units to max_units.
inline int64_t items_per_block(int64_t n, int64_t unit, int min_units, int max_units) {
  return unit * std::clamp<int64_t>(n / 1024 / unit, min_units, max_units);
}

// ---- Pixels of images -----------------------------------------------------------------------------------------------

inline constexpr int row_threads = 256;  // of a block of a PixelPartition
inline constexpr int max_units = 32;     // pixels of a thread row in the default partition

/// Pixels of images (B,P,C) in blocks of neighbouring pixels of one image. The threads of a block form thread rows of
/// `lanes` threads, a power of two. A thread row takes one pixel at a time, and the rows of a block take neighbouring
/// pixels.
struct PixelPartition {
  int lanes;
  unsigned blocks, grid;  // blocks of an image, of all images
  int64_t pixels, block_pixels;
  bool last_first = false;  // whether the grid's first block has the last pixels
  unsigned shift = 0;       // of the running block's number against blockIdx.x

  PixelPartition(int64_t images, int64_t pixels, int lanes, int64_t block_pixels)
      : lanes(lanes),
        blocks(blocks_for(pixels, int(block_pixels))),
        grid(blocks_for(images * blocks, 1)),
        pixels(pixels),
        block_pixels(block_pixels) {}
  PixelPartition(int64_t images, int64_t pixels, int lanes)
      : PixelPartition(images, pixels, lanes, items_per_block(images * pixels, row_threads / lanes, 4, max_units)) {}

  /// This partition from the last block to the first: a second pass begins with what is still in the L2 cache.
  PixelPartition reversed() const {
    PixelPartition partition = *this;
    partition.last_first = !last_first;
    return partition;
  }

  /// This partition where the running block's number in the grid is its ticket instead of blockIdx.x.
  __device__ PixelPartition with_ticket(unsigned ticket) const {
    PixelPartition partition = *this;
    partition.shift = ticket - blockIdx.x;
    return partition;
  }

  // The running thread's lane and thread row, and the number of thread rows in a block.
  __device__ int lane() const { return int(threadIdx.x) % lanes; }
  __device__ int row() const { return int(threadIdx.x) / lanes; }
  __device__ int rows() const { return row_threads / lanes; }
  /// The running block's number among all blocks, its image, and its number in that image.
  __device__ unsigned index() const {
    const unsigned ticket = blockIdx.x + shift;
    return last_first ? grid - 1 - ticket : ticket;
  }
  __device__ int64_t image() const { return index() / blocks; }
  __device__ int64_t block() const { return index() % blocks; }
  /// A block's pixels [begin, end), counted through all images. Without arguments, those of the running block.
  __device__ int64_t begin(int64_t image, int64_t block) const { return image * pixels + block * block_pixels; }
  __device__ int64_t end(int64_t image, int64_t block) const {
    const int64_t last = (block + 1) * block_pixels;
    return image * pixels + (last < pixels ? last : pixels);
  }
  __device__ int64_t begin() const { return begin(image(), block()); }
  __device__ int64_t end() const { return end(image(), block()); }
};

// ---- Rows of pixels -------------------------------------------------------------------------------------------------

/// Rows of `width` pixels in blocks of 256 threads. `lanes` threads, at most 128, share a pixel's vectors and take
/// equally many of them; `row_blocks` blocks share a row.
struct RowPartition {
  static constexpr int threads = 256;
  int lanes;
  unsigned row_blocks;

  /// vectors: of one pixel.
  RowPartition(int64_t width, int64_t vectors) {
    const int64_t rounds = std::max<int64_t>(1, (vectors + 127) / 128);
    lanes = int(std::max<int64_t>(1, (vectors + rounds - 1) / rounds));
    row_blocks = std::max(1u, blocks_for(width, threads / lanes));
  }
  /// The grid for this many rows.
  unsigned grid(int64_t rows) const { return blocks_for(rows * int64_t(row_blocks), 1); }
  /// The grid for one row. Pixels of many vectors are shared by several blocks, along y.
  dim3 grid_of_row(int64_t vectors) const {
    return {row_blocks, unsigned(std::clamp<int64_t>(vectors / lanes / 2, 1, 1024))};
  }

  /// The running thread's row, its pixel there (at least `width` if it has none), and its lane in that pixel.
  __device__ int64_t row() const { return blockIdx.x / row_blocks; }
  __device__ int64_t column() const {
    const int pixels = threads / lanes, pixel = int(threadIdx.x) / lanes;
    return pixel < pixels ? int64_t(blockIdx.x % row_blocks) * pixels + pixel : int64_t(1) << 62;
  }
  __device__ int lane() const { return int(threadIdx.x) % lanes; }
  /// The running thread's first vector in a launch of grid_of_row(), and the distance to its next one.
  __device__ int64_t first_vector() const { return lane() + int64_t(blockIdx.y) * lanes; }
  __device__ int64_t vector_step() const { return int64_t(gridDim.y) * lanes; }
};

// ---- Flat arrays ----------------------------------------------------------------------------------------------------

/// Arrays of `size` elements in chunks, each the work of a block. A chunk is a multiple of all vector lengths.
struct ChunkPartition {
  int64_t size, chunk;
  unsigned blocks;  // of an array; an empty array has one

  ChunkPartition(int64_t size, int64_t chunk)
      : size(size), chunk(chunk), blocks(std::max(1u, blocks_for(size, int(chunk)))) {}
  /// At most about 1024 chunks, of at least 4096 elements.
  explicit ChunkPartition(int64_t size) : ChunkPartition(size, default_chunk(size)) {}

  unsigned grid(int64_t arrays) const { return blocks_for(arrays * int64_t(blocks), 1); }

  /// The running block's array, its number in that array, and its elements [begin(), end()) there.
  __device__ int64_t array() const { return blockIdx.x / blocks; }
  __device__ unsigned block() const { return blockIdx.x % blocks; }
  __device__ int64_t begin() const { return int64_t(block()) * chunk; }
  __device__ int64_t end() const { return begin() + chunk < size ? begin() + chunk : size; }

 private:
  static int64_t default_chunk(int64_t size) {
    constexpr int64_t step = 1 << 12, max_blocks = 1024;
    return step * std::max<int64_t>(1, (size / max_blocks + step - 1) / step);
  }
};

// ---- Tiles of maps --------------------------------------------------------------------------------------------------
// A block draws a tile of 32 x 32 pixels, a warp 8 rows of it, a lane one column of these. A warp thus writes whole
// lines of memory, and all its lanes read what a row has in common at once from shared memory.

inline constexpr int tile_size = warp_size, tile_threads = 128, tile_warps = tile_threads / warp_size;
inline constexpr int thread_rows = tile_size / tile_warps;  // pixels of a thread

/// A value for each of a thread's pixels in a tile.
template <class T>
using TilePixels = T[thread_rows];

/// A tile of one map.
template <class T>
struct MapTile {
  T* map;  // (H,W); null if the level has none
  int64_t height, width;
  T row_height, column_width;  // in image sides
  int64_t level, image;
  int64_t index, tiles;  // the tile's number in its map, and the map's number of tiles
  int64_t slot;          // the tile's number among those of one image's maps, level by level
  int64_t row, column;   // of the tile's first pixel

  /// The row and column of the running thread's first pixel, from the tile's first.
  static __device__ int first_row() { return int(threadIdx.x) / warp_size * thread_rows; }
  static __device__ int lane() { return int(threadIdx.x) % warp_size; }

  /// The centre of the thread's r-th pixel, in image sides.
  __device__ T x() const { return (T(column + lane()) + T(0.5)) * column_width; }
  __device__ T y(int r) const { return row_centre(first_row() + r); }
  /// The centre of the tile's r-th row, in image sides.
  __device__ T row_centre(int r) const { return (T(row + r) + T(0.5)) * row_height; }

  /// f(v, u, r) for each of the thread's pixels inside the map: its r-th, at row v and column u of the map.
  template <class F>
  __device__ void for_pixels(const F& f) const {
    const int64_t v = row + first_row(), u = column + lane();
    if (u >= width) return;
#pragma unroll
    for (int r = 0; r < thread_rows; ++r)
      if (v + r < height) f(v + r, u, r);
  }

  /// Writes the thread's pixels to the map.
  __device__ void store(const TilePixels<T>& value) const {
    T* to = map + (row + first_row()) * width + column + lane();
    for_pixels([&](int64_t, int64_t, int r) { to[r * width] = value[r]; });
  }
};

/// The maps of all levels and images, in tiles: level by level, image by image, row by row. Kernels take it by value
/// as __grid_constant__. Otherwise a level chosen at run time would put all levels into local memory.
template <class T>
struct MapPartition {
  struct Level {
    T* maps;  // (B,H,W); null if the level has none
    int64_t height, width;
    T row_height, column_width;  // in image sides
    unsigned tiles;              // of a map
    FastDivider tiles_of_row, tiles_of_map;
    unsigned first_tile;  // among all tiles
    unsigned first_slot;  // among the tiles of one image
  };

  /// Throws Error, naming `op`, for more than max_levels levels or more tiles than a grid can have.
  MapPartition(const char* op, const std::vector<MapSize>& sizes, const std::vector<T*>& maps, int64_t batch)
      : levels(int(sizes.size())), batch(batch) {
    GT_CHECK(levels <= max_levels, op, ": ", levels, " levels, expected at most ", max_levels, " on CUDA");
    int64_t first_tile = 0;
    for (size_t l = 0; l < sizes.size(); ++l) {
      const auto [height, width] = sizes[l];
      const int64_t across = (width + tile_size - 1) / tile_size, tiles = (height + tile_size - 1) / tile_size * across;
      blocks_for(tiles * batch, 1);  // throws before the narrowing below
      level[l] = {maps[l],
                  height,
                  width,
                  1 / T(height),
                  1 / T(width),
                  unsigned(tiles),
                  FastDivider(unsigned(across)),
                  FastDivider(unsigned(tiles)),
                  unsigned(first_tile),
                  unsigned(slots)};
      max_tiles = std::max(max_tiles, tiles);
      slots += tiles;
      first_tile += tiles * batch;
      blocks_for(std::max(first_tile, slots), 1);
    }
    grid = unsigned(first_tile);
  }

  /// The tile with this number among all tiles.
  __device__ MapTile<T> tile(unsigned i) const {
    int l = 0;
#pragma unroll
    for (int k = 1; k < max_levels; ++k) l += k < levels && i >= level[k].first_tile;
    const Level& at = level[l];
    const unsigned of_level = i - at.first_tile;
    const unsigned image = at.tiles_of_map.quotient(of_level), index = at.tiles_of_map.remainder(of_level);
    return {at.maps == nullptr ? nullptr : at.maps + image * at.height * at.width,
            at.height,
            at.width,
            at.row_height,
            at.column_width,
            l,
            image,
            index,
            at.tiles,
            int64_t(at.first_slot) + index,
            int64_t(at.tiles_of_row.quotient(index)) * tile_size,
            int64_t(at.tiles_of_row.remainder(index)) * tile_size};
  }

  Level level[max_levels] = {};
  int levels;
  int64_t batch;
  unsigned grid = 0;      // tiles of all maps
  int64_t slots = 0;      // tiles of one image's maps
  int64_t max_tiles = 0;  // of a map
};

}  // namespace gt::gpu

#endif
