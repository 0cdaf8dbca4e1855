// Files: reading whole files and atomic writing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/check.h"
#include "core/text.h"

namespace gt {

/// The bytes of a file. Throws Error with the system's reason, or if it has more than `max_bytes` (a
/// device or pipe, 1 GiB).
std::string read_file(const std::string& path, uint64_t max_bytes = uint64_t(8) << 30);

struct TextLine {
  int64_t number;  // from 1
  std::string text;
};

/// The lines of a text file that are not blank, trimmed. Line ends are LF or CRLF; a byte order mark is skipped.
std::vector<TextLine> read_lines(const std::string& path);

/// Replaces the file at `path` atomically: writes PATH.<process>-<number>.tmp, syncs it, renames it and syncs the
/// folder. The new file has the mode of the old one. A symbolic link stays, and its target is replaced. On failure
/// throws Error with the system's reason, removes the temporary file and leaves `path` unchanged; only if the folder
/// does not sync, `path` is new already. Devices and pipes are written directly.
void write_file(const std::string& path, const std::string& bytes);

/// A file that is written in parts and takes the place of another one as write_file() says, all at once.
class FileReplacement {
 public:
  /// Opens the temporary file. Throws Error with the system's reason, as the other functions do.
  explicit FileReplacement(const std::string& path);
  ~FileReplacement();  ///< without commit() the old file stays
  FileReplacement(const FileReplacement&) = delete;
  FileReplacement& operator=(const FileReplacement&) = delete;

  void append(std::string_view bytes);
  /// Ends the writing: the new file is in its place.
  void commit();

 private:
  std::string path_, target_, temporary_;
  int file_ = -1;
};

/// Removes the temporary files that processes which were killed left in the folder; with `file`, only those whose names
/// begin so. This process must not be writing them.
void remove_stale_temporaries(const std::string& folder, const std::string& file = "");

/// Writes all bytes to a descriptor. Throws Error, naming `path`, with the system's reason.
void write_all(int file, std::string_view bytes, const std::string& path);

/// Waits until the disk has what was written to a descriptor of a file or folder. Pipes and some file systems do not
/// sync, which is no error. Throws Error, naming `path`, with the system's reason.
void sync_file(int file, const std::string& path);

/// Whether a path leads to something, or to a folder. Links are followed. Both throw Error, naming the path, if it
/// cannot be told: in a locked folder, or with too long a name.
bool path_exists(const std::string& path);
bool is_folder(const std::string& path);

/// Creates a folder and its parents if they are missing. Throws Error with the system's reason.
void make_folder(const std::string& path);

}  // namespace gt
