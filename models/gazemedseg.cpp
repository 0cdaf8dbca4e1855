#include "models/gazemedseg.h"

namespace gt {

Recipe gazemedseg_recipe() {
  return {"gazemedseg",
          "baseline: one network per pseudo mask of the gaze heat map, with a consistency loss",
          [](const Config& config, DType dtype, Device device) -> std::unique_ptr<Model> {
            return std::make_unique<GazeMedSeg>(config, dtype, device);
          },
          [](const Config&) { return DataNeeds{.gaze = true}; },
          [](const Config& config) { return config.pseudo.thresholds; },
          [](const Config& config) {
            PseudoMasks how{nullptr, config.pseudo.crf, config.pseudo.thresholds};
            how.map = [sigma = config.pseudo.sigma](const Track& track, const Image& image) {
              return heat_map(track, image.height, image.width, sigma);
            };
            return how;
          },
          [](const Config&) {
            return std::vector<std::string>{
                "maps",          "attention",      "loss.lambda", "pseudo.foreground", "pseudo.background",
                "pseudo.refine", "pseudo.between", "pseudo.sure", "pseudo.teacher"};
          },
          {{0.7780, 0}, {0.7764, 0}},
          {{"loss.dice", "0"},  // METHOD 1: as its authors train it
           {"loss.bce", "1"},
           {"optimizer.schedule", "epoch"},
           {"optimizer.momentum", "0.99"},
           {"optimizer.nesterov", "true"}}};
}

Tensor cross_level_loss(const Tensors& own, const Tensors& others) {
  GT_CHECK(own.size() == others.size() && own.size() > 1, "cross_level_loss: ", own.size(), " and ", others.size(),
           " levels, expected equal numbers of at least 2");
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

/// All levels start with the initial values of level 1, as in the authors' code.
GazeMedSeg::GazeMedSeg(const Config& config, DType dtype, Device device)
    : Model(config, dtype, device), loss_(config.loss) {
  const size_t count = config.pseudo.thresholds.size();
  for (size_t i = 0; i < count; ++i) levels_.emplace_back(Scope(parameters_) / str_cat("level_", i + 1), config);
  Tensors all = parameters_.tensors();
  const size_t each = all.size() / count;
  for (size_t k = each; k < all.size(); ++k) all[k].copy_from(all[k % each]);
}

/// Propagation and classification are both linear in the features, so their order does not matter. Classifying first
/// leaves one channel to propagate instead of features[5].
Tensor GazeMedSeg::propagated(const Level& level, const Tensor& features) const {
  const Tensor f = as_compute(features);
  return add_channels(feature_propagation(f, level.classifier.without_bias(f)), level.classifier.bias);
}

Prediction GazeMedSeg::predict(const Tensor& images) const {
  Tensor sum;
  for (const Level& level : levels_) {
    const Tensor z = logits(level, level.features(as_activation(images)));
    sum = sum.defined() ? add(sum, z) : z;
  }
  return {scale(sum, 1 / double(levels_.size())), {}};
}

std::vector<std::string> GazeMedSeg::loss_terms() const {
  if (!has_consistency()) return {"segmentation"};
  return {"segmentation", "consistency"};
}

Losses GazeMedSeg::losses(const SupervisedBatch& batch) const {
  GT_CHECK(batch.pseudo.size() == levels_.size(), "GazeMedSeg: expected ", levels_.size(),
           " pseudo masks, one per level, got ", batch.pseudo.size());
  const bool propagate = loss_.consistency == "prop";
  const Tensor x = as_activation(batch.images);
  Tensors direct, own;
  Tensor segmentation;
  for (size_t i = 0; i < levels_.size(); ++i) {
    const Tensor features = levels_[i].features(x);
    direct.push_back(logits(levels_[i], features));
    if (has_consistency()) own.push_back(propagate ? propagated(levels_[i], features) : direct.back());
    const Tensor loss = segmentation_loss(direct.back(), batch.pseudo[i], {}, loss_, batch.share);
    segmentation = i == 0 ? loss : add(segmentation, loss);
  }
  Losses losses{{{"segmentation", segmentation}}};
  if (has_consistency())
    losses.terms.push_back(
        {"consistency", batch.share.of_images(cross_level_loss(own, direct)), loss_.consistency_weight});
  return losses;
}

}  // namespace gt
