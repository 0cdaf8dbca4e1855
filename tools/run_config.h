// Configurations from the command line.
#pragma once

#include <string>
#include <vector>

#include "models/config.h"

namespace gt {

/// Reads a configuration by load_config() and prints its warnings, such as renamed keys, on stderr. Each warning is
/// printed once per process. `notes` are those of load_config(). Throws Error.
Config load_config_with_warnings(const std::string& path, const std::vector<std::string>& overrides = {},
                                 ConfigNotes* notes = nullptr);

}  // namespace gt
