#include "tools/html/figures.h"

#include <algorithm>
#include <cctype>

#include "core/check.h"
#include "core/io.h"

namespace gt::html {
namespace {

/// Letters in lower case, digits and hyphens; each run of other characters is one _.
std::string file_stem(const std::string& title) {
  std::string stem;
  for (const char c : title)
    if (std::isalnum(uint8_t(c)) != 0 || c == '-')
      stem += char(std::tolower(uint8_t(c)));
    else if (!stem.empty() && stem.back() != '_')
      stem += '_';
  while (stem.ends_with('_')) stem.pop_back();
  return stem.empty() ? "chart" : stem;
}

}  // namespace

std::string Figures::operator()(const Chart& chart, const std::string& name) {
  if (chart.empty()) return "";
  const std::string stem = file_stem(name.empty() ? chart.title : name);
  std::string file = stem + ".svg";
  const auto is_taken = [&](const auto& other) { return other.first == file; };
  for (int k = 2; std::any_of(files_.begin(), files_.end(), is_taken); ++k) file = str_cat(stem, "_", k, ".svg");
  files_.emplace_back(file, svg_file(chart, warning_));
  return figure(chart);
}

void Figures::write(const std::string& folder, bool force) const {
  make_folder(folder);
  for (const auto& [file, svg] : files_) {
    const std::string path = folder + "/" + file;
    if (!force && path_exists(path) && read_file(path).find(figure_mark) == std::string::npos)
      fail(path, ": exists already and is no figure, expected another folder to write to; --force replaces it");
    write_file(path, svg);
  }
}

}  // namespace gt::html
