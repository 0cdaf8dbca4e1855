#include "gaze/recorded_shape.h"

#include <cmath>

#include "core/check.h"

namespace gt {

void check_recorded_shape(const Track& track, const std::string& table, const Image& image, const std::string& path) {
  if (track.image_height <= 0 || track.image_width <= 0) return;
  constexpr double tolerance = 0.02;  // sizes on screens are rounded
  const double recorded = double(track.image_height) / double(track.image_width);
  const double shown = double(image.height) / double(image.width);
  if (std::abs(recorded / shown - 1) > tolerance)
    fail(table, ": gaze on an image of ", track.image_height, "x", track.image_width, ", but ", path, " is ",
         image.height, "x", image.width, ": expected one shape");
}

}  // namespace gt
