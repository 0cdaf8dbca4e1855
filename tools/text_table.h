// Tables on a terminal.
#pragma once

#include <string>
#include <vector>

namespace gt {

/// Prints rows of words, in columns as wide as they need.
void print_rows(const std::vector<std::vector<std::string>>& rows);

}  // namespace gt
