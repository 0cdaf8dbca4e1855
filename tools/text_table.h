// Tables on a terminal.
#pragma once

#include <string>
#include <vector>

namespace gt {

/// Prints rows of text on stdout. Each column is as wide as its widest item; columns are separated by two spaces.
void print_rows(const std::vector<std::vector<std::string>>& rows);

}  // namespace gt
