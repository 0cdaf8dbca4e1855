// Random numbers by the counter-based generator Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as
// easy as 1, 2, 3", SC 2011). A number depends only on its key and its index in the stream. Resumed runs, other thread
// counts and other devices therefore draw equal numbers.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "core/device.h"

namespace gt {

/// Replaces `counter` by 128 random bits, a function of counter and key.
GT_HD inline void philox(uint32_t (&counter)[4], uint32_t key0, uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t(0xD2511F53u) * counter[0];
    const uint64_t p1 = uint64_t(0xCD9E8D57u) * counter[2];
    const uint32_t c1 = counter[1], c3 = counter[3];
    counter[0] = uint32_t(p1 >> 32) ^ c1 ^ key0;
    counter[1] = uint32_t(p1);
    counter[2] = uint32_t(p0 >> 32) ^ c3 ^ key1;
    counter[3] = uint32_t(p0);
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
}

/// The 64-bit FNV-1a hash of a name, for use as a key.
uint64_t hash64(std::string_view name);

/// A stream of random numbers for the key (seed, stream, substream), for example (seed, iteration, sample) or
/// (seed, hash64(image name)).
class Random {
 public:
  explicit Random(uint64_t seed, uint64_t stream = 0, uint32_t substream = 0)
      : key_{uint32_t(seed), uint32_t(seed >> 32)}, stream_{substream, uint32_t(stream), uint32_t(stream >> 32)} {}

  uint32_t bits();                       ///< 32 uniform bits
  double uniform();                      ///< in [0, 1)
  double uniform(double lo, double hi);  ///< in [lo, hi)
  double normal();                       ///< mean 0, standard deviation 1 (Box-Muller)
  double gamma(double shape);            ///< Gamma(shape, scale 1) for shape >= 1 (Marsaglia and Tsang 2000)
  int64_t below(int64_t n);              ///< integer in [0, n)
  /// True with probability p.
  bool chance(double p) { return uniform() < p; }

 private:
  uint32_t key_[2];
  uint32_t stream_[3];
  uint32_t block_ = 0;                // the next counter
  std::array<uint32_t, 4> buffer_{};  // the current block of 128 bits
  int left_ = 0;                      // words of buffer_ not yet drawn
};

}  // namespace gt
