// Maths of feature propagation, for CUDA (feature_propagation.cu) and the CPU (cpu/feature_propagation.cpp).
//
// With n over the 5 x 5 window of pixels 2 apart around p,
//
//   s_pn = F_p.F_n,   a_pn = softmax over n of max(s_pn, 0),   y_p = sum_n a_pn V_n
//
// F and V are 0 outside the image. Pixels there have s = 0 and take part in the softmax. Backward, with G = dL/dy and
// da_pn = G_p.V_n:
//
//   ds_pn = a_pn (da_pn - sum_m a_pm da_pm) [s_pn > 0]
//   dV_q = sum_m a_mq G_m           dF_q = sum_m (ds_mq + ds_qm) F_m
//
// The window is symmetric, so m runs over the window of q, and both sums gather. a and ds come first, 2 x 25 numbers a
// pixel. Each back end has its own order of these numbers; they do not leave it.
#pragma once

#include "core/tensor.h"
#include "kernels/common/math.h"

namespace gt::propagation {

constexpr int side = 5, dilation = 2, taps = side * side;

/// Where the pixel of tap k is, from its window's centre. Tap taps - 1 - k is at the opposite place.
GT_HD constexpr int down(int k) { return dilation * (k / side - side / 2); }
GT_HD constexpr int right(int k) { return dilation * (k % side - side / 2); }

struct Pixels {
  int64_t images, height, width, channels, values;  // B, H, W, C, K
};

/// a of a tap before the division by the sum over taps; `largest` is the largest max(s, 0) of the pixel.
template <class T>
GT_HD inline T unscaled_weight(T s, T largest) {
  return math::exp_of_negative((s > 0 ? s : T(0)) - largest);
}

/// ds of a tap; mean is sum_m a_pm da_pm.
template <class T>
GT_HD inline T correlation_gradient(T s, T a, T da, T mean) {
  return s > 0 ? a * (da - mean) : T(0);
}

namespace cpu {

/// Writes y (B,H,W,K) and s.
template <class T>
void propagation_forward(const Pixels& pixels, const T* features, const T* values, T* y, T* correlation);

/// Writes a and ds.
template <class T>
void propagation_weights(const Pixels& pixels, const T* values, const T* correlation, const T* dy, T* a, T* ds);

/// Writes dfeatures and dvalues; either may be null.
template <class T>
void propagation_backward(const Pixels& pixels, const T* features, const T* a, const T* ds, const T* dy, T* dfeatures,
                          T* dvalues);

}  // namespace cpu

}  // namespace gt::propagation
