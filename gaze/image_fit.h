// Images that an experiment showed each in its own shape, in one area of the screen.
#pragma once

#include <string>

#include "gaze/gaze_file.h"
#include "gaze/image_sizes.h"

namespace gt {

/// The rectangle of an image of this size in the middle of `area`, both in pixels of the screen. `fit` is "contain"
/// (the largest of the image's shape that fits) or "native" (of the image's size). Throws Error for another word.
Rectangle fitted(const PixelSize& image, const Rectangle& area, const std::string& fit);

/// Turns the positions of a file, which are in sides of options.viewing.image (the area), into sides of each image in
/// its rectangle. Sizes are those of options.images. Images that the folder lacks are removed, and told of in
/// file.positions_text. `path` is the file's. Throws Error if the positions are not in pixels of the screen, or if the
/// folder lacks all images.
void fit_images(const std::string& path, GazeFile& file, const GazeOptions& options);

}  // namespace gt
