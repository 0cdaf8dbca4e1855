// A file in memory: its pages are read when they are used, and processes share them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace gt {

/// The bytes of a file, read-only. The file must not be changed in place while it is mapped; a replacement by rename
/// is no change.
class MappedFile {
 public:
  /// Throws Error with the system's reason.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::string_view bytes() const { return {data_, size_}; }

  /// Gives the pages back, which leaves the process's resident memory. They are mapped again when they are next used.
  /// Other threads may be reading.
  void release() const;

 private:
  const char* data_ = nullptr;
  size_t size_ = 0;
};

/// A number that changes when a file or folder is changed: of its size and its times. 0 if it cannot be looked at, or
/// was changed so recently that a further change may leave the times as they are.
uint64_t file_stamp(const std::string& path);

}  // namespace gt
