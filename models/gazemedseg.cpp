#include "models/gazemedseg.h"

namespace gt {

Tensor cross_level_loss(const Tensors& own, const Tensors& others) {
  GT_CHECK(own.size() == others.size() && own.size() > 1, "cross_level_loss: ", own.size(), " and ", others.size(),
           " levels, expected two or more of each");
  Tensors targets;
  for (const Tensor& z : others) targets.push_back(sigmoid(z.detach()));
  Tensor total;
  for (size_t i = 0; i < own.size(); ++i) {
    const Tensor p = sigmoid(own[i]);
    for (size_t j = 0; j < others.size(); ++j) {
      if (j == i) continue;
      const Tensor& q = targets[j];
      const Tensor differ = add(mul(p, scale(q, -2, 1)), q);  // p (1 - q) + (1 - p) q
      const Tensor part = scale(mean(differ), 1 / double(others.size() - 1));
      total = total.defined() ? add(total, part) : part;
    }
  }
  return total;
}

GazeMedSeg::Level::Level(const Scope& scope, const Config& config)
    : encoder(scope / "encoder", config.data.channels, config.model.features[5], config.model),
      classifier(scope / "classifier", config.model.features[5], 1, 1) {}

/// All levels start from the first one's values, as the authors' do.
GazeMedSeg::GazeMedSeg(const Config& config, DType dtype, Device device)
    : Model(config, dtype, device), loss_(config.loss) {
  const size_t count = config.pseudo.thresholds.size();
  for (size_t i = 0; i < count; ++i) levels_.emplace_back(Scope(parameters_) / str_cat("level_", i + 1), config);
  const Tensors all = parameters_.tensors();
  const size_t each = all.size() / count;
  for (size_t k = each; k < all.size(); ++k) all[k].copy_from(all[k % each]);
}

/// Classifying what was propagated is propagating what was classified: both are sums.
Tensor GazeMedSeg::propagated(const Level& level, const Tensor& features) const {
  const Tensor f = wide(features);
  return add_channels(feature_propagation(f, conv2d(f, level.classifier.weight, {})), level.classifier.bias);
}

Prediction GazeMedSeg::predict(const Tensor& images) const {
  Tensor sum;
  for (const Level& level : levels_) {
    const Tensor z = logits(level, level.features(stored(images)));
    sum = sum.defined() ? add(sum, z) : z;
  }
  return {scale(sum, 1 / double(levels_.size())), {}};
}

Losses GazeMedSeg::losses(const Supervised& batch) const {
  GT_CHECK(batch.pseudo.size() == levels_.size(), "GazeMedSeg: ", batch.pseudo.size(), " pseudo masks for ",
           levels_.size(), " levels");
  const bool propagate = loss_.consistency == "prop", agree = levels_.size() > 1 && loss_.consistency_weight > 0;
  const Tensor x = stored(batch.images);
  Tensors direct, own;
  Losses losses;
  for (size_t i = 0; i < levels_.size(); ++i) {
    const Tensor features = levels_[i].features(x);
    direct.push_back(logits(levels_[i], features));
    if (agree) own.push_back(propagate ? propagated(levels_[i], features) : direct.back());
    const Tensor loss = segmentation_loss(direct.back(), batch.pseudo[i], {}, loss_);
    losses.segmentation = i == 0 ? loss : add(losses.segmentation, loss);
  }
  losses.total = losses.segmentation;
  if (agree) losses.total = add(losses.total, scale(cross_level_loss(own, direct), loss_.consistency_weight));
  return losses;
}

}  // namespace gt
