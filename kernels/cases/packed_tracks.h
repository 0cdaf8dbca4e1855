// Packed tracks as inputs of rows.
#pragma once

#include "kernels/cases/op_case.h"

namespace gt {

/// Rows of maps have the sizes {B, n, H_1, W_1, .., H_L, W_L}. Tracks 0, 2, .. have n fixations, tracks 1, 3, .. n / 2.
inline int64_t level_count(const Sizes& s) { return int64_t(s.size() - 2) / 2; }
inline int64_t fixation_count(const Sizes& s, int64_t b) { return b % 2 == 0 ? s[1] : s[1] / 2; }

/// The offsets (B+1) of the tracks.
inline Tensor offsets_of(const Sizes& s) {
  std::vector<int32_t> offsets{0};
  for (int64_t b = 0; b < s[0]; ++b) offsets.push_back(offsets.back() + int32_t(fixation_count(s, b)));
  return Tensor::of({s[0] + 1}, offsets);
}

}  // namespace gt
