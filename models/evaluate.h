// Prediction on whole images and evaluation of data sets.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/communicator.h"
#include "gaze/metrics.h"
#include "models/model.h"

namespace gt {

/// The normalised images of samples, all of one size, as input of a network: (B,S,S,C) on the device.
Tensor network_input(const std::vector<const Sample*>& samples, Device device);

/// One image of any size, resized to S = data.size and normalised, as input of a network: (1,S,S,C) on the device.
Tensor network_input(const Image& image, const DataOptions& data, Device device);

/// The probability of foreground that the model predicts for each pixel of an image of any size: (height,width). The
/// model must be on the CPU. Throws Error if the network's output is not finite.
Tensor predict_probability(const Model& model, const DataOptions& data, const Image& image);

/// The probability of foreground of logits (h,w), resized bilinearly: (height,width).
Tensor foreground_probability(const Tensor& logits, int64_t height, int64_t width);

/// The model with logits that are the mean over an image and its mirror images: left-right, up-down and both. For
/// prediction alone: it has no parameters and no loss. Attention maps are those of the image itself.
std::unique_ptr<Model> mirror_averaged(std::unique_ptr<Model> model, const Config& config);

/// The mask of logits (h,w) at height x width. The logits are resized bilinearly. A pixel is 255 where their sigmoid is
/// above 0.5, else 0. Throws Error if a logit is not finite.
Image predicted_mask(const Tensor& logits, int64_t height, int64_t width);

/// The scores of the mask predicted for one image.
struct ImageScores {
  std::string name;
  Scores scores;
};

/// The scores of every image of a data set, in its order. Masks are compared at the size of the label, so the data set
/// must have labels. `batch` images are predicted at once. Several processes share the batches, and each gets all
/// scores, which are those of one process. `progress` is called with the number of images done. Throws Error, naming
/// the image, if the network's output is not finite.
std::vector<ImageScores> evaluate_model(const Model& model, const SampleSource& dataset, int64_t batch,
                                        const std::function<void(int64_t done)>& progress = nullptr,
                                        const Communicator& processes = {});

/// The metrics that are known for all images.
std::vector<const Metric*> known_metrics(const std::vector<ImageScores>& images);

/// Mean and standard deviation of a metric over images.
MeanStd summarize_scores(const std::vector<ImageScores>& images, const Metric& metric);

}  // namespace gt
