// Folders of images, and lists of their names.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace gt {

/// A line of a list of images.
struct ListEntry {
  std::string name;                         // see image_name()
  std::shared_ptr<const std::string> list;  // path of the list, or of what else has the name
  int64_t line = 0;                         // from 1; 0: it is no line of a file

  /// "FILE:LINE" or "FILE", for messages.
  std::string where() const;
};

/// Reads a list with the name of one image a line. Throws Error, naming file and line, for a missing or empty list, a
/// duplicate name and a line that names no image.
std::vector<ListEntry> read_list(const std::string& path);

/// A folder of images NAME.jpg, .jpeg, .png or .dcm. Hidden files and files of other kinds are passed over.
class ImageFolder {
 public:
  /// Throws Error if the folder cannot be read.
  explicit ImageFolder(const std::string& path);

  const std::string& path() const { return path_; }
  bool has(const std::string& name) const;
  /// The names of all images, sorted.
  std::vector<std::string> names() const;
  /// The same as the entries of a list, whose place is the folder.
  std::vector<ListEntry> entries() const;

  /// The path of the image with this name. Throws Error for none, several and what is no file.
  std::string find(const ListEntry& entry) const;

 private:
  struct File {
    std::string name, file;
  };
  /// The files of a name.
  std::pair<std::vector<File>::const_iterator, std::vector<File>::const_iterator> of(const std::string& name) const;

  std::string path_;
  std::vector<File> files_;  // by name, then by file
};

}  // namespace gt
