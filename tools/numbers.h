// Numbers in options of the command line.
#pragma once

#include <string>
#include <vector>

namespace gt {

/// Parses `count` numbers between separators. The last two are sizes and must be above 0. Throws
/// CLI::ValidationError, which says `expected`.
std::vector<double> parse_numbers(const char* option, const std::string& text, char separator, size_t count,
                                  const char* expected);

}  // namespace gt
