// The encoder of ResNet-18 and ResNet-34 (He et al., 2016), with names and layout of torchvision's resnet18 and
// resnet34. Batch normalisation is folded into the convolutions: y = gamma (conv(x) - mean) / sqrt(variance + 1e-5) +
// beta has fixed mean and variance, so it is another convolution with a bias. Source:
// https://github.com/pytorch/vision, torchvision/models/resnet.py.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "layers/layers.h"

namespace gt {

/// Two 3x3 convolutions and a sum with their input: (B,H,W,in) -> (B,H/stride,W/stride,out).
struct BasicBlock {
  BasicBlock(const Scope& scope, int64_t in, int64_t out, int64_t stride);
  Tensor operator()(const Tensor& x) const;
  Conv2d conv1, conv2;
  std::optional<Conv2d> downsample;  // of the input, if its shape changes
};

struct ResNet {
  /// Channels of the features at 1/2, 1/4, 1/8, 1/16 and 1/32 of the image's size.
  static constexpr int64_t channels[] = {64, 64, 128, 256, 512};
  /// The name of its scope in a U-Net.
  static constexpr const char* scope_name = "resnet";

  /// `kind` is resnet18 or resnet34.
  ResNet(const Scope& scope, int64_t in, const std::string& kind);
  /// The five features of x (B,H,W,in), H and W multiples of 32, the largest first.
  Tensors operator()(const Tensor& x) const;

  Conv2d conv1;
  std::vector<std::vector<BasicBlock>> layers;  // layer1 to layer4
};

/// Overwrites the parameters of each ResNet among `parameters` with the weights of a safetensors file under
/// torchvision's names, batch normalisation folded in. Entries that no ResNet has, such as fc.weight, are passed over.
/// Throws Error, naming file and tensor, if one is missing, has another shape or type, or holds NaN, infinity or a
/// negative variance, and if there is no ResNet; then nothing is overwritten.
void load_torchvision_weights(Parameters& parameters, const std::string& path);

}  // namespace gt
