// The clock of all benchmarks.
#pragma once

#include <functional>

#include "core/device.h"

namespace gt {

/// Seconds that `work` takes. On CUDA, events before and after its launches measure them on the stream. The L2 cache is
/// overwritten first, so that it holds no inputs and the device is busy while the host launches. Throws Error for
/// device cuda in a build without CUDA or with its emulation.
double seconds_of(Device device, const std::function<void()>& work);

}  // namespace gt
