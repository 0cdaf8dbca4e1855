// Scalar functions that several ops share. Written as straight-line arithmetic, without calls or branches, so that a
// loop over them is vectorised (the library's exp and log1p are not); accurate to a few units in the last place.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "core/device.h"

namespace gt::math {

/// e^x; 0 where that is below the least normal number, infinity where above the largest, NaN for NaN. A GPU has its
/// own, as accurate, which in f32 takes a fifth of these instructions and goes down to the least subnormal number.
template <class T>
GT_HD inline T exp(T x) {
#ifdef __CUDA_ARCH__
  return std::exp(x);
#else
  using Int = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
  using Limits = std::numeric_limits<T>;
  constexpr bool is_float = sizeof(T) == 4;
  constexpr T least = is_float ? T(-87.33654) : T(-708.3964185322641);  // log of the least normal number
  constexpr T most = is_float ? T(88.72283) : T(709.782712893384);      // and of the largest
  // x = n ln 2 + r, |r| <= ln 2 / 2. The high part of ln 2 has so few bits that n times it is exact.
  constexpr T ln2_high = is_float ? T(0.693359375) : T(0x1.62e42fefa38p-1);
  constexpr T ln2_low = is_float ? T(-2.12194440054690583e-4) : T(0x1.ef35793c7673p-45);
  const T above = x > least ? x : least, inside = above < most ? above : most;
  const T n = std::nearbyint(inside * T(1.4426950408889634074));
  const T r = (inside - n * ln2_high) - n * ln2_low;
  // Taylor's series of e^r by Horner's scheme, until r^k / k! is below half a unit in the last place.
  T p = 1;
#pragma GCC unroll 16
  for (int k = is_float ? 7 : 13; k >= 1; --k) p = 1 + p * (r * (T(1) / T(k)));
  const Int half = Int(n) - (n > 0);  // 2^n itself may be too large
  const T power = std::bit_cast<T>((half + Int(Limits::max_exponent - 1)) << (Limits::digits - 1));  // 2^half
  const T y = p * power * (n > 0 ? T(2) : T(1));
  return x > most ? Limits::infinity() : x > least ? y : x <= least ? T(0) : x;
#endif
}

/// e^(-steepness d^2): a Gaussian in d, of the width sigma where steepness is 1 / (2 sigma^2). In f32 on a GPU it is 0
/// where the exponential would be subnormal, which spares two thirds of that.
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

/// sqrt(x). In f32 a GPU has one that is off by 2^-23 at the most and takes a sixth of the exact one's instructions.
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

/// a / b for b in [1, 3]. A GPU need not ask there whether 1 / b is a normal number, which costs it more than the
/// ratio.
template <class T>
GT_HD inline T ratio(T a, T b) {
#ifdef __CUDA_ARCH__
  if constexpr (sizeof(T) == 4) return __fdividef(a, b);
#endif
  return a / b;
}

/// x kept within [0, 1]. A GPU does it in f32 as part of the instruction that makes x, and makes 0 of NaN.
template <class T>
GT_HD inline T saturate(T x) {
#ifdef __CUDA_ARCH__
  if constexpr (sizeof(T) == 4) return __saturatef(x);
#endif
  return x < 0 ? T(0) : x > 1 ? T(1) : x;
}

/// log(1 + e) for e in [0, 1]: 2 artanh(s) with s = e / (2 + e) <= 1/3, by its series.
template <class T>
GT_HD inline T log1p_unit(T e) {
  constexpr int terms = sizeof(T) == 4 ? 8 : 17;
  const T s = ratio(e, 2 + e), s2 = s * s;
  T p = T(1) / T(2 * terms - 1);
#pragma GCC unroll 32
  for (int k = terms - 2; k >= 0; --k) p = p * s2 + T(1) / T(2 * k + 1);
  return 2 * s * p;
}

/// 1 / (1 + e^-x), for any x; its derivative is s (1 - s).
template <class T>
GT_HD inline T sigmoid(T x) {
  const T e = exp(-std::fabs(x));
  return ratio(x >= 0 ? T(1) : e, 1 + e);
}

/// log(1 + e^x), for any x; its derivative is sigmoid(x).
template <class T>
GT_HD inline T softplus(T x) {
  return (x > 0 ? x : T(0)) + log1p_unit(exp(-std::fabs(x)));
}

/// Binary cross-entropy of a logit z and a target t in [0, 1]; its derivatives are sigmoid(z) - t and -z.
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
