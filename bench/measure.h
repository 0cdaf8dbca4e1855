// One measurement, by Google Benchmark.
#pragma once

#include <functional>
#include <string>

#include "core/device.h"

namespace gt {

/// Seconds of one call, over several repetitions of the same number of calls.
struct Timing {
  double median = 0, least = 0, most = 0;
  int64_t repetitions = 0, calls = 0;  // calls in each repetition
};

/// Times `work`, after it has run a few times, for about `budget` seconds of its own time but at least three times.
Timing measure(const std::string& name, Device device, const std::function<void()>& work, double budget);

}  // namespace gt
