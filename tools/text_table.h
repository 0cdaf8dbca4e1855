// Tables on a terminal, and numbers in tables.
#pragma once

#include <string>
#include <vector>

namespace gt {

/// A number with this many decimals; with `sign`, a plus before positive ones.
std::string number_text(double value, int decimals, bool sign = false);

/// Prints rows of text on stdout. Each column is as wide as its widest item; columns are separated by two spaces.
void print_rows(const std::vector<std::vector<std::string>>& rows);

}  // namespace gt
