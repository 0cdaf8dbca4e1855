// How the maps that are drawn from tracks are partitioned into work for the CPU's threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/ops.h"

namespace gt {

/// Rows [begin, end) of one map, which one thread draws.
struct MapBlock {
  int64_t level, image, begin, end;
};

/// Partitions the maps of all levels and images into blocks of about `pixels` pixels, level by level, image by image,
/// row by row.
inline std::vector<MapBlock> map_blocks(const std::vector<MapSize>& sizes, int64_t batch, int64_t pixels) {
  std::vector<MapBlock> blocks;
  for (int64_t level = 0; level < int64_t(sizes.size()); ++level) {
    const auto [height, width] = sizes[size_t(level)];
    const int64_t rows = std::max<int64_t>(1, pixels / width);
    for (int64_t image = 0; image < batch; ++image)
      for (int64_t begin = 0; begin < height; begin += rows)
        blocks.push_back({level, image, begin, std::min(begin + rows, height)});
  }
  return blocks;
}

}  // namespace gt
