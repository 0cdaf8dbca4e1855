#include "gaze/components.h"

#include <algorithm>

#include "core/check.h"

namespace gt {

int64_t count_components(const std::vector<uint8_t>& mask, const std::array<int64_t, 3>& sizes) {
  const auto [nx, ny, nz] = sizes;
  GT_CHECK(int64_t(mask.size()) == nx * ny * nz, "count_components: ", mask.size(), " values for ", nx, "x", ny, "x",
           nz);
  std::vector<uint8_t> left = mask;  // foreground that no component has yet
  std::vector<int64_t> open;
  int64_t count = 0;
  for (int64_t first = 0; first < int64_t(left.size()); ++first) {
    if (!left[size_t(first)]) continue;
    ++count;
    left[size_t(first)] = 0;
    open.push_back(first);
    while (!open.empty()) {
      const int64_t i = open.back(), x = i % nx, y = i / nx % ny, z = i / (nx * ny);
      open.pop_back();
      for (int64_t c = std::max<int64_t>(z - 1, 0); c <= std::min(z + 1, nz - 1); ++c)
        for (int64_t b = std::max<int64_t>(y - 1, 0); b <= std::min(y + 1, ny - 1); ++b)
          for (int64_t a = std::max<int64_t>(x - 1, 0); a <= std::min(x + 1, nx - 1); ++a)
            if (uint8_t& v = left[size_t((c * ny + b) * nx + a)]; v) v = 0, open.push_back((c * ny + b) * nx + a);
    }
  }
  return count;
}

}  // namespace gt
