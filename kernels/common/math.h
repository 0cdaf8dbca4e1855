// Scalar functions that several ops share, accurate to a few units in the last place. They are straight-line arithmetic
// without calls or branches, so that loops over them are vectorised. Loops over the standard library's exp and log1p
// are not.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "core/device.h"

namespace gt::math {

/// e^x; 0 below the smallest normal number, infinity above the largest number, NaN for NaN. On a GPU it is CUDA's,
/// which is as accurate, also gives subnormal numbers, and in f32 takes a fifth of the instructions.
template <class T>
GT_HD inline T exp(T x) {
#ifdef __CUDA_ARCH__
  return std::exp(x);
#else
  using Int = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
  using Limits = std::numeric_limits<T>;
  constexpr bool is_float = sizeof(T) == 4;
  constexpr T log_min = is_float ? T(-87.33654) : T(-708.3964185322641);  // of the smallest normal number
  constexpr T log_max = is_float ? T(88.72283) : T(709.782712893384);     // of the largest number
  // x = n ln 2 + r, |r| <= ln 2 / 2. The high part of ln 2 has few bits, so that n times it is exact.
  constexpr T ln2_high = is_float ? T(0.693359375) : T(0x1.62e42fefa38p-1);
  constexpr T ln2_low = is_float ? T(-2.12194440054690583e-4) : T(0x1.ef35793c7673p-45);
  const T above = x > log_min ? x : log_min, inside = above < log_max ? above : log_max;
  const T n = std::nearbyint(inside * T(1.4426950408889634074));
  const T r = (inside - n * ln2_high) - n * ln2_low;
  // The Taylor series of e^r by Horner's scheme, to where r^k / k! is below half a unit in the last place.
  T p = 1;
#pragma GCC unroll 16
  for (int k = is_float ? 7 : 13; k >= 1; --k) p = 1 + p * (r * (T(1) / T(k)));
  const Int half = Int(n) - (n > 0);  // 2^n itself may be too large
  const T power = std::bit_cast<T>((half + Int(Limits::max_exponent - 1)) << (Limits::digits - 1));  // 2^half
  const T y = p * power * (n > 0 ? T(2) : T(1));
  return x > log_max ? Limits::infinity() : x > log_min ? y : x <= log_min ? T(0) : x;
#endif
}

/// e^(-steepness d^2): a Gaussian in d, whose sigma follows from steepness = 1 / (2 sigma^2). In f32 on a GPU it is 0
/// where it would be subnormal, which takes a third of exp()'s instructions.
template <class T>
GT_HD inline T gaussian(T d, T steepness) {
#ifdef __CUDA_ARCH__
  if constexpr (sizeof(T) == 4) {
    const T exponent = d * d * (-steepness * T(1.4426950408889634074));
    T y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(exponent));
    return y;
  }
#endif
  return exp(-steepness * d * d);
}

/// sqrt(x). In f32 on a GPU its relative error is at most 2^-23, for a sixth of the exact one's instructions.
template <class T>
GT_HD inline T root(T x) {
#ifdef __CUDA_ARCH__
  if constexpr (sizeof(T) == 4) {
    T y;
    asm("sqrt.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
  }
#endif
  return std::sqrt(x);
}

/// a / b for b in [1, 3]. On a GPU that range makes the test superfluous whether 1 / b is a normal number, which costs
/// more than the ratio.
template <class T>
GT_HD inline T ratio(T a, T b) {
#ifdef __CUDA_ARCH__
  if constexpr (sizeof(T) == 4) return __fdividef(a, b);
#endif
  return a / b;
}

/// x clamped to [0, 1]. In f32 on a GPU that is part of the instruction that computes x, and NaN becomes 0.
template <class T>
GT_HD inline T saturate(T x) {
#ifdef __CUDA_ARCH__
  if constexpr (sizeof(T) == 4) return __saturatef(x);
#endif
  return x < 0 ? T(0) : x > 1 ? T(1) : x;
}

/// log(1 + e) for e in [0, 1], by the series of 2 artanh(s) with s = e / (2 + e) <= 1/3.
template <class T>
GT_HD inline T log1p_unit(T e) {
  constexpr int terms = sizeof(T) == 4 ? 8 : 17;
  const T s = ratio(e, 2 + e), s2 = s * s;
  T p = T(1) / T(2 * terms - 1);
#pragma GCC unroll 32
  for (int k = terms - 2; k >= 0; --k) p = p * s2 + T(1) / T(2 * k + 1);
  return 2 * s * p;
}

/// 1 / (1 + e^-x), for any x. The derivative of s is s (1 - s).
template <class T>
GT_HD inline T sigmoid(T x) {
  const T e = exp(-std::fabs(x));
  return ratio(x >= 0 ? T(1) : e, 1 + e);
}

/// log(1 + e^x), for any x. The derivative is sigmoid(x).
template <class T>
GT_HD inline T softplus(T x) {
  return (x > 0 ? x : T(0)) + log1p_unit(exp(-std::fabs(x)));
}

/// The binary cross-entropy of a logit z and a target t in [0, 1]. The derivatives are sigmoid(z) - t and -z.
template <class T>
GT_HD inline T bce(T z, T t) {
  return softplus(z) - t * z;
}

/// The leaky ReLU is y = x leak(x), and dy/dx = leak(x): 1 where x > 0, else slope.
template <class T>
GT_HD inline T leak(T x, T slope) {
  return x > 0 ? T(1) : slope;
}

}  // namespace gt::math
