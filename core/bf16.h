// bf16: the upper half of a float, for storage. Arithmetic happens in float. The CPU and the emulated device need the
// type too, and CUDA's header may be absent there.
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
#ifdef __CUDA_ARCH__
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
#else
    const uint32_t b = std::bit_cast<uint32_t>(value);
    bits = value == value ? uint16_t((b + 0x7FFFu + ((b >> 16) & 1u)) >> 16) : uint16_t((b >> 16) | 0x40u);
#endif
  }
  GT_HD operator float() const {
#ifdef __CUDA_ARCH__
    float value;
    asm("mov.b32 %0, {0, %1};" : "=f"(value) : "h"(bits));
    return value;
#else
    return std::bit_cast<float>(uint32_t(bits) << 16);
#endif
  }
};

/// The type that elements of activation type T are computed in: float for bf16, else T.
template <class T>
using compute_t = std::conditional_t<std::is_same_v<T, bf16>, float, T>;

}  // namespace gt
