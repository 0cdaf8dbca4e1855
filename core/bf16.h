// bf16: the upper half of a float, for storage; arithmetic happens in float. Our own, since the emulated device and the
// CPU need it where CUDA's header is not to be had.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

#include "core/device.h"

namespace gt {

struct bf16 {
  uint16_t bits;

  bf16() = default;
  /// Rounded to the nearest, ties to even; NaN stays NaN.
  GT_HD explicit bf16(float value) {
    const uint32_t b = std::bit_cast<uint32_t>(value);
    bits = value == value ? uint16_t((b + 0x7FFFu + ((b >> 16) & 1u)) >> 16) : uint16_t((b >> 16) | 0x40u);
  }
  GT_HD operator float() const { return std::bit_cast<float>(uint32_t(bits) << 16); }
};

/// What is computed with where T is stored: float for bf16, else T itself.
template <class T>
using compute_t = std::conditional_t<std::is_same_v<T, bf16>, float, T>;

}  // namespace gt
