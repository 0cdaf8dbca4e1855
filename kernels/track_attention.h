// Maths of Track Attention with its loss, for the CPU (track_attention.cu) and CUDA (track_attention_cuda.cu), over
// P = B H W pixels of C channels.
//
//   a = w.F + b,  A = sigmoid(a),  F' = F (1 + A),  loss = 1/P sum softplus(a) - a M
//
// Backward, with G = dL/dF', dA and dloss, any of which may be missing:
//   da = (G.F + dA) A (1-A) + dloss (A - M) / P
//   dF = G (1+A) + w da,  dw = sum_p da F,  db = sum_p da,  dM = -dloss a / P
#pragma once

#include "core/tensor.h"
#include "kernels/common/math.h"

namespace gt::attention {

/// S is the activation dtype, T the compute dtype.
template <class S, class T = compute_t<S>>
struct AttentionInputs {
  const S* features;  // (P,C)
  const T* w;         // (C)
  const T* b;         // (1)
  const T* map;       // (P) or null
  int64_t pixels, channels;
};

/// The outputs' gradients, each null if there is none, and the inputs' gradients to write, each null if not needed.
template <class S, class T = compute_t<S>>
struct AttentionGradients {
  const S* dy;           // (P,C), of F'
  const T* d_attention;  // (P)
  const T* d_loss;       // ()
  S* d_features;         // (P,C)
  T* dw;                 // (C)
  T* db;                 // (1)
  T* d_map;              // (P)

  /// dloss / P.
  GT_HD T loss_slope(int64_t pixels) const { return d_loss == nullptr ? T(0) : T(double(*d_loss) / double(pixels)); }

  /// da of pixel p, from its A (`a`) and its G.F (`product`).
  GT_HD T logit(const T* map, T loss_slope, int64_t p, T a, T product) const {
    const T d = d_attention == nullptr ? product : product + d_attention[p];
    return d * a * (1 - a) + (map == nullptr ? T(0) : loss_slope * (a - map[p]));
  }
};

/// One channel of dF; gain is 1 + A.
template <class T>
GT_HD inline T feature_gradient(T dy, T gain, T w, T da) {
  return dy * gain + w * da;
}

template <class T>
GT_HD inline T map_gradient(T loss_slope, T logit) {
  return -loss_slope * logit;
}

#if GT_CUDA
namespace cuda {

/// Writes F', A and, unless it is null, the loss.
template <class S>
void track_attention_forward(const AttentionInputs<S>& x, S* y, compute_t<S>* attention, compute_t<S>* mean_loss);

template <class S>
void track_attention_backward(const AttentionInputs<S>& x, const compute_t<S>* attention,
                              const AttentionGradients<S>& g);

}  // namespace cuda
#endif

}  // namespace gt::attention
