// Temporary folders, and the messages of errors.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

#include "core/check.h"
#include "core/io.h"

namespace gt {

/// A folder that exists while the object is alive.
class TempFolder {
 public:
  TempFolder() : path_((std::filesystem::temp_directory_path() / "gradtrack_XXXXXX").string()) {
    GT_CHECK(mkdtemp(path_.data()), "cannot create a temporary folder ", path_);
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

/// Writes a file and creates its folders.
inline void write(const std::string& path, const std::string& text) {
  make_folder(std::filesystem::path(path).parent_path().string());
  write_file(path, text);
}

/// The message of the Error that f() throws, or "".
template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace gt
