// One call of an op, for a profiler.
#pragma once

#include <functional>
#include <string>

#include "core/device.h"

namespace gt {

/// Calls `work` a few times to warm up, then once. With `range`, the last call is in an NVTX range `name`, between
/// cudaProfilerStart() and cudaProfilerStop(), and nothing else is. Prints what was done; without a range, with its
/// time.
void call_once(const std::string& name, Device device, const std::function<void()>& work, bool range);

/// Prints the command lines of ncu and nsys that profile the range of `command`.
void print_profiler_commands(const std::string& command);

}  // namespace gt
