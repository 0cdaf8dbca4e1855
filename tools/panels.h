// Pictures of what a network does with an image.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "models/evaluate.h"
#include "tools/draw.h"

namespace gt {

/// Indices of the `count` best, median and worst of the images with this Dice, each with its rank's name; no image
/// twice.
std::vector<std::pair<size_t, const char*>> cases_to_show(const std::vector<double>& dice, size_t count);

/// A network's view of one image of any size.
struct View {
  Image mask;                    // predicted, at the image's own size
  std::vector<Image> attention;  // A_l in colour at the image's own size, coarsest first; empty in recipes without
};
View view(const Model& model, const DataOptions& data, const Image& image);

/// The picture with the predicted mask tinted and outlined; the label's outline too where there is one.
Image overlay_mask(const Image& rgb, const Image& prediction, const Image* label);

/// The sample's image, its label and a mask predicted for it as the tiles of panels, all of one size.
Image image_tile(const Sample& sample);
Image label_tile(const Sample& sample);
Image prediction_tile(const Sample& sample, const Image& predicted);

/// A picture of one case: its columns side by side, all of one size, and what each shows. Without gaze there is no
/// track and no maps, without attention no attention.
struct Panel {
  std::vector<std::string> columns;
  Image picture;
};
Panel case_panel(const Model& model, const Config& config, const Sample& sample);

}  // namespace gt
