#include "tools/outputs.h"

#include <filesystem>
#include <map>

#include "core/check.h"
#include "core/io.h"

namespace gt {
namespace {

namespace fs = std::filesystem;

/// The path of a file in one form, links resolved, whether or not it exists.
std::string resolved(const std::string& path) {
  std::error_code error;
  const fs::path whole = fs::weakly_canonical(fs::absolute(path, error), error);
  return error ? path : whole.string();
}

/// Whether a path leads to a file or folder. A link that leads nowhere is there too. Devices and pipes have no content
/// to lose.
bool is_taken(const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(path, error);
  return fs::exists(status) && !fs::is_other(fs::status(path, error));
}

}  // namespace

void Outputs::check() const {
  std::map<std::string, std::string> inputs;
  for (const std::string& path : inputs_) inputs.emplace(resolved(path), path);
  std::map<std::string, std::string> seen;
  size_t taken = 0;
  std::string first;
  for (const std::string& path : outputs_) {
    const std::string file = resolved(path);
    if (const auto input = inputs.find(file); input != inputs.end())
      fail(path, ": is read by this command (", input->second, "), expected another place to write to");
    if (const auto [other, added] = seen.emplace(file, path); !added && other->second != path)
      fail(path, ": is the same file as ", other->second, ", and both would be written");
    if (is_taken(path) && taken++ == 0) first = path;
  }
  if (taken == 0 || force_) return;
  fail(first, ": exists already", taken > 1 ? str_cat(", and ", taken - 1, " more of the files to write") : "",
       ", expected none; --force replaces them");
}

void write_page(const std::string& path, const std::string& page, bool force) {
  constexpr std::string_view heading = ">GradTrack report</p>";  // see page_header()
  if (!force && is_taken(path) && read_file(path).find(heading) == std::string::npos)
    fail(path, ": exists already and is no report, expected another file to write; --force replaces it");
  write_file(path, page);
}

void add_force_option(CLI::App& command, bool& force) {
  command.add_flag("--force", force, "replace files that exist; without it nothing is written if one exists");
}

void make_parent_folder(const std::string& path) {
  if (const fs::path parent = fs::path(path).parent_path(); !parent.empty()) make_folder(parent.string());
}

}  // namespace gt
