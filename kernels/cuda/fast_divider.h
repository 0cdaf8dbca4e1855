// Division by a number that many threads divide by. A GPU has no instruction for it and takes about twenty.
#pragma once

#include <bit>
#include <cstdint>

#include "core/check.h"
#include "core/device.h"

namespace gt::gpu {

/// n / d and n % d for n below 2^31, by a multiplication and a shift (Granlund and Montgomery, 1994).
class FastDivider {
 public:
  FastDivider() = default;  ///< d = 1

  /// Throws Error unless d is from 1 to 2^31.
  explicit FastDivider(uint32_t d) : divisor_(d), shift_(d == 1 ? 0 : 32 - std::countl_zero(d - 1)) {
    GT_CHECK(d >= 1 && d <= uint32_t(1) << 31, "FastDivider: divisor ", d, ", expected 1 to 2^31");
    factor_ = uint32_t(((uint64_t(1) << shift_) - d) * (uint64_t(1) << 32) / d + 1);
  }

  GT_HD uint32_t quotient(uint32_t n) const { return (uint32_t(uint64_t(n) * factor_ >> 32) + n) >> shift_; }
  GT_HD uint32_t remainder(uint32_t n) const { return n - quotient(n) * divisor_; }

 private:
  uint32_t divisor_ = 1, factor_ = 1, shift_ = 0;
};

}  // namespace gt::gpu
