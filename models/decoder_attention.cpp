#include "models/decoder_attention.h"

namespace gt {
namespace {

/// x (B,H,W,C) with each group of channels times its map of a (B,H,W,groups), in the dtype of x.
Tensor mul_groups(const Tensor& x, const Tensor& a) {
  const int64_t groups = a.dim(3);
  const Tensor grouped = reshape(cast(x, a.dtype()), {x.dim(0), x.dim(1), x.dim(2), groups, x.dim(3) / groups});
  return cast(reshape(mul_pixels(grouped, a), x.shape()), x.dtype());
}

/// x (1 + a), group by group.
Tensor strengthened(const Tensor& x, const Tensor& a) { return mul_groups(x, scale(a, 1, 1)); }

}  // namespace

DecoderAttention::DecoderAttention(const Scope& scope, int64_t channels, const AttentionOptions& options)
    : options_(options), fused_(scope, channels, options.groups), numerics_(scope.numerics()) {
  if (options.groups == 1) return;
  std::vector<double> first(size_t(options.groups), 0.0);
  first[0] = 1;
  first_ = Tensor::of({options.groups}, first).cast(fused_.weight.dtype()).to(fused_.weight.device());
}

bool DecoderAttention::is_fused(const AttentionTarget& target) const {
  return options_.use == "features" && options_.coarser == "ignored" && options_.groups == 1 &&
         !target.counted.defined();
}

/// a = w.F + b for each group, plus the coarser level's.
Tensor DecoderAttention::logits(const Tensor& features, const Tensor& coarser) const {
  const Tensor weight = reshape(fused_.weight, {options_.groups, features.dim(3), 1, 1});
  const Tensor own = cast(conv2d(features, weight, fused_.bias, numerics_), fused_.weight.dtype());
  if (!coarser.defined()) return own;
  return add(own, resize_bilinear(coarser, own.dim(1), own.dim(2)));
}

/// The first channel of x (B,H,W,groups): (B,H,W).
Tensor DecoderAttention::first_group(const Tensor& x) const {
  if (options_.groups == 1) return reshape(x, {x.dim(0), x.dim(1), x.dim(2)});
  return sum_last(mul_channels(x, first_));
}

DecoderAttention::Output DecoderAttention::operator()(const Tensor& features, const Tensor& skip, const Tensor& coarser,
                                                      const AttentionTarget& target) const {
  if (is_fused(target)) {
    const TrackAttention::Output out = fused_(features, target.map);
    return {out.features, skip, out.map, {}, out.loss};
  }
  const Tensor a = logits(features, coarser), attention = sigmoid(a);
  Output out{features, skip, first_group(attention), {}, {}};
  if (options_.coarser == "added") out.logits = a;
  if (target.map.defined()) out.loss = bce_with_logits(first_group(a), target.map, target.counted);
  if (options_.use == "features") out.features = strengthened(features, attention);
  if (options_.use == "gate") out.features = mul_groups(features, attention);
  if (options_.use == "skip" && skip.defined())
    out.skip = strengthened(skip, resize_bilinear(attention, skip.dim(1), skip.dim(2)));
  return out;
}

}  // namespace gt
