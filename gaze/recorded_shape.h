// The shape of the image that gaze was recorded on.
#pragma once

#include <string>

#include "gaze/fixation.h"
#include "gaze/image.h"

namespace gt {

/// Throws Error, naming both files, if the gaze of a table was recorded on an image of another shape: if the ratios of
/// height to width differ by more than 2 %. A resized copy is fine, and so is a table without sizes.
void check_recorded_shape(const Track& track, const std::string& table, const Image& image, const std::string& path);

}  // namespace gt
