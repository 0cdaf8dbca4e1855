// Differences of numbers, for comparison with a tolerance.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

namespace gt {

/// The larger of `worst` and |a - b|. NaN counts as infinite, so that no tolerance admits it. (std::max(worst, NaN) is
/// `worst`.)
inline double larger_difference(double worst, double a, double b) {
  const double difference = std::fabs(a - b);
  return std::isnan(difference) ? std::numeric_limits<double>::infinity() : std::max(worst, difference);
}

}  // namespace gt
