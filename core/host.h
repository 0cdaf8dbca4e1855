// The machine that this process runs on.
#pragma once

#include <string>

namespace gt {

/// The name of this host; "unknown" if the system does not say.
std::string host_name();

}  // namespace gt
