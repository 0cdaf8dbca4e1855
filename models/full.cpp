#include "models/full.h"

namespace gt {

Recipe full_recipe() {
  return {"full",
          "upper bound: hand-drawn masks supervise the output",
          [](const Config& config, DType dtype, Device device) -> std::unique_ptr<Model> {
            return std::make_unique<FullMasks>(config, dtype, device);
          },
          [](const Config&) { return DataNeeds{.masks = true}; },
          [](const Config&) { return std::vector<double>(); },
          nullptr,
          [](const Config&) {
            return std::vector<std::string>{"maps",        "attention",        "pseudo",
                                            "loss.lambda", "loss.consistency", "loss.consistency_weight"};
          },
          {{0.8212, 0}, {0.8058, 0}}};
}

FullMasks::FullMasks(const Config& config, DType dtype, Device device)
    : Model(config, dtype, device), loss_(config.loss), unet_(parameters_, config.data.channels, 1, config.model) {}

Prediction FullMasks::predict(const Tensor& images) const { return {as_compute(unet_(as_activation(images))), {}}; }

Losses FullMasks::losses(const SupervisedBatch& batch) const {
  return {{{"segmentation",
            segmentation_loss(predict(batch.images).logits, batch.masks, batch.counted, loss_, batch.share)}}};
}

}  // namespace gt
