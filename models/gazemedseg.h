// The baseline, GazeMedSeg (METHOD 6): one U-Net for each pseudo mask. Each learns from its mask and to agree with the
// other networks.
#pragma once

#include <vector>

#include "models/recipes.h"

namespace gt {

/// The row of recipe "gazemedseg".
Recipe gazemedseg_recipe();

/// How much the levels disagree: the sum over levels i of the mean, over levels j != i and pixels, of
/// 1 - (p_i p_j + (1 - p_i)(1 - p_j)), with p_i = sigmoid(own[i]) and p_j = sigmoid(others[j]). No gradient flows
/// through p_j. Both lists hold logits (B,H,W,1), one per level. -> ()
Tensor cross_level_loss(const Tensors& own, const Tensors& others);

class GazeMedSeg : public Model {
 public:
  GazeMedSeg(const Config& config, DType dtype, Device device);
  Prediction predict(const Tensor& images) const override;
  Losses losses(const Supervised& batch) const override;
  std::vector<std::string> loss_terms() const override;

 private:
  /// The network of one level: a U-Net with features[5] output channels, and a 1x1 classifier.
  struct Level {
    Level(const Scope& scope, const Config& config);
    Tensor features(const Tensor& images) const { return encoder(images); }  // (B,H,W,features[5])
    UNet encoder;
    Conv2d classifier;
  };

  Tensor logits(const Level& level, const Tensor& features) const { return as_compute(level.classifier(features)); }
  /// The logits of the propagated features.
  Tensor propagated(const Level& level, const Tensor& features) const;
  /// Whether there is a consistency loss.
  bool has_consistency() const { return levels_.size() > 1 && loss_.consistency_weight > 0; }

  LossOptions loss_;
  std::vector<Level> levels_;
};

}  // namespace gt
