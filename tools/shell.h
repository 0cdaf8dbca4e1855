// Commands as users type them.
#pragma once

#include <string>
#include <vector>

namespace gt {

/// The words quoted so that a shell understands them, in one line.
std::string shell_words(const std::vector<std::string>& words);

/// The command `gradtrack WORDS`, quoted so that a shell understands it, in one line.
std::string shell_command(const std::vector<std::string>& words);

}  // namespace gt
