#include "gaze/dataset.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <functional>
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
  std::string where;  // file:line, for messages
};

std::string list_path(const DataOptions& options, const std::string& split) {
  if (!fs::is_directory(options.root))
    fail("data.root: no folder '", options.root,
         "', expected one with images/, masks/, and train.txt, val.txt or test.txt");
  return options.root + "/" + split + ".txt";
}

std::vector<Entry> read_list(const std::string& path) {
  std::vector<Entry> entries;
  std::map<std::string, int64_t> line_of;
  for (const TextLine& line : read_lines(path)) {
    const std::string name = image_name(line.text);
    const auto [first, added] = line_of.emplace(name, line.number);
    if (!added) fail(path, ":", line.number, ": '", name, "' is already listed on line ", first->second);
    entries.push_back({name, str_cat(path, ":", line.number)});
  }
  if (entries.empty()) fail(path, ": lists nothing, expected the name of one image a line");
  return entries;
}

// ---- Folders of images ----------------------------------------------------------------------------------------------

/// A folder of images NAME.jpg, .png or .dcm.
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

  /// The path of the image with this name. Throws Error for none or several.
  std::string find(const Entry& entry) const {
    const auto found = files_.find(entry.name);
    const std::string stem = path_ + "/" + entry.name;
    if (found == files_.end()) fail(entry.where, ": expected ", stem, ".jpg, .png or .dcm, there is none");
    if (found->second.size() > 1)
      fail(entry.where, ": expected ", stem, ".jpg, .png or .dcm, there are ", found->second.size());
    return stem + found->second[0];
  }

 private:
  std::string path_;
  std::map<std::string, std::vector<std::string>> files_;  // name -> extensions
};

// ---- Gaze -----------------------------------------------------------------------------------------------------------

/// The tracks of a table. Throws Error if one is of an image that the folder lacks, or an entry has none.
Gaze read_gaze_of(const std::string& path, const std::vector<Entry>& entries, const Folder& images) {
  Gaze gaze = read_gaze(path);
  for (const auto& [name, track] : gaze.tracks)
    if (!images.has(name)) fail(path, ": gaze for image '", name, "', which ", images.path(), " does not have");
  for (const Entry& entry : entries) {
    const auto track = gaze.tracks.find(entry.name);
    if (track == gaze.tracks.end() || track->second.fixations.empty())
      fail(entry.where, ": image '", entry.name, "' has no gaze: ", path,
           " has no usable fixation of it (fixations that are too short or outside the image are dropped)");
  }
  return gaze;
}

// ---- Samples --------------------------------------------------------------------------------------------------------

Image threshold(Image mask) {
  for (uint8_t& pixel : mask.pixels) pixel = is_foreground(pixel) ? 255 : 0;
  return mask;
}

/// What the samples of a split are read from.
struct Sources {
  Folder images;
  std::optional<Folder> masks;
  Gaze gaze;
};

/// Reads an entry's mask into the sample's mask and label, as needed.
void read_mask(const Entry& entry, const Sources& sources, const Image& image, const DataOptions& options,
               const DataNeeds& needs, Sample& sample) {
  const std::string path = sources.masks->find(entry);
  Image mask = threshold(read_image(path, 1));
  if (mask.height != image.height || mask.width != image.width)
    fail(path, ": is ", mask.height, "x", mask.width, ", expected ", image.height, "x", image.width, " as its image ",
         sources.images.find(entry));
  if (needs.masks) sample.mask = threshold(resize_image(mask, options.size, options.size));
  if (needs.labels) sample.label = std::move(mask);
}

/// A sample, and its image at its own size.
std::pair<Sample, Image> load_sample(const Entry& entry, const Sources& sources, const DataOptions& options,
                                     const DataNeeds& needs) {
  Sample sample;
  sample.name = entry.name;
  Image image = read_image(sources.images.find(entry), int(options.channels), read_options(options));
  sample.image = resize_image(image, options.size, options.size);
  sample.normalisation = normalisation_of(sample.image, options);
  if (sources.masks) read_mask(entry, sources, image, options, needs, sample);
  if (const auto track = sources.gaze.tracks.find(entry.name); track != sources.gaze.tracks.end()) {
    sample.track = track->second;
    degrade(sample.track, options.degrade, needs.seed);
  }
  return {std::move(sample), std::move(image)};
}

}  // namespace

std::string gaze_path(const DataOptions& options) { return (fs::path(options.root) / options.gaze).string(); }

ReadOptions read_options(const DataOptions& options) { return {.stretch = stretch_named(options.stretch)}; }

Normalisation normalisation_of(const Image& image, const DataOptions& options) {
  if (options.normalize == "fixed") return {options.mean, options.std};
  std::array<int64_t, 256> count = {};
  for (const uint8_t v : image.pixels) ++count[v];
  double sum = 0, squares = 0;
  for (size_t v = 0; v < count.size(); ++v) {
    const double value = double(v) / 255;
    sum += double(count[v]) * value;
    squares += double(count[v]) * value * value;
  }
  const double n = double(image.pixels.size()), mean = sum / n, variance = std::max(0.0, squares / n - mean * mean);
  const double std = variance > 1e-12 ? std::sqrt(variance) : 1;
  return {std::vector(size_t(options.channels), mean), std::vector(size_t(options.channels), std)};
}

std::vector<std::string> split_names(const DataOptions& options, const std::string& split) {
  std::vector<std::string> names;
  for (Entry& entry : read_list(list_path(options, split))) names.push_back(std::move(entry.name));
  return names;
}

Dataset load_dataset(const DataOptions& options, const std::string& split, const DataNeeds& needs,
                     const LoadHooks& hooks) {
  if (options.channels != 1 && options.channels != 3)
    fail("data.channels: expected 1 (grey) or 3 (RGB), got ", options.channels);
  const std::vector<Entry> entries = read_list(list_path(options, split));
  Sources sources{Folder(options.root + "/images"), {}, {}};
  if (needs.masks || needs.labels) sources.masks.emplace(options.root + "/masks");
  const std::string gaze = gaze_path(options);
  if (needs.gaze)
    sources.gaze = read_gaze_of(gaze, entries, sources.images);
  else if (needs.optional_gaze && !options.gaze.empty() && fs::exists(gaze))
    sources.gaze = read_gaze(gaze);

  const int64_t count = int64_t(entries.size());
  Dataset dataset{std::vector<Sample>(entries.size()), sources.gaze.simulated};
  const auto load = [&](int64_t at) {
    const size_t i = size_t(at);
    auto [sample, image] = load_sample(entries[i], sources, options, needs);
    dataset.samples[i] = std::move(sample);
    if (hooks.sample) hooks.sample(dataset, i, image);
  };
  std::function<void(int64_t)> progress;
  if (hooks.progress) progress = [&](int64_t done) { hooks.progress(done, count); };
  parallel_for_each(count, load, progress);
  return dataset;
}

}  // namespace gt
