// Prediction on whole images and evaluation of data sets.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "gaze/metrics.h"
#include "models/model.h"

namespace gt {

/// The network's input, normalised: samples as (B,S,S,C), or one image of any size as (1,S,S,C).
Tensor network_input(const std::vector<const Sample*>& samples, Device device);
Tensor network_input(const Image& image, const DataOptions& data, Device device);

/// What the model, on the CPU, says of one image of any size: probability of foreground, (height,width).
Tensor probability(const Model& model, const DataOptions& data, const Image& image);

/// The mask that logits (h,w) say at height x width: resized bilinearly, sigmoid > 0.5 -> 255, else 0.
Image predicted_mask(const Tensor& logits, int64_t height, int64_t width);

struct ImageScores {
  std::string name;
  Scores scores;
};

/// Scores of every image of a data set loaded with labels, at the label's own size.
std::vector<ImageScores> evaluate(const Model& model, const Dataset& dataset, int64_t batch,
                                  const std::function<void(int64_t done)>& progress = nullptr);

/// Mean and standard deviation of a metric over images.
MeanStd summarize(const std::vector<ImageScores>& images, const Metric& metric);

}  // namespace gt
