// Pictures of images with their gaze, the network's attention and its prediction.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "models/evaluate.h"
#include "tools/draw.h"

namespace gt {

/// Chooses images by their Dice: `count` of the best, of the median and of the worst. Returns index and rank ("best",
/// "median", "worst") of each. With few images `count` is reduced, so that no image occurs twice.
std::vector<std::pair<size_t, const char*>> cases_to_show(const std::vector<double>& dice, size_t count);

/// A prediction as pictures of the image's size.
struct PredictedView {
  Image mask;                      // 0 and 255
  std::vector<float> probability;  // of foreground, (height,width)
  std::vector<Image> attention;    // attention maps A_l in colour, coarsest first; empty if the recipe has none
};

/// Predicts one image of any size.
PredictedView predict_view(const Model& model, const DataOptions& data, const Image& image);

/// The RGB image with the predicted mask tinted and outlined in blue, and the outline of `label`, if not null, in
/// yellow.
Image overlay_mask(const Image& rgb, const Image& prediction, const Image* label);

/// The image of a sample as a tile of 256 x 256 pixels, RGB.
Image image_tile(const Sample& sample);

/// The label of a sample as a tile of 256 x 256 pixels, 1 channel.
Image label_tile(const Sample& sample);

/// The image of a sample with a predicted mask and the label on top, as a tile of 256 x 256 pixels, RGB.
Image prediction_tile(const Sample& sample, const Image& predicted);

/// A picture of one case that consists of columns of one size.
struct Panel {
  std::vector<std::string> columns;  // what each column shows, from the left
  Image picture;
};

/// The panel of a sample: image, gaze track, track maps, attention, prediction, label. Track and maps are omitted
/// without gaze, attention is omitted if the recipe has none.
Panel case_panel(const Model& model, const Config& config, const Sample& sample);

}  // namespace gt
