// Modules of one op each. Initial values are PyTorch's defaults, uniform in [-1, 1] / sqrt(fan in).
#pragma once

#include "kernels/ops.h"
#include "layers/module.h"

namespace gt {

/// A kernel x kernel convolution: (B,H,W,in) -> (B,H/stride,W/stride,out), rounded up. kernel is 1, 3 or 7, stride 1 or
/// 2.
struct Conv2d {
  Conv2d(const Scope& scope, int64_t in, int64_t out, int64_t kernel, int64_t stride = 1);
  Tensor operator()(const Tensor& x) const { return convolved(x, bias); }
  Tensor without_bias(const Tensor& x) const { return convolved(x, {}); }
  Tensor weight;  // (out,in,kernel,kernel)
  Tensor bias;    // (out)
  int64_t stride;
  Numerics numerics;

 private:
  Tensor convolved(const Tensor& x, const Tensor& b) const;
};

/// A transposed convolution, kernel 2, stride 2: (B,H,W,in) -> (B,2H,2W,out).
struct ConvTranspose2x2 {
  ConvTranspose2x2(const Scope& scope, int64_t in, int64_t out);
  Tensor operator()(const Tensor& x) const { return conv_transpose2x2(x, weight, bias, numerics); }
  Tensor without_bias(const Tensor& x) const { return conv_transpose2x2(x, weight, {}, numerics); }
  Tensor weight;  // (in,out,2,2)
  Tensor bias;    // (out)
  Numerics numerics;
};

/// Group normalisation and leaky ReLU as one op, (B,H,W,channels) -> (B,H,W,channels). It also adds the bias of the
/// convolution before it, without extra cost; the convolution should then be called without_bias().
struct NormActivation {
  NormActivation(const Scope& scope, int64_t channels, int64_t groups, double slope);
  Tensor operator()(const Tensor& x, const Tensor& bias_before) const {
    return group_norm_leaky_relu(x, bias_before, weight, bias, groups, slope, 1e-5, recompute);
  }
  Tensor weight, bias;  // (channels)
  int64_t groups;
  double slope;
  bool recompute;
};

/// Track Attention (METHOD 4) on features (B,H,W,channels), supervised by a map (B,H,W), which may be undefined. With
/// several groups it only owns the parameters.
struct TrackAttention {
  struct Output {
    Tensor features;  // F (1 + A), (B,H,W,channels)
    Tensor map;       // A, (B,H,W)
    Tensor loss;      // BCE(A, map), (); undefined without a map
  };
  TrackAttention(const Scope& scope, int64_t channels, int64_t groups = 1);
  Output operator()(const Tensor& features, const Tensor& map) const;
  Tensor weight;  // (channels), or (groups,channels)
  Tensor bias;    // (groups)
};

}  // namespace gt
