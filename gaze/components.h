// Connected parts of masks.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace gt {

/// The number of connected parts of a mask (z,y,x) with the sizes x, y, z, whose foreground is not 0. Voxels that share
/// a corner are connected: 8 neighbours in an image, whose size z is 1, and 26 in a volume.
int64_t count_components(const std::vector<uint8_t>& mask, const std::array<int64_t, 3>& sizes);

}  // namespace gt
