#include "layers/layers.h"

#include <cmath>

namespace gt {

Conv2d::Conv2d(const Scope& scope, int64_t in, int64_t out, int64_t kernel, int64_t stride_)
    : stride(stride_), numerics(scope.numerics()) {
  const double bound = 1 / std::sqrt(double(in * kernel * kernel));
  weight = scope.uniform("weight", {out, in, kernel, kernel}, bound);
  bias = scope.uniform("bias", {out}, bound);
}

Tensor Conv2d::convolved(const Tensor& x, const Tensor& b) const {
  if (stride == 1 && weight.dim(2) <= 3) return conv2d(x, weight, b, numerics);
  return conv2d_strided(x, weight, b, stride, numerics);
}

ConvTranspose2x2::ConvTranspose2x2(const Scope& scope, int64_t in, int64_t out) : numerics(scope.numerics()) {
  const double bound =
      1 / std::sqrt(double(out * 4));  // as PyTorch, whose fan in of a transposed kernel counts its outputs
  weight = scope.uniform("weight", {in, out, 2, 2}, bound);
  bias = scope.uniform("bias", {out}, bound);
}

NormActivation::NormActivation(const Scope& scope, int64_t channels, int64_t groups_, double slope_)
    : weight(scope.constant("weight", {channels}, 1)),
      bias(scope.constant("bias", {channels}, 0)),
      groups(groups_),
      slope(slope_),
      recompute(scope.numerics().recompute_norms) {}

TrackAttention::TrackAttention(const Scope& scope, int64_t channels, int64_t groups) {
  const double bound = 1 / std::sqrt(double(channels));
  weight = scope.uniform("weight", groups == 1 ? Shape{channels} : Shape{groups, channels}, bound);
  bias = scope.uniform("bias", {groups}, bound);
}

TrackAttention::Output TrackAttention::operator()(const Tensor& features, const Tensor& map) const {
  const Tensors out = track_attention(features, weight, bias, map);
  return {out[0], out[1], out[2]};
}

}  // namespace gt
