#include "core/random.h"

#include <cmath>
#include <numbers>

namespace gt {

uint64_t hash64(std::string_view name) {
  uint64_t h = 0xCBF29CE484222325u;
  for (const char c : name) h = (h ^ uint8_t(c)) * 0x100000001B3u;
  return h;
}

uint32_t Random::bits() {
  if (left_ == 0) {
    uint32_t counter[4] = {block_++, stream_[0], stream_[1], stream_[2]};
    philox(counter, key_[0], key_[1]);
    for (int i = 0; i < 4; ++i) buffer_[size_t(i)] = counter[i];
    left_ = 4;
  }
  return buffer_[size_t(4 - left_--)];
}

double Random::uniform() {
  const uint64_t high = bits() >> 5, low = bits() >> 6;  // 27 + 26 = 53 bits
  return double((high << 26) | low) * 0x1p-53;
}

double Random::uniform(double lo, double hi) { return lo + (hi - lo) * uniform(); }

double Random::normal() {
  const double radius = std::sqrt(-2 * std::log1p(-uniform()));
  return radius * std::cos(2 * std::numbers::pi * uniform());
}

double Random::gamma(double shape) {
  const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = normal(), t = 1 + c * x;
    if (t <= 0) continue;
    const double v = t * t * t;
    if (std::log1p(-uniform()) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
  }
}

int64_t Random::below(int64_t n) { return int64_t(uniform() * double(n)); }

}  // namespace gt
