// The one clock of the benchmarks.
#pragma once

#include <functional>

#include "core/device.h"

namespace gt {

/// Seconds that `work` takes. On CUDA by events around what it puts on the stream, with the L2 cache overwritten
/// before: no op finds its inputs there, and the device is busy while the host launches.
double seconds_of(Device device, const std::function<void()>& work);

}  // namespace gt
