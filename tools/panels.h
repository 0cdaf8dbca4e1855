// Pictures of what a network does with an image.
#pragma once

#include <string>
#include <vector>

#include "models/evaluate.h"
#include "tools/draw.h"

namespace gt {

/// Whether the data set's gaze file exists.
bool gaze_is_there(const DataOptions& data);

/// A network's view of one image of any size.
struct View {
  Image mask;                // predicted, at the image's own size
  std::vector<Image> attention;  // A_l in colour at the image's own size, coarsest first; empty in recipes without
};
View view(const Model& model, const DataOptions& data, const Image& image);

/// The picture with the predicted mask tinted and outlined; the label's outline too where there is one.
Image overlay_mask(const Image& rgb, const Image& prediction, const Image* label);

/// image | track | maps, 2 x 2 | attention, 2 x 2 | prediction over the image with both outlines | mask. Without gaze the
/// track and maps are left out, without attention that.
Image case_panel(const Model& model, const Config& config, const Sample& sample);

}  // namespace gt
