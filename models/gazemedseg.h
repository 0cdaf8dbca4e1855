// Recipe "gazemedseg", the baseline (section 6 of docs/method.md): one U-Net per pseudo mask. Each network is trained
// on its mask and on agreement with the other networks.
#pragma once

#include <vector>

#include "models/recipes.h"

namespace gt {

/// The row of recipe "gazemedseg".
Recipe gazemedseg_recipe();

/// The disagreement of the levels, a scalar: sum over levels i of the mean of d_ij over levels j != i and over pixels.
///   d_ij = 1 - (p_i p_j + (1 - p_i)(1 - p_j)), p_i = sigmoid(own[i]), p_j = sigmoid(others[j])
/// No gradient flows through p_j. Both lists hold logits (B,H,W,1), one tensor per level, at least two.
Tensor cross_level_loss(const Tensors& own, const Tensors& others);

/// One network per pseudo mask. The prediction is the mean of their logits.
class GazeMedSeg : public Model {
 public:
  GazeMedSeg(const Config& config, DType dtype, Device device);
  Prediction predict(const Tensor& images) const override;
  Losses losses(const SupervisedBatch& batch) const override;
  std::vector<std::string> loss_terms() const override;

 private:
  /// The network of one level: a U-Net with features[5] output channels and a 1x1 classifier.
  struct Level {
    Level(const Scope& scope, const Config& config);
    /// (B,H,W,features[5])
    Tensor features(const Tensor& images) const { return encoder(images); }
    UNet encoder;
    Conv2d classifier;
  };

  /// The logits (B,H,W,1) of features, in the compute dtype.
  Tensor logits(const Level& level, const Tensor& features) const { return as_compute(level.classifier(features)); }
  /// The logits (B,H,W,1) of the propagated features.
  Tensor propagated(const Level& level, const Tensor& features) const;
  /// Whether losses() has the term "consistency".
  bool has_consistency() const { return levels_.size() > 1 && loss_.consistency_weight > 0; }

  LossOptions loss_;
  std::vector<Level> levels_;
};

}  // namespace gt
