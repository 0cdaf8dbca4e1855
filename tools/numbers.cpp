#include "tools/numbers.h"

#include <CLI/CLI.hpp>
#include <charconv>

namespace gt {

std::vector<double> parse_numbers(const char* option, const std::string& text, char separator, size_t count,
                                  const char* expected) {
  std::vector<double> values;
  const char *at = text.data(), *end = at + text.size();
  while (values.size() < count) {
    double value = 0;
    const auto [next, error] = std::from_chars(at, end, value);
    const bool last = values.size() + 1 == count;
    if (error != std::errc{} || (last ? next != end : next == end || *next != separator)) break;
    if (values.size() + 2 >= count && !(value > 0)) break;
    values.push_back(value);
    at = next + 1;
  }
  if (values.size() != count)
    throw CLI::ValidationError(option, "expected " + std::string(expected) + ", got '" + text + "'");
  return values;
}

}  // namespace gt
