#include "models/unet.h"

#include <utility>

namespace gt {

TwoConv::TwoConv(const Scope& scope, int64_t in, int64_t out, const UNetOptions& o)
    : conv_0(scope / "conv_0" / "conv", in, out, 3),
      norm_0(scope / "conv_0" / "adn" / "N", out, o.groups, o.slope),
      conv_1(scope / "conv_1" / "conv", out, out, 3),
      norm_1(scope / "conv_1" / "adn" / "N", out, o.groups, o.slope) {}

Tensor TwoConv::operator()(const Tensor& x) const {
  Tensor y = norm_0(conv_0.without_bias(x), conv_0.bias);
  y = conv_1.without_bias(y);  // frees the norm's output, if nothing saved it
  return norm_1(y, conv_1.bias);
}

UpCat::UpCat(const Scope& scope, int64_t in, int64_t skip, int64_t up, int64_t out, const UNetOptions& options)
    : upsample(scope / "upsample" / "deconv", in, up), convs(scope / "convs", skip + up, out, options) {}

Tensor UpCat::operator()(const Tensor& x, Tensor skip) const {
  skip = concat(skip, upsample.without_bias(x), upsample.bias);  // frees both parts before the convolutions
  return convs(skip);
}

namespace {

/// Channels of the skip connections at 1/1, 1/2, 1/4 and 1/8.
std::vector<int64_t> skip_channels(const UNetOptions& o) {
  if (o.encoder == "basic") return {o.features[0], o.features[1], o.features[2], o.features[3]};
  return {o.features[0], ResNet::channels[0], ResNet::channels[1], ResNet::channels[2]};
}

std::vector<TwoConv> encoder_blocks(const Scope& scope, const UNetOptions& o) {
  std::vector<TwoConv> blocks;
  for (size_t k = 1; k <= 4 && o.encoder == "basic"; ++k)
    blocks.emplace_back(scope / str_cat("down_", k) / "convs", o.features[k - 1], o.features[k], o);
  return blocks;
}

std::optional<ResNet> make_resnet(const Scope& scope, int64_t in, const UNetOptions& o) {
  if (o.encoder == "basic") return {};
  return ResNet(scope / ResNet::scope_name, in, o.encoder);
}

std::optional<UpCat> make_upcat_5(const Scope& scope, const UNetOptions& o) {
  if (o.encoder == "basic") return {};
  constexpr const int64_t* channels = ResNet::channels;
  return UpCat(scope / "upcat_5", channels[4], channels[3], channels[4] / 2, o.features[4], o);
}

std::vector<UpCat> decoder_blocks(const Scope& scope, const UNetOptions& o) {
  const std::vector<int64_t> skip = skip_channels(o);
  return {{scope / "upcat_4", o.features[4], skip[3], o.features[4] / 2, o.features[3], o},
          {scope / "upcat_3", o.features[3], skip[2], o.features[3] / 2, o.features[2], o},
          {scope / "upcat_2", o.features[2], skip[1], o.features[2] / 2, o.features[1], o},
          {scope / "upcat_1", o.features[1], skip[0], o.features[1], o.features[5], o}};
}

}  // namespace

UNet::UNet(const Scope& scope, int64_t in, int64_t out, const UNetOptions& o)
    : conv_0(scope / "conv_0", in, o.features[0], o),
      down(encoder_blocks(scope, o)),
      resnet(make_resnet(scope, in, o)),
      upcat_5(make_upcat_5(scope, o)),
      upcat(decoder_blocks(scope, o)),
      final_conv(scope / "final_conv", o.features[5], out, 1) {}

Tensors UNet::encoded(const Tensor& x) const {
  Tensors features = {conv_0(x)};
  if (resnet) {
    const Tensors deep = (*resnet)(x);
    features.insert(features.end(), deep.begin(), deep.begin() + 3);
    features.push_back((*upcat_5)(deep[4], deep[3]));
    return features;
  }
  for (const TwoConv& block : down) {
    const Tensors pooled_and_skip = max_pool2x2_and_skip(features.back());
    features.back() = pooled_and_skip[1];
    features.push_back(block(pooled_and_skip[0]));
  }
  return features;
}

Tensor UNet::operator()(const Tensor& x, const Stage& stage) const {
  const int64_t multiple = resnet ? 32 : 16;
  GT_CHECK(x.rank() == 4 && x.dim(1) % multiple == 0 && x.dim(2) % multiple == 0,
           "UNet: expected (B,H,W,C) with H and W multiples of ", multiple, ", got ", x.shape());
  Tensors skips = encoded(x);
  Tensor y = std::move(skips.back());
  for (size_t level = 0; level < upcat.size(); ++level) {
    skips.pop_back();
    y = upcat[level](y, std::exchange(skips.back(), {}));
    Tensor none;
    if (stage) stage(int64_t(level) + 1, y, skips.size() > 1 ? skips[skips.size() - 2] : none);
  }
  return final_conv(y);
}

std::vector<int64_t> decoder_channels(const UNetOptions& o) {
  return {o.features[3], o.features[2], o.features[1], o.features[5]};
}

}  // namespace gt
