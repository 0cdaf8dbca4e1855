// The U-Net of MONAI's BasicUNet: 2-D, group normalisation, leaky ReLU, upsampling by transposed convolutions. Names
// and order of the parameters are MONAI's, so parameters can be exchanged. Source:
// https://github.com/Project-MONAI/MONAI, networks/nets/basic_unet.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/config.h"
#include "layers/layers.h"
#include "models/resnet.h"

namespace gt {

/// Keys `model.*`: the size of the U-Net, and its encoder.
struct UNetOptions {
  std::string encoder = "basic";
  std::string weights;
  std::vector<int64_t> features = {64, 128, 256, 512, 1024, 128};
  int64_t groups = 4;
  double slope = 0.1;

  template <class V>
  void visit(V& v) {
    v("encoder", encoder, OneOf{"basic", "resnet18", "resnet34"},
      Help{"basic: blocks of two convolutions; or torchvision's ResNet"});
    v("weights", weights, Help{"safetensors file with torchvision's weights of the ResNet; empty for random ones"});
    v("features", features, Length{6, {1, 1 << 16}},
      Help{"channels at the five scales, then of the last decoder block"});
    v("groups", groups, Range{1, 1 << 16}, Help{"number of groups of the group normalisations"});
    v("slope", slope, Range{0, 1}, Help{"slope of the leaky ReLUs for negative inputs"});
  }
};

/// Two blocks of 3x3 convolution, group normalisation and leaky ReLU: (B,H,W,in) -> (B,H,W,out).
struct TwoConv {
  TwoConv(const Scope& scope, int64_t in, int64_t out, const UNetOptions& options);
  Tensor operator()(const Tensor& x) const;
  Conv2d conv_0;
  NormActivation norm_0;
  Conv2d conv_1;
  NormActivation norm_1;
};

/// A decoder block. It upsamples x (B,H,W,in) to (B,2H,2W,up), appends the result to the encoder's features `skip`
/// (B,2H,2W,skip) and applies TwoConv: (B,2H,2W,out).
struct UpCat {
  UpCat(const Scope& scope, int64_t in, int64_t skip, int64_t up, int64_t out, const UNetOptions& options);
  Tensor operator()(const Tensor& x, Tensor skip) const;
  ConvTranspose2x2 upsample;
  TwoConv convs;
};

/// The network.
struct UNet {
  /// A function of a decoder block's features and of the next block's skip connection, which is undefined after the
  /// last. It may replace both. Level 1 is the coarsest, 4 the finest.
  using Stage = std::function<void(int64_t level, Tensor& features, Tensor& skip)>;

  UNet(const Scope& scope, int64_t in, int64_t out, const UNetOptions& options);
  /// The logits (B,H,W,out) of x (B,H,W,in), H and W multiples of 16, or 32 with a ResNet. `stage`, if given, is called
  /// after each decoder block.
  Tensor operator()(const Tensor& x, const Stage& stage = nullptr) const;

  TwoConv conv_0;
  std::vector<TwoConv> down;     // down_1 to down_4; empty with a ResNet
  std::optional<ResNet> resnet;  // computes all features but those at the image's own size
  std::optional<UpCat> upcat_5;  // after a ResNet, whose features end at 1/32, to 1/16
  std::vector<UpCat> upcat;      // upcat_4 to upcat_1
  Conv2d final_conv;

 private:
  /// The features at 1/1, 1/2, 1/4, 1/8 and 1/16.
  Tensors encoded(const Tensor& x) const;
};

/// Numbers of channels of the decoder blocks, levels 1 (coarsest) to 4 (finest).
std::vector<int64_t> decoder_channels(const UNetOptions& options);

}  // namespace gt
