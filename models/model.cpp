#include "models/model.h"

namespace gt {
namespace {

Numerics numerics_of(const Config& config) {
  return {.tf32 = config.precision == "tf32",
          .convolution = config.conv == "direct"     ? ConvolutionMethod::direct
                         : config.conv == "winograd" ? ConvolutionMethod::winograd
                                                     : ConvolutionMethod::automatic,
          .cudnn_workspace = config.cudnn_workspace << 20,
          .recompute_norms = config.train.recompute == "norm"};
}

}  // namespace

WeightedSum Losses::sum() const {
  Tensors values;
  std::vector<double> weights;
  for (const LossTerm& term : terms) {
    values.push_back(term.value);
    weights.push_back(term.weight);
  }
  return weighted_sum(values, weights);
}

Model::Model(const Config& config, DType dtype, Device device)
    : parameters_(uint64_t(config.seed), dtype, device, numerics_of(config)),
      activation_dtype_(config.precision == "bf16" && device == Device::cuda ? DType::bf16 : dtype) {}

Tensor BatchShare::of_images(const Tensor& mean) const { return images == 1 ? mean : scale(mean, images); }

Tensor BatchShare::of_counted(const Tensor& mean, const Tensor& counted) const {
  if (processes.size() == 1 || !counted.defined()) return of_images(mean);
  const Tensor own = sum(counted.detach()), all = own.clone();
  processes.sum(all);
  return mul(mean, mul(own, reciprocal(all)));
}

Tensor segmentation_loss(const Tensor& logits, const Tensor& target, const Tensor& counted, const LossOptions& options,
                         const BatchShare& share) {
  const Tensor z = reshape(logits, target.shape());
  return weighted_sum({share.of_images(dice_loss(z, target, counted)),
                       share.of_counted(bce_with_logits(z, target, counted), counted)},
                      {options.dice, options.bce})
      .total;
}

}  // namespace gt
