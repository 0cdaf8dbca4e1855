// Modules of one op each. First values are PyTorch's defaults: uniform within 1 / sqrt(fan in).
#pragma once

#include "kernels/ops.h"
#include "layers/module.h"

namespace gt {

/// kernel x kernel convolution that keeps the size: (B,H,W,in) -> (B,H,W,out).
struct Conv2d {
  Conv2d(const Scope& scope, int64_t in, int64_t out, int64_t kernel);
  Tensor operator()(const Tensor& x) const { return conv2d(x, weight, bias, numerics); }
  Tensor without_bias(const Tensor& x) const { return conv2d(x, weight, {}, numerics); }
  Tensor weight;  // (out,in,kernel,kernel)
  Tensor bias;    // (out)
  Numerics numerics;
};

/// Doubles the size: (B,H,W,in) -> (B,2H,2W,out).
struct ConvTranspose2x2 {
  ConvTranspose2x2(const Scope& scope, int64_t in, int64_t out);
  Tensor operator()(const Tensor& x) const { return conv_transpose2x2(x, weight, bias, numerics); }
  Tensor without_bias(const Tensor& x) const { return conv_transpose2x2(x, weight, {}, numerics); }
  Tensor weight;  // (in,out,2,2)
  Tensor bias;    // (out)
  Numerics numerics;
};

/// Group normalisation, then leaky ReLU, fused. The bias of the convolution before it is added on the way, which costs
/// less than to add it there: nothing.
struct NormActivation {
  NormActivation(const Scope& scope, int64_t channels, int64_t groups, double slope);
  Tensor operator()(const Tensor& x, const Tensor& bias_before) const {
    return group_norm_leaky_relu(x, bias_before, weight, bias, groups, slope);
  }
  Tensor weight, bias;  // (channels)
  int64_t groups;
  double slope;
};

/// Track Attention (METHOD 4) on features (B,H,W,channels), supervised by a map (B,H,W) where there is one.
struct TrackAttention {
  struct Output {
    Tensor features;  // F (1 + A), (B,H,W,channels)
    Tensor map;       // A, (B,H,W)
    Tensor loss;      // BCE(A, M), (); undefined without a map
  };
  TrackAttention(const Scope& scope, int64_t channels);
  Output operator()(const Tensor& features, const Tensor& map) const;
  Tensor weight;  // (channels)
  Tensor bias;    // (1)
};

}  // namespace gt
