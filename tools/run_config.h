// Configurations as the command line gets them.
#pragma once

#include <string>
#include <vector>

#include "models/config.h"

namespace gt {

/// load_config() for a subcommand: prints a line on stderr for each key under an old name, once each.
Config load_config_with_warnings(const std::string& path, const std::vector<std::string>& overrides = {});

}  // namespace gt
