#include "gaze/image_folder.h"

#include <algorithm>
#include <filesystem>
#include <tuple>

#include "core/check.h"
#include "core/io.h"
#include "gaze/fixation.h"

namespace gt {

namespace fs = std::filesystem;

std::string ListEntry::where() const { return line == 0 ? *list : str_cat(*list, ":", line); }

std::vector<ListEntry> read_list(const std::string& path) {
  std::vector<ListEntry> entries;
  const auto list = std::make_shared<const std::string>(path);
  for (const TextLine& line : read_lines(path)) {
    const std::string where = str_cat(path, ":", line.number);
    entries.push_back({image_name(line.text, where), list, line.number});
    if (entries.back().name.empty()) fail(where, ": '", line.text, "' names no image");
  }
  if (entries.empty()) fail(path, ": lists nothing, expected the name of one image a line");
  std::vector<size_t> order(entries.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return std::tie(entries[a].name, a) < std::tie(entries[b].name, b); });
  const ListEntry *first = nullptr, *twice = nullptr;
  for (size_t k = 1, one = 0; k < order.size(); ++k) {
    const ListEntry &original = entries[order[one]], &now = entries[order[k]];
    if (now.name != original.name)
      one = k;
    else if (twice == nullptr || now.line < twice->line)
      first = &original, twice = &now;
  }
  if (twice != nullptr) fail(twice->where(), ": '", twice->name, "' is already listed on line ", first->line);
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
    if (!entry.is_directory(error)) files_.push_back({image_name(file), file});
  }
  std::sort(files_.begin(), files_.end(),
            [](const File& a, const File& b) { return std::tie(a.name, a.file) < std::tie(b.name, b.file); });
}

std::pair<std::vector<ImageFolder::File>::const_iterator, std::vector<ImageFolder::File>::const_iterator>
ImageFolder::of(const std::string& name) const {
  return std::equal_range(files_.begin(), files_.end(), File{name, ""},
                          [](const File& a, const File& b) { return a.name < b.name; });
}

bool ImageFolder::has(const std::string& name) const {
  const auto [begin, end] = of(name);
  return begin != end;
}

std::vector<std::string> ImageFolder::names() const {
  std::vector<std::string> names;
  for (const File& file : files_)
    if (names.empty() || names.back() != file.name) names.push_back(file.name);
  return names;
}

std::vector<ListEntry> ImageFolder::entries() const {
  std::vector<ListEntry> entries;
  const auto folder = std::make_shared<const std::string>(path_);
  for (const std::string& name : names()) entries.push_back({name, folder});
  return entries;
}

std::string ImageFolder::find(const ListEntry& entry) const {
  const auto [begin, end] = of(entry.name);
  const std::string stem = path_ + "/" + entry.name;
  if (begin == end) fail(entry.where(), ": expected ", stem, ".jpg, .png or .dcm, there is none");
  if (end - begin > 1)
    fail(entry.where(), ": expected ", stem, ".jpg, .png or .dcm, there are ", end - begin, ": ", begin->file, " and ",
         (begin + 1)->file);
  const std::string path = path_ + "/" + begin->file;
  std::error_code error;
  if (!fs::is_regular_file(path, error))
    fail(path, ": cannot open: ", error ? error.message() : "it is no file", ", expected an image");
  return path;
}

}  // namespace gt
