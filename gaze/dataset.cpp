#include "gaze/dataset.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "core/check.h"
#include "core/io.h"
#include "core/parallel.h"
#include "gaze/readers.h"

namespace gt {
namespace {

namespace fs = std::filesystem;

// ---- The list of a split --------------------------------------------------------------------------------------------

struct Entry {
  std::string name;
  std::string place;  // file:line, for messages
};

std::vector<Entry> read_list(const std::string& path) {
  std::vector<Entry> entries;
  std::map<std::string, int64_t> line_of;
  for (const TextLine& line : read_lines(path)) {
    const std::string name = image_name(line.text);
    const auto [first, fresh] = line_of.emplace(name, line.number);
    if (!fresh) fail(path, ":", line.number, ": '", name, "' is listed already, on line ", first->second);
    entries.push_back({name, str_cat(path, ":", line.number)});
  }
  if (entries.empty()) fail(path, ": lists nothing, expected the name of one image a line");
  return entries;
}

// ---- Folders of images ----------------------------------------------------------------------------------------------

class Folder {
 public:
  explicit Folder(const std::string& path) : path_(path) {
    std::error_code error;
    const fs::directory_iterator files(path, error);
    if (error) fail(path, ": cannot read the folder: ", error.message(), ", expected images NAME.jpg, .png or .dcm");
    for (const fs::directory_entry& entry : files) {
      const std::string extension = entry.path().extension().string();
      if (extension == ".jpg" || extension == ".png" || extension == ".dcm")
        files_[entry.path().stem().string()].push_back(extension);
    }
  }

  const std::string& path() const { return path_; }
  bool has(const std::string& name) const { return files_.count(name) > 0; }

  /// The path of the only image of this name.
  std::string find(const Entry& entry) const {
    const auto found = files_.find(entry.name);
    const std::string stem = path_ + "/" + entry.name;
    if (found == files_.end()) fail(entry.place, ": expected ", stem, ".jpg, .png or .dcm, there is none");
    if (found->second.size() > 1)
      fail(entry.place, ": expected ", stem, ".jpg, .png or .dcm, there are ", found->second.size());
    return stem + found->second[0];
  }

 private:
  std::string path_;
  std::map<std::string, std::vector<std::string>> files_;  // name -> extensions
};

// ---- Gaze -----------------------------------------------------------------------------------------------------------

/// The tracks, of which each is of an image and each entry has one.
Gaze read_gaze_of(const std::string& path, const std::vector<Entry>& entries, const Folder& images) {
  Gaze gaze = read_gaze(path);
  for (const auto& [name, track] : gaze.tracks)
    if (!images.has(name)) fail(path, ": gaze for image '", name, "', which ", images.path(), " does not have");
  for (const Entry& entry : entries) {
    const auto track = gaze.tracks.find(entry.name);
    if (track == gaze.tracks.end() || track->second.fixations.empty())
      fail(entry.place, ": image '", entry.name, "' has no gaze: ", path,
           " has no fixation of it (those too brief or outside the image do not count)");
  }
  return gaze;
}

// ---- Samples --------------------------------------------------------------------------------------------------------

Image threshold(Image mask) {
  for (uint8_t& pixel : mask.pixels) pixel = foreground(pixel) ? 255 : 0;
  return mask;
}

/// `masks` may be null.
Sample load_sample(const Entry& entry, const Folder& images, const Folder* masks, const DataOptions& options,
                   const DataNeeds& wanted) {
  Sample sample;
  sample.name = entry.name;
  sample.path = images.find(entry);
  const Image image = read_image(sample.path, int(options.channels));
  sample.image = resize_image(image, options.size, options.size);
  if (!masks) return sample;

  const std::string mask_path = masks->find(entry);
  Image mask = threshold(read_image(mask_path, 1));
  if (mask.height != image.height || mask.width != image.width)
    fail(mask_path, ": is ", mask.height, "x", mask.width, ", expected ", image.height, "x", image.width,
         " as its image ", sample.path);
  if (wanted.masks) sample.mask = threshold(resize_image(mask, options.size, options.size));
  if (wanted.labels) sample.label = std::move(mask);
  return sample;
}

}  // namespace

std::string gaze_path(const DataOptions& options) { return (fs::path(options.root) / options.gaze).string(); }

Dataset load_dataset(const DataOptions& options, const std::string& split, const DataNeeds& wanted) {
  if (options.channels != 1 && options.channels != 3)
    fail("data.channels: expected 1 (grey) or 3 (RGB), got ", options.channels);
  if (!fs::is_directory(options.root))
    fail("data.root: no folder '", options.root,
         "', expected one with images/, masks/, and train.txt, val.txt or test.txt");
  const std::vector<Entry> entries = read_list(options.root + "/" + split + ".txt");
  const Folder images(options.root + "/images");
  std::optional<Folder> masks;
  if (wanted.masks || wanted.labels) masks.emplace(options.root + "/masks");
  Gaze gaze;
  if (wanted.gaze) gaze = read_gaze_of(gaze_path(options), entries, images);

  Dataset dataset{std::vector<Sample>(entries.size()), gaze.simulated};
  parallel_for_each(int64_t(entries.size()), [&](int64_t at) {
    const size_t i = size_t(at);
    dataset.samples[i] = load_sample(entries[i], images, masks ? &*masks : nullptr, options, wanted);
    if (wanted.gaze) dataset.samples[i].track = gaze.tracks.at(entries[i].name);
  });
  return dataset;
}

}  // namespace gt
