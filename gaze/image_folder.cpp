#include "gaze/image_folder.h"

#include <algorithm>
#include <filesystem>

#include "core/check.h"
#include "core/io.h"
#include "gaze/fixation.h"

namespace gt {

namespace fs = std::filesystem;

std::vector<ListEntry> read_list(const std::string& path) {
  std::vector<ListEntry> entries;
  std::map<std::string, int64_t> line_of;
  for (const TextLine& line : read_lines(path)) {
    const std::string where = str_cat(path, ":", line.number), name = image_name(line.text, where);
    if (name.empty()) fail(where, ": '", line.text, "' names no image");
    const auto [first, added] = line_of.emplace(name, line.number);
    if (!added) fail(where, ": '", name, "' is already listed on line ", first->second);
    entries.push_back({name, where});
  }
  if (entries.empty()) fail(path, ": lists nothing, expected the name of one image a line");
  return entries;
}

ImageFolder::ImageFolder(const std::string& path) : path_(path) {
  std::error_code error;
  const fs::directory_iterator files(path, error);
  if (error) fail(path, ": cannot read the folder: ", error.message(), ", expected images NAME.jpg, .png or .dcm");
  for (const fs::directory_entry& entry : files) {
    const std::string file = entry.path().filename().string(), extension = lower(entry.path().extension().string());
    const bool image = extension == ".jpg" || extension == ".jpeg" || extension == ".png" || extension == ".dcm";
    if (!image || file.starts_with('.') || !is_utf8(file) || has_controls(file)) continue;
    if (!entry.is_directory(error)) files_[image_name(file)].push_back(file);
  }
  for (auto& [name, of_name] : files_) std::sort(of_name.begin(), of_name.end());
}

std::vector<std::string> ImageFolder::names() const {
  std::vector<std::string> names;
  for (const auto& [name, files] : files_) names.push_back(name);
  return names;
}

std::string ImageFolder::find(const ListEntry& entry) const {
  const auto found = files_.find(entry.name);
  const std::string stem = path_ + "/" + entry.name;
  if (found == files_.end()) fail(entry.where, ": expected ", stem, ".jpg, .png or .dcm, there is none");
  const std::vector<std::string>& files = found->second;
  if (files.size() > 1)
    fail(entry.where, ": expected ", stem, ".jpg, .png or .dcm, there are ", files.size(), ": ", files[0], " and ",
         files[1]);
  const std::string path = path_ + "/" + files[0];
  std::error_code error;
  if (!fs::is_regular_file(path, error))
    fail(path, ": cannot open: ", error ? error.message() : "it is no file", ", expected an image");
  return path;
}

}  // namespace gt
