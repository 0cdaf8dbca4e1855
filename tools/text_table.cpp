#include "tools/text_table.h"

#include <algorithm>
#include <cstdio>

namespace gt {

std::string number_text(double value, int decimals, bool sign) {
  char text[64];
  std::snprintf(text, sizeof text, sign ? "%+.*f" : "%.*f", decimals, value);
  return text;
}

void print_rows(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> width;
  for (const auto& row : rows)
    for (size_t k = 0; k < row.size(); ++k) {
      width.resize(std::max(width.size(), row.size()));
      width[k] = std::max(width[k], row[k].size());
    }
  for (const auto& row : rows) {
    std::string line;
    for (size_t k = 0; k < row.size(); ++k) {
      line += row[k];
      if (k + 1 < row.size()) line += std::string(width[k] - row[k].size() + 2, ' ');
    }
    std::printf("%s\n", line.c_str());
  }
}

}  // namespace gt
