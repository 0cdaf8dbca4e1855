// What a command writes is checked against what is there already.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace gt {

/// The files that a command is about to write, and those that it reads. Call check() before the first is written.
class Outputs {
 public:
  /// `force`: files that exist may be replaced.
  explicit Outputs(bool force) : force_(force) {}

  void reads(const std::string& path) { inputs_.push_back(path); }
  void writes(const std::string& path) { outputs_.push_back(path); }

  /// Throws Error, naming the first, if files to write exist and may not be replaced, or are files to read, or the same
  /// file twice.
  void check() const;

 private:
  bool force_;
  std::vector<std::string> inputs_, outputs_;
};

/// Writes a page with page_header(). Throws Error if the file exists and is no such page, unless `force`.
void write_page(const std::string& path, const std::string& page, bool force);

/// Makes the folder that a file goes to. "" is no file.
void make_parent_folder(const std::string& path);

/// Adds the option --force.
void add_force_option(CLI::App& command, bool& force);

}  // namespace gt
