// What the ops on packed tracks share: their fixations' offsets, and the maps drawn from them, L levels of B images
// each, every level of its own size.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/ops.h"

namespace gt {

/// Throws Error unless offsets (B+1) is i32 and cuts `count` fixations into tracks: 0, never falling, count. The values
/// are looked at on the CPU only: on CUDA that would have to wait for the device, and the last may be less than count,
/// so that one recorded step serves batches of different length.
inline void check_offsets(const char* op, const Tensor& offsets, int64_t count) {
  GT_CHECK(offsets.rank() == 1 && offsets.dim(0) >= 1 && offsets.dtype() == DType::i32, op, ": offsets is ",
           offsets.dtype(), offsets.shape(), ", expected i32(B+1)");
  if (offsets.device() == Device::cuda) return;
  const std::vector<int32_t> o = offsets.values<int32_t>();
  GT_CHECK(o.front() == 0 && o.back() == count, op, ": offsets run from ", o.front(), " to ", o.back(),
           ", expected 0 to ", count, " fixations");
  GT_CHECK(std::is_sorted(o.begin(), o.end()), op, ": offsets fall");
}

/// Throws Error unless there is a map, and every map has a pixel.
inline void check_sizes(const char* op, const std::vector<MapSize>& sizes) {
  GT_CHECK(!sizes.empty(), op, ": no map sizes");
  for (const auto [height, width] : sizes) GT_CHECK(height > 0 && width > 0, op, ": map of ", height, " x ", width);
}

/// Centre of pixel i of n, in image sides.
template <class T>
GT_HD inline T pixel_centre(int64_t i, int64_t n) {
  return (T(i) + T(0.5)) / T(n);
}

/// Rows [begin, end) of one map: what one thread draws at a time.
struct MapBlock {
  int64_t level, image, begin, end;
};

/// Cuts the maps into blocks of about so many pixels, in the order level, image, row.
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

/// Maps (B,H_l,W_l), one per size.
inline Tensors empty_maps(const std::vector<MapSize>& sizes, int64_t batch, DType dtype, Device device) {
  Tensors maps;
  for (const auto [height, width] : sizes) maps.emplace_back(Shape{batch, height, width}, dtype, device);
  return maps;
}

}  // namespace gt
