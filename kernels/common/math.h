// Scalar functions that several ops share, accurate to a few units in the last place. They are straight-line arithmetic
// without calls or branches, so that loops over them are vectorised. Loops over the standard library's exp and log1p
// are not.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "core/device.h"

namespace gt::math {

/// The constants of exp(): e^x = e^r 2^n with x = n ln 2 + r, |r| <= ln 2 / 2.
template <class T>
struct Exponential {
  using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  static constexpr bool is_float = sizeof(T) == 4;
  static constexpr int digits = std::numeric_limits<T>::digits, max_exponent = std::numeric_limits<T>::max_exponent;
  static constexpr T log_min = is_float ? T(-87.33654) : T(-708.3964185322641);  // of the smallest normal number
  static constexpr T log_max = is_float ? T(88.72283) : T(709.782712893384);     // of the largest number
  static constexpr T inverse_ln2 = T(1.4426950408889634074);
  // The high part of ln 2 has few bits, so that n times it is exact.
  static constexpr T ln2_high = is_float ? T(0.693359375) : T(0x1.62e42fefa38p-1);
  static constexpr T ln2_low = is_float ? T(-2.12194440054690583e-4) : T(0x1.ef35793c7673p-45);
  static constexpr T shift = T(3) * T(Bits(1) << (digits - 2));  // the last bits of shift + n are those of n
  static constexpr int terms = is_float ? 8 : 14;  // to where r^k / k! is below half a unit in the last place
  static constexpr std::array<T, terms> inverse_factorials = [] {
    std::array<T, terms> values{};
    double factorial = 1;
    for (int k = 0; k < terms; ++k) values[size_t(k)] = T(1 / (factorial *= k == 0 ? 1 : k));
    return values;
  }();

  T shifted, n;

  explicit Exponential(T x) : shifted(x * inverse_ln2 + shift), n(shifted - shift) {}

  /// e^r, the Taylor series by Horner's scheme.
  T power_of_e(T x) const {
    const T r = (x - n * ln2_high) - n * ln2_low;
    T p = inverse_factorials[terms - 1];
#pragma GCC unroll 16
    for (int k = terms - 2; k >= 0; --k) p = inverse_factorials[size_t(k)] + p * r;
    return p;
  }

  /// 2^(n - less), which must be a normal number.
  T power_of_two(Bits less) const {
    return std::bit_cast<T>((std::bit_cast<Bits>(shifted) + Bits(max_exponent - 1) - less) << (digits - 1));
  }
};

/// e^x; 0 below the smallest normal number, infinity above the largest number, NaN for NaN. On a GPU it is CUDA's,
/// which is as accurate, also gives subnormal numbers, and in f32 takes a fifth of the instructions.
template <class T>
GT_HD inline T exp(T x) {
#ifdef __CUDA_ARCH__
  return std::exp(x);
#else
  using E = Exponential<T>;
  const T above = x < E::log_min ? E::log_min : x, inside = above > E::log_max ? E::log_max : above;
  const E e(inside);
  const bool halve = e.n > 0;  // 2^n itself may be too large
  const T y = e.power_of_e(inside) * e.power_of_two(halve) * (halve ? T(2) : T(1));
  return x > E::log_max ? std::numeric_limits<T>::infinity() : x < E::log_min ? T(0) : y;
#endif
}

/// exp(x) for x <= 0 or NaN, with fewer instructions.
template <class T>
GT_HD inline T exp_of_negative(T x) {
#ifdef __CUDA_ARCH__
  return std::exp(x);
#else
  using E = Exponential<T>;
  const T inside = x < E::log_min ? E::log_min : x;
  const E e(inside);
  const T y = e.power_of_e(inside) * e.power_of_two(0);
  return x < E::log_min ? T(0) : y;
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
  return exp_of_negative(-steepness * d * d);
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
  const T e = exp_of_negative(-std::fabs(x));
  return ratio(x >= 0 ? T(1) : e, 1 + e);
}

/// log(1 + e^x), for any x. The derivative is sigmoid(x).
template <class T>
GT_HD inline T softplus(T x) {
  return (x > 0 ? x : T(0)) + log1p_unit(exp_of_negative(-std::fabs(x)));
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
