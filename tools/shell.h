// Commands as users type them.
#pragma once

#include <string>
#include <vector>

namespace gt {

/// The command `gradtrack WORDS`, quoted so that a shell understands it, in one line.
std::string shell_command(const std::vector<std::string>& words);

}  // namespace gt
