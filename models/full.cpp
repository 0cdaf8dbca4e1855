#include "models/full.h"

namespace gt {

FullMasks::FullMasks(const Config& config, DType dtype, Device device)
    : Model(config, dtype, device), loss_(config.loss), unet_(parameters_, config.data.channels, 1, config.model) {}

Prediction FullMasks::predict(const Tensor& images) const { return {wide(unet_(stored(images))), {}}; }

Losses FullMasks::losses(const Supervised& batch) const {
  const Tensor loss = segmentation_loss(predict(batch.images).logits, batch.masks, {}, loss_);
  return {loss, loss, {}};
}

}  // namespace gt
