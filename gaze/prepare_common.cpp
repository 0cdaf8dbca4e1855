#include "gaze/prepare_common.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "core/check.h"
#include "core/io.h"
#include "core/random.h"
#include "core/text.h"
#include "gaze/dataset.h"
#include "gaze/readers.h"

namespace gt {

namespace {

namespace fs = std::filesystem;

/// Files below a folder, each once: links can lead to a file by several ways, and in circles.
class Walk {
 public:
  Walk(const fs::path& root, std::initializer_list<std::string_view> extensions) : extensions_(extensions) {
    // A link to a folder above the root does not leave it.
    std::error_code ignored;
    for (fs::path above = fs::canonical(root, ignored); above.has_relative_path();)
      visited_.insert(above = above.parent_path());
    folder(root);
  }

  Names found;

 private:
  /// Files and folders come before links, so that links do not decide the path by which a file is found.
  void folder(const fs::path& path) {
    std::error_code error;
    if (!visited_.insert(fs::canonical(path, error)).second && !error) return;
    std::vector<fs::path> entries;
    if (!error)
      for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error))
        entries.push_back(it->path());
    if (error) fail(path.string(), ": cannot read the folder: ", error.message());
    std::sort(entries.begin(), entries.end(), [](const fs::path& a, const fs::path& b) {
      std::error_code ignored;
      return std::pair(fs::is_symlink(a, ignored), a) < std::pair(fs::is_symlink(b, ignored), b);
    });
    for (const fs::path& entry : entries) {
      if (entry.filename().string().starts_with(".")) continue;
      if (fs::is_directory(entry, error))
        folder(entry);
      else if (fs::is_regular_file(entry, error) && wanted(entry) &&
               visited_.insert(fs::canonical(entry, error)).second)
        found.push_back(entry.string());
    }
  }

  bool wanted(const fs::path& file) const {
    const std::string extension = lower(file.extension().string());
    return std::find(extensions_.begin(), extensions_.end(), extension) != extensions_.end();
  }

  std::vector<std::string_view> extensions_;
  std::set<fs::path> visited_;
};

void write_list(const PrepareOptions& options, const std::string& split, const Names& names) {
  std::string lines;
  for (const std::string& name : names) lines += name + "\n";
  write_file(options.out + "/" + split + ".txt", lines);
}

/// Writes gaze.csv with the gaze on these images.
void write_gaze_of(const PrepareOptions& options, const Names& images, Prepared& prepared) {
  if (options.gaze.empty()) return;
  const Gaze gaze = read_gaze(options.gaze);
  std::vector<Track> tracks;
  for (const std::string& name : images)
    if (const auto track = gaze.tracks.find(name); track != gaze.tracks.end()) tracks.push_back(track->second);
  if (tracks.empty()) fail(options.gaze, ": has gaze on none of the ", images.size(), " images");
  write_gaze(options.out + "/gaze.csv", tracks, gaze.simulated);
  if (tracks.size() < images.size())
    prepared.notes.push_back(str_cat(images.size() - tracks.size(), " images have no gaze"));
  if (tracks.size() < gaze.tracks.size())
    prepared.notes.push_back(
        str_cat(gaze.tracks.size() - tracks.size(), " tracks are of images that the data set lacks"));
}

constexpr const char* parts[] = {"train.txt", "val.txt", "test.txt", "gaze.csv", "images", "masks"};

}  // namespace

Names files_below(const std::string& folder, std::initializer_list<std::string_view> extensions) {
  Walk walk(folder, extensions);
  std::sort(walk.found.begin(), walk.found.end());
  return walk.found;
}

void check_name(const std::string& path, const std::string& name) {
  if (const std::string read = image_name(name, path); name.empty() || read != name)
    fail(path, ": would be called ", quoted(name), ", which lists read as ", quoted(read));
}

std::set<std::string> hold_out(Names names, double share) {
  std::sort(names.begin(), names.end(), [](const std::string& a, const std::string& b) {
    return std::pair(hash64(a), a) < std::pair(hash64(b), b);
  });
  const size_t count = names.size() < 2 ? 0 : std::max<size_t>(1, size_t(std::lround(share * double(names.size()))));
  return {names.begin(), names.begin() + int64_t(count)};
}

NewDataset::NewDataset(const PrepareOptions& options) : options_(options), made_root_(!path_exists(options.out)) {
  for (const char* part : parts) {
    const std::string path = options.out + "/" + part;
    std::error_code error;
    if (path_exists(path) && !(is_folder(path) && fs::is_empty(path, error)))
      fail(path, ": exists already, expected a folder OUT without images, masks, lists and gaze");
  }
  make_folder(options.out + "/images");
  make_folder(options.out + "/masks");
}

NewDataset::~NewDataset() {
  if (finished_) return;
  std::error_code ignored;
  for (const char* part : parts) fs::remove_all(fs::path(options_.out) / part, ignored);
  if (made_root_) fs::remove(options_.out, ignored);
}

void NewDataset::finish(const Names& train, const Names& val, const Names& test, Prepared& prepared) {
  if (train.empty() || val.empty()) {
    std::string notes;
    for (const std::string& note : prepared.notes) notes += "; " + note;
    fail(options_.raw, ": expected images for training and for validation, got ", train.size(), " and ", val.size(),
         notes);
  }
  Names all = train;
  all.insert(all.end(), val.begin(), val.end());
  all.insert(all.end(), test.begin(), test.end());
  write_gaze_of(options_, all, prepared);
  write_list(options_, "test", test);
  write_list(options_, "val", val);
  write_list(options_, "train", train);
  check_written(!test.empty());
  prepared.train = train.size(), prepared.val = val.size(), prepared.test = test.size();
  finished_ = true;
}

/// Loads what was written, as training does. Throws Error if it cannot be read.
void NewDataset::check_written(bool has_test) const {
  DataOptions data;
  data.root = options_.out;
  data.size = 16;  // the smallest
  data.channels = 1;
  data.mean = {0}, data.std = {1};
  if (options_.labels.given()) data.labels = {{255}, {ignored_pixel}, {0}};
  for (const char* split : {"train", "val", "test"})
    if (has_test || std::string_view(split) != "test")
      load_dataset(data, split, {.masks = true, .optional_gaze = !options_.gaze.empty()});
}

}  // namespace gt
