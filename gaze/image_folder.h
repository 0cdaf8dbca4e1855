// Folders of images, and lists of their names.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace gt {

/// A line of a list of images.
struct ListEntry {
  std::string name;   // see image_name()
  std::string where;  // FILE:LINE, for messages
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
  bool has(const std::string& name) const { return files_.count(name) > 0; }
  /// The names of all images, sorted.
  std::vector<std::string> names() const;

  /// The path of the image with this name. Throws Error for none, several and what is no file.
  std::string find(const ListEntry& entry) const;

 private:
  std::string path_;
  std::map<std::string, std::vector<std::string>> files_;  // name -> files
};

}  // namespace gt
