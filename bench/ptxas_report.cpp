#include "bench/ptxas_report.h"

#include <cstdlib>
#include <filesystem>

#include "core/io.h"

namespace gt {
namespace {

/// The text between `before` and `after`, or nothing.
std::optional<std::string> between(const std::string& text, const std::string& before, const std::string& after) {
  const size_t found = text.find(before);
  if (found == std::string::npos) return {};
  const size_t begin = found + before.size(), end = text.find(after, begin);
  if (end == std::string::npos) return {};
  return text.substr(begin, end - begin);
}

/// The number before these words; 0 if the line lacks them.
int number_before(const std::string& line, const std::string& words) {
  const size_t end = line.find(words);
  if (end == std::string::npos || end == 0) return 0;
  const size_t blank = line.find_last_of(" ,", end - 1);
  return std::atoi(line.c_str() + (blank == std::string::npos ? 0 : blank + 1));
}

}  // namespace

std::string without_parameters(std::string name) {
  if (name.ends_with(')')) {
    int open = 0;
    size_t at = name.size();
    do {
      --at;
      open += (name[at] == ')') - (name[at] == '(');
    } while (open > 0 && at > 0);
    name.resize(at);
  }
  if (name.starts_with("void ")) name.erase(0, 5);
  return name;
}

PtxasReport::PtxasReport(const std::string& build, const std::string& arch) {
  if (!std::filesystem::is_directory(build)) fail("--ptxas ", build, ": no such folder");
  int files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(build))
    if (entry.path().native().ends_with(".cu.o.ptxas")) read(entry.path(), arch), ++files;
  if (files == 0) fail("--ptxas ", build, ": no files *.cu.o.ptxas; `make cuda-check` writes them");
  if (kernels_.empty()) fail("--ptxas ", build, ": the report has no kernel for ", arch);
}

void PtxasReport::read(const std::string& path, const std::string& arch) {
  std::optional<std::string> kernel;  // that the next lines are about
  for (const auto& [number, line] : read_lines(path)) {
    if (const auto entry = between(line, "Compiling entry function '", "'"))
      kernel = between(line, "for '", "'") == arch ? entry : std::nullopt;
    if (!kernel || line.find("Used ") == std::string::npos) continue;
    const KernelResources resources{number_before(line, " registers"), number_before(line, " bytes smem")};
    const auto [place, added] = kernels_.emplace(without_parameters(demangle(*kernel)), resources);
    if (!added && place->second != resources) place->second.reset();
    kernel.reset();
  }
}

std::optional<KernelResources> PtxasReport::find(const std::string& kernel) const {
  const auto found = kernels_.find(without_parameters(kernel));
  return found == kernels_.end() ? std::nullopt : found->second;
}

}  // namespace gt
