// A profile for people: a table, and a file for a trace viewer.
#pragma once

#include "core/profile.h"

namespace gt {

/// Prints the time of each op and each convolution a step, with its rates, and writes the trace to `path`.
void write_profile(const Profile& profile, const std::string& path);

}  // namespace gt
