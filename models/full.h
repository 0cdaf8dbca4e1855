// Recipe "full": a U-Net trained on hand-drawn masks, the upper bound for the other recipes.
#pragma once

#include "models/recipes.h"

namespace gt {

/// The row of recipe "full".
Recipe full_recipe();

/// A U-Net whose output is supervised by hand-drawn masks.
class FullMasks : public Model {
 public:
  FullMasks(const Config& config, DType dtype, Device device);
  Prediction predict(const Tensor& images) const override;
  Losses losses(const SupervisedBatch& batch) const override;
  std::vector<std::string> loss_terms() const override { return {"segmentation"}; }

 private:
  LossOptions loss_;
  UNet unet_;
};

}  // namespace gt
