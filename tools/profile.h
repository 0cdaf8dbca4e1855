// Output of a profile: a table on stdout and a file for a trace viewer.
#pragma once

#include "core/profile.h"

namespace gt {

/// Prints time, share and rates of each op and of each convolution per step, and what held most memory of `device` at
/// the peak. Writes the trace to `path` in the JSON format of chrome://tracing.
void write_profile(const Profile& profile, Device device, const std::string& path);

}  // namespace gt
