// What the ops on packed tracks share: checks of their arguments, and the maps that they draw.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/ops.h"

namespace gt {

/// Levels of maps that one launch on CUDA can have.
inline constexpr int max_levels = 8;

/// Throws Error, naming `op`, unless offsets (B+1) is i32 and splits `count` fixations into tracks. The first offset
/// must be 0, the last `count`, and none may be below the one before.
///
/// Values are checked on the CPU only, because on CUDA that would wait for the device. There the last offset may also
/// be below `count`, so that one recorded step serves batches of different length.
inline void check_offsets(const char* op, const Tensor& offsets, int64_t count) {
  GT_CHECK(offsets.rank() == 1 && offsets.dim(0) >= 1 && offsets.dtype() == DType::i32, op, ": offsets is ",
           offsets.dtype(), offsets.shape(), ", expected i32(B+1)");
  if (offsets.device() == Device::cuda) return;
  const std::vector<int32_t> o = offsets.values<int32_t>();
  GT_CHECK(o.front() == 0 && o.back() == count, op, ": offsets run from ", o.front(), " to ", o.back(),
           ", expected 0 to ", count, " fixations");
  GT_CHECK(std::is_sorted(o.begin(), o.end()), op, ": offsets fall, expected each to be at least the one before");
}

/// Throws Error, naming `op`, unless there is a map size and every map has a pixel.
inline void check_sizes(const char* op, const std::vector<MapSize>& sizes) {
  GT_CHECK(!sizes.empty(), op, ": got no map sizes, expected at least one");
  for (const auto [height, width] : sizes)
    GT_CHECK(height > 0 && width > 0, op, ": a map is ", height, " x ", width, ", expected at least 1 x 1");
}

/// The centre of pixel i of n, in image sides.
template <class T>
GT_HD inline T pixel_centre(int64_t i, int64_t n) {
  return (T(i) + T(0.5)) / T(n);
}

/// Maps (B,H_l,W_l), one per size, not initialised.
inline Tensors empty_maps(const std::vector<MapSize>& sizes, int64_t batch, DType dtype, Device device) {
  Tensors maps;
  for (const auto [height, width] : sizes) maps.emplace_back(Shape{batch, height, width}, dtype, device);
  return maps;
}

}  // namespace gt
