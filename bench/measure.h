// Timing a function by Google Benchmark.
#pragma once

#include <functional>
#include <string>

#include "core/device.h"

namespace gt {

/// Seconds of one call, over several repetitions of a fixed number of calls.
struct Timing {
  double median = 0, min = 0, max = 0;
  double low = 0, high = 0;            // 95 % confidence interval of the median
  int64_t repetitions = 0, calls = 0;  // calls in each repetition
};

/// Times `work` after some calls to warm up: at least three repetitions, in about `budget` seconds. `name` is the
/// benchmark's. Throws Error if `work` throws.
Timing measure(const std::string& name, Device device, const std::function<void()>& work, double budget);

}  // namespace gt
