// The upper bound: a U-Net trained on hand-drawn masks.
#pragma once

#include "models/model.h"

namespace gt {

class FullMasks : public Model {
 public:
  FullMasks(const Config& config, DType dtype, Device device);
  Prediction predict(const Tensor& images) const override;
  Losses losses(const Supervised& batch) const override;

 private:
  LossOptions loss_;
  UNet unet_;
};

}  // namespace gt
