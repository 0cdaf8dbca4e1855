#include "models/full.h"

namespace gt {

FullMasks::FullMasks(const Config& config, DType dtype)
    : Model(uint64_t(config.seed), dtype),
      loss_(config.loss),
      unet_(parameters_, config.data.channels, 1, config.model) {}

Prediction FullMasks::predict(const Tensor& images) const { return {unet_(images), {}}; }

Losses FullMasks::losses(const Supervised& batch) const {
  const Tensor loss = segmentation_loss(unet_(batch.images), batch.masks, {}, loss_);
  return {loss, loss, {}};
}

}  // namespace gt
