// The upper bound: a U-Net trained on hand-drawn masks.
#pragma once

#include "models/recipes.h"

namespace gt {

/// The row of recipe "full".
Recipe full_recipe();

class FullMasks : public Model {
 public:
  FullMasks(const Config& config, DType dtype, Device device);
  Prediction predict(const Tensor& images) const override;
  Losses losses(const Supervised& batch) const override;
  std::vector<std::string> loss_terms() const override { return {"segmentation"}; }

 private:
  LossOptions loss_;
  UNet unet_;
};

}  // namespace gt
