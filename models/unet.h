// U-Net as MONAI's BasicUNet (2-D, group norm, leaky ReLU, transposed-convolution upsampling), with its parameter names
// and order, so that weights and outputs can be exchanged. https://github.com/Project-MONAI/MONAI,
// networks/nets/basic_unet.
#pragma once

#include <functional>
#include <vector>

#include "core/config.h"
#include "layers/layers.h"

namespace gt {

struct UNetOptions {
  std::vector<int64_t> features = {64, 128, 256, 512, 1024, 128};  // five scales, then the last decoder block
  int64_t groups = 4;                                              // of the group norms
  double slope = 0.1;                                              // of the leaky ReLUs

  template <class V>
  void visit(V& v) {
    v("features", features, Length{6, {1, 1 << 16}},
      Help{"channels of the five scales, then of the last decoder block"});
    v("groups", groups, Range{1, 1 << 16}, Help{"of the group normalisations"});
    v("slope", slope, Range{0, 1}, Help{"of the leaky ReLUs"});
  }
};

/// Convolution, norm, activation, twice: (B,H,W,in) -> (B,H,W,out).
struct TwoConv {
  TwoConv(const Scope& scope, int64_t in, int64_t out, const UNetOptions& options);
  Tensor operator()(const Tensor& x) const;
  Conv2d conv_0;
  NormActivation norm_0;
  Conv2d conv_1;
  NormActivation norm_1;
};

/// A decoder block: upsample, concatenate behind the encoder's features, TwoConv.
struct UpCat {
  UpCat(const Scope& scope, int64_t in, int64_t skip, int64_t up, int64_t out, const UNetOptions& options);
  Tensor operator()(const Tensor& x, const Tensor& skip) const;
  ConvTranspose2x2 upsample;
  TwoConv convs;
};

struct UNet {
  /// Called with the features of each decoder block, level 1 (coarsest) to 4 (finest). The next block takes its result.
  using Stage = std::function<Tensor(int64_t level, const Tensor& features)>;

  UNet(const Scope& scope, int64_t in, int64_t out, const UNetOptions& options);
  /// x (B,H,W,in), H and W multiples of 16 -> logits (B,H,W,out).
  Tensor operator()(const Tensor& x, const Stage& stage = nullptr) const;

  TwoConv conv_0;
  std::vector<TwoConv> down;  // 1 .. 4
  std::vector<UpCat> upcat;   // 4 .. 1
  Conv2d final_conv;
};

/// Channels of the decoder blocks, levels 1 (coarsest) to 4 (finest).
std::vector<int64_t> decoder_channels(const UNetOptions& options);

}  // namespace gt
