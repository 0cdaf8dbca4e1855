// The baseline, GazeMedSeg (METHOD 6): a U-Net for each pseudo mask, trained on it and on agreeing with the others.
#pragma once

#include <vector>

#include "models/model.h"

namespace gt {

/// What the levels disagree in, logits (B,H,W,1) each: the sum over levels i of the mean over levels j != i and pixels
/// of 1 - (p_i p_j + (1 - p_i)(1 - p_j)), p_i = sigmoid(own[i]), p_j = sigmoid(others[j]) without gradient. -> ()
Tensor cross_level_loss(const Tensors& own, const Tensors& others);

class GazeMedSeg : public Model {
 public:
  GazeMedSeg(const Config& config, DType dtype, Device device);
  Prediction predict(const Tensor& images) const override;
  Losses losses(const Supervised& batch) const override;

 private:
  /// One level's network: BasicUNet whose last convolution keeps its features' number, and a classifier of pixels.
  struct Level {
    Level(const Scope& scope, const Config& config);
    Tensor features(const Tensor& images) const { return encoder(images); }  // (B,H,W,features[5])
    UNet encoder;
    Conv2d classifier;
  };

  Tensor logits(const Level& level, const Tensor& features) const { return wide(level.classifier(features)); }
  /// The logits of the propagated features.
  Tensor propagated(const Level& level, const Tensor& features) const;

  LossOptions loss_;
  std::vector<Level> levels_;
};

}  // namespace gt
