#include "gaze/edge_contrast.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"

namespace gt {
namespace {

/// The length of the differences between pixels `step` to the right and left, and below and above.
double gradient(const Image& image, int64_t y, int64_t x, int64_t step) {
  const uint8_t* left = image.at(y, std::max<int64_t>(0, x - step));
  const uint8_t* right = image.at(y, std::min(image.width - 1, x + step));
  const uint8_t* above = image.at(std::max<int64_t>(0, y - step), x);
  const uint8_t* below = image.at(std::min(image.height - 1, y + step), x);
  double sum = 0;
  for (int64_t c = 0; c < image.channels; ++c) {
    const double across = double(right[c]) - double(left[c]), down = double(below[c]) - double(above[c]);
    sum += across * across + down * down;
  }
  return std::sqrt(sum);
}

/// Whether a pixel is foreground and has a background pixel among its four neighbours.
bool is_boundary(const Image& mask, int64_t y, int64_t x) {
  const auto foreground = [&](int64_t v, int64_t u) { return is_foreground(*mask.at(v, u)); };
  return foreground(y, x) && ((y > 0 && !foreground(y - 1, x)) || (y + 1 < mask.height && !foreground(y + 1, x)) ||
                              (x > 0 && !foreground(y, x - 1)) || (x + 1 < mask.width && !foreground(y, x + 1)));
}

}  // namespace

double edge_contrast(const Image& image, const Image& mask, int64_t step) {
  GT_CHECK(image.height == mask.height && image.width == mask.width && mask.channels == 1, "edge_contrast: image is ",
           image.height, "x", image.width, ", mask ", mask.height, "x", mask.width, "x", mask.channels,
           ", expected one size and one channel");
  double all = 0, along = 0;
  int64_t boundary = 0;
  for (int64_t y = 0; y < image.height; ++y)
    for (int64_t x = 0; x < image.width; ++x) {
      const double g = gradient(image, y, x, step);
      all += g;
      if (is_boundary(mask, y, x)) along += g, ++boundary;
    }
  if (boundary == 0 || all == 0) return 0;
  return along / double(boundary) / (all / double(image.height * image.width));
}

}  // namespace gt
