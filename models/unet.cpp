#include "models/unet.h"

namespace gt {

TwoConv::TwoConv(const Scope& scope, int64_t in, int64_t out, const UNetOptions& o)
    : conv_0(scope / "conv_0" / "conv", in, out, 3),
      norm_0(scope / "conv_0" / "adn" / "N", out, o.groups, o.slope),
      conv_1(scope / "conv_1" / "conv", out, out, 3),
      norm_1(scope / "conv_1" / "adn" / "N", out, o.groups, o.slope) {}

Tensor TwoConv::operator()(const Tensor& x) const {
  const Tensor y = norm_0(conv_0.without_bias(x), conv_0.bias);
  return norm_1(conv_1.without_bias(y), conv_1.bias);
}

UpCat::UpCat(const Scope& scope, int64_t in, int64_t skip, int64_t up, int64_t out, const UNetOptions& options)
    : upsample(scope / "upsample" / "deconv", in, up), convs(scope / "convs", skip + up, out, options) {}

Tensor UpCat::operator()(const Tensor& x, const Tensor& skip) const {
  return convs(concat(skip, upsample.without_bias(x), upsample.bias));
}

UNet::UNet(const Scope& scope, int64_t in, int64_t out, const UNetOptions& o)
    : conv_0(scope / "conv_0", in, o.features[0], o),
      down{{scope / "down_1" / "convs", o.features[0], o.features[1], o},
           {scope / "down_2" / "convs", o.features[1], o.features[2], o},
           {scope / "down_3" / "convs", o.features[2], o.features[3], o},
           {scope / "down_4" / "convs", o.features[3], o.features[4], o}},
      upcat{{scope / "upcat_4", o.features[4], o.features[3], o.features[4] / 2, o.features[3], o},
            {scope / "upcat_3", o.features[3], o.features[2], o.features[3] / 2, o.features[2], o},
            {scope / "upcat_2", o.features[2], o.features[1], o.features[2] / 2, o.features[1], o},
            {scope / "upcat_1", o.features[1], o.features[0], o.features[1], o.features[5], o}},
      final_conv(scope / "final_conv", o.features[5], out, 1) {}

Tensor UNet::operator()(const Tensor& x, const Stage& stage) const {
  GT_CHECK(x.rank() == 4 && x.dim(1) % 16 == 0 && x.dim(2) % 16 == 0,
           "UNet: expected (B,H,W,C) with H and W multiples of 16, got ", x.shape());
  Tensors skips = {conv_0(x)};
  for (const TwoConv& block : down) {
    const Tensors pooled_and_skip = max_pool2x2_and_skip(skips.back());
    skips.back() = pooled_and_skip[1];
    skips.push_back(block(pooled_and_skip[0]));
  }
  Tensor y = std::move(skips.back());
  for (size_t level = 0; level < upcat.size(); ++level) {
    skips.pop_back();
    y = upcat[level](y, skips.back());
    Tensor none;
    if (stage) stage(int64_t(level) + 1, y, skips.size() > 1 ? skips[skips.size() - 2] : none);
  }
  return final_conv(y);
}

std::vector<int64_t> decoder_channels(const UNetOptions& o) {
  return {o.features[3], o.features[2], o.features[1], o.features[5]};
}

}  // namespace gt
