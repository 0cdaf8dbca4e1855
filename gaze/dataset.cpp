#include "gaze/dataset.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "core/check.h"
#include "core/io.h"
#include "core/parallel.h"
#include "core/random.h"
#include "gaze/folds.h"
#include "gaze/readers.h"
#include "gaze/recorded_shape.h"

namespace gt {
namespace {

namespace fs = std::filesystem;

// ---- Gaze -----------------------------------------------------------------------------------------------------------

/// The tracks of a table. Throws Error if one is of an image that the folder lacks.
Gaze read_gaze_of(const std::string& path, const ImageFolder& images) {
  Gaze gaze = read_gaze(path);
  for (const auto& [name, track] : gaze.tracks)
    if (!images.has(name)) fail(path, ": gaze for image '", name, "', which ", images.path(), " does not have");
  return gaze;
}

/// Removes the entries without gaze if options.missing_gaze is skip. Else throws Error if there are any.
void settle_missing_gaze(std::vector<ListEntry>& entries, const Gaze& gaze, const DataOptions& options,
                         const LoadHooks& hooks) {
  const auto missing = [&](const ListEntry& entry) {
    const auto track = gaze.tracks.find(entry.name);
    return track == gaze.tracks.end() || track->second.fixations.empty();
  };
  const auto first = std::find_if(entries.begin(), entries.end(), missing);
  if (first == entries.end()) return;
  const auto count = std::count_if(entries.begin(), entries.end(), missing);
  const std::string what =
      str_cat(first->where, ": ", count, " of ", entries.size(), count == 1 ? " images has" : " images have",
              " no gaze, the first is '", first->name, "'");
  if (options.missing_gaze != "skip" || size_t(count) == entries.size())
    fail(what, ": ", gaze_path(options), " has no usable fixation of it (fixations that are too short or outside the ",
         "image are dropped); data.missing_gaze=skip leaves such images out");
  if (hooks.warn) hooks.warn(what + "; they are skipped");
  std::erase_if(entries, missing);
}

// ---- Samples --------------------------------------------------------------------------------------------------------

/// What the samples of a split are read from.
struct Sources {
  ImageFolder images;
  std::optional<ImageFolder> masks;
  Gaze gaze;
};

using FileDigest = std::pair<std::string, std::string>;

/// The size and the checksum of a file, under its path below the root.
FileDigest digest_of(const std::string& path, const DataOptions& options) {
  const std::string bytes = read_file(path);
  const uLong crc = crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
  char text[16];
  std::snprintf(text, sizeof text, "%08lx", crc);
  const std::string root = options.root + "/";
  return {path.starts_with(root) ? path.substr(root.size()) : path, str_cat(bytes.size(), " bytes, CRC-32 ", text)};
}

/// A sample with what only loading needs.
struct Loaded {
  Sample sample;
  Image image;  // at its own size
  Mask mask;    // its values; its image is moved to the sample
  std::string image_path, mask_path;
  std::vector<FileDigest> files;
};

/// Throws Error if a mask is of another size than its image, or may be turned differently by EXIF.
void check_orientation(const Mask& mask, const std::string& path, const Image& image, const std::string& image_path) {
  if (mask.image.height != image.height || mask.image.width != image.width)
    fail(path, ": is ", mask.image.height, "x", mask.image.width, ", expected ", image.height, "x", image.width,
         " as its image ", image_path,
         image.orientation != 1 ? str_cat(" (turned by its EXIF orientation ", image.orientation, ")") : "");
  const bool size_tells = image.orientation >= 5 && image.height != image.width;
  if (image.orientation != mask.orientation && !size_tells)
    fail(path, ": has the EXIF orientation ", mask.orientation, ", its image ", image_path, " has ", image.orientation,
         ": expected the same, as nothing else tells whether the mask is turned like the image");
}

/// Reads an entry's mask into the sample's mask and label, as needed.
void load_mask(const ListEntry& entry, const Sources& sources, const std::string& image_path,
               const DataOptions& options, const DataNeeds& needs, Loaded& loaded) {
  loaded.mask_path = sources.masks->find(entry);
  loaded.mask = read_mask(loaded.mask_path, options.labels, read_options(options));
  check_orientation(loaded.mask, loaded.mask_path, loaded.image, image_path);
  loaded.files.push_back(digest_of(loaded.mask_path, options));
  Image mask = std::move(loaded.mask.image);
  if (needs.masks || needs.some_masks) loaded.sample.mask = resize_mask(mask, options.size, options.size);
  if (!needs.labels) return;
  loaded.sample.label = std::move(mask);
  if (loaded.image.spacing.known()) loaded.sample.label.spacing = loaded.image.spacing;
}

/// `masked`: whether its mask is read.
Loaded load_sample(const ListEntry& entry, const Sources& sources, const DataOptions& options, const DataNeeds& needs,
                   bool masked) {
  Loaded loaded;
  Sample& sample = loaded.sample;
  sample.name = entry.name;
  const std::string path = sources.images.find(entry);
  loaded.image_path = path;
  loaded.image = read_image(path, int(options.channels), read_options(options));
  loaded.files.push_back(digest_of(path, options));
  sample.image = resize_image(loaded.image, options.size, options.size);
  sample.normalisation = normalisation_of(sample.image, options);
  if (masked) load_mask(entry, sources, path, options, needs, loaded);
  if (const auto track = sources.gaze.tracks.find(entry.name); track != sources.gaze.tracks.end()) {
    check_recorded_shape(track->second, gaze_path(options), loaded.image, path);
    sample.track = track->second;
    degrade(sample.track, options.degrade, needs.seed);
  }
  return loaded;
}

std::vector<std::string> names_of(const std::vector<ListEntry>& entries) {
  std::vector<std::string> names;
  for (const ListEntry& entry : entries) names.push_back(entry.name);
  return names;
}

/// Keeps options.images of the entries.
void keep_chosen(std::vector<ListEntry>& entries, const DataOptions& options) {
  if (options.images > int64_t(entries.size()))
    fail("data.images: expected at most ", entries.size(), ", the number of training images, got ", options.images);
  const std::vector<bool> chosen = chosen_names(names_of(entries), options.images);
  size_t i = 0;
  std::erase_if(entries, [&](const ListEntry&) { return !chosen[i++]; });
}

/// Whether options.masks names each entry: a number of them, or a list relative to options.root. Throws Error for a
/// number that is 0 or too large, and for a list with other names.
std::vector<bool> masked_entries(const std::vector<ListEntry>& entries, const DataOptions& options) {
  const std::vector<std::string> names = names_of(entries);
  if (options.masks.find_first_not_of("0123456789") == std::string::npos) {
    int64_t count = 0;
    std::from_chars(options.masks.data(), options.masks.data() + options.masks.size(), count);
    if (count < 1 || count > int64_t(names.size()))
      fail("data.masks: expected 1 to ", names.size(), ", the number of training images, or a list, got ",
           options.masks);
    return chosen_names(names, count);
  }
  std::vector<bool> masked(names.size());
  const std::string list = (fs::path(options.root) / options.masks).string();
  if (!path_exists(list)) fail("data.masks: expected a number of images or a list of names, there is no file ", list);
  for (const ListEntry& entry : read_list(list)) {
    const auto at = std::find(names.begin(), names.end(), entry.name);
    if (at == names.end())
      fail(entry.where, ": '", entry.name, "' is not among the ", names.size(), " training images in use");
    masked[size_t(at - names.begin())] = true;
  }
  return masked;
}

// ---- A split as a whole ---------------------------------------------------------------------------------------------

/// Checks the masks of a split against each other, and notes what their values mean.
void check_masks(const std::vector<Loaded>& loaded, const std::string& list, const DataOptions& options,
                 const DataNeeds& needs, const LoadHooks& hooks, MaskValues& values) {
  size_t empty = 0, full = 0, read = 0;
  std::string first;
  for (const Loaded& l : loaded) {
    if (l.mask_path.empty()) continue;
    if (read++ == 0) first = l.mask_path;
    const size_t pixels = size_t(l.image.height * l.image.width) - l.mask.ignored_pixels;
    empty += l.mask.foreground_pixels == 0;
    full += l.mask.foreground_pixels == pixels && pixels > 0;
    values.add(l.mask, l.mask_path);
  }
  if (empty < read && full < read) return;
  const std::string line =
      str_cat(list, ": the masks of all ", read, " images are ", full == 0 ? "empty" : "full", ", as ", first, " is");
  if (needs.training)
    fail(line, ": expected foreground and background", options.labels.given() ? " by data.labels" : "");
  if (hooks.warn) hooks.warn(line);
}

/// Adds the pictures among `files` to `seen`, digest to path. Warns if one is there already, under another path.
void warn_of_same(const std::vector<FileDigest>& files, std::map<std::string, std::string>& seen,
                  const std::function<void(const std::string&)>& warn) {
  int64_t count = 0;
  std::string first;
  for (const auto& [path, digest] : files) {
    if (!path.starts_with("images/")) continue;
    const auto [at, added] = seen.emplace(digest, path);
    if (!added && at->second != path && count++ == 0) first = at->second + " and " + path;
  }
  if (count > 0 && warn)
    warn(str_cat(count, count == 1 ? " picture is" : " pictures are", " there twice under different names: ", first,
                 " have the same bytes"));
}

}  // namespace

std::string list_path(const DataOptions& options, const std::string& split) {
  if (!is_folder(options.root))
    fail("data.root: no folder '", options.root,
         "', expected one with images/, masks/, and train.txt, val.txt or test.txt");
  return (fs::path(options.root) / options.lists / (split + ".txt")).string();
}

std::string gaze_path(const DataOptions& options) { return (fs::path(options.root) / options.gaze).string(); }

ReadOptions read_options(const DataOptions& options) {
  return {.max_pixels = options.max_pixels, .stretch = stretch_named(options.stretch)};
}

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
  const double std = variance > least_variance ? std::sqrt(variance) : 1;
  return {std::vector(size_t(options.channels), mean), std::vector(size_t(options.channels), std)};
}

std::string first_file_difference(const std::vector<FileDigest>& then, const std::vector<FileDigest>& now) {
  const std::map<std::string, std::string> before(then.begin(), then.end()), after(now.begin(), now.end());
  for (const auto& [path, digest] : then) {
    const auto at = after.find(path);
    if (at == after.end()) return str_cat(path, " was there (", digest, ") and is gone");
    if (at->second != digest) return str_cat(path, " was ", digest, " and is ", at->second);
  }
  for (const auto& [path, digest] : now)
    if (!before.count(path)) return str_cat(path, " is new (", digest, ")");
  return "";
}

std::vector<bool> chosen_names(const std::vector<std::string>& names, int64_t count) {
  const size_t size = names.size(), chosen_size = count == 0 ? size : std::min(size, size_t(count));
  std::vector<std::pair<uint64_t, size_t>> order;
  for (size_t i = 0; i < size; ++i) order.emplace_back(hash64(names[i]), i);
  std::sort(order.begin(), order.end());
  std::vector<bool> chosen(size);
  for (size_t k = 0; k < chosen_size; ++k) chosen[order[k].second] = true;
  return chosen;
}

std::vector<std::string> split_names(const DataOptions& options, const std::string& split) {
  std::vector<std::string> names;
  for (ListEntry& entry : read_list(list_path(options, split))) names.push_back(std::move(entry.name));
  return names;
}

void check_splits(const DataOptions& options) {
  std::map<std::string, std::string> where_of;
  std::map<std::string, std::pair<std::string, ListEntry>> first_of;  // group -> split, image
  std::optional<Grouping> grouping;
  if (!options.group.empty()) grouping.emplace(options.group);
  for (const char* split : {"train", "val", "test"}) {
    const std::string path = list_path(options, split);
    if (!path_exists(path)) continue;
    const bool needed = std::string_view(split) != "test";  // an empty list of test images hinders no training
    if (!needed && read_lines(path).empty()) continue;
    for (const ListEntry& entry : read_list(path)) {
      const auto [at, added] = where_of.emplace(entry.name, entry.where);
      if (!added)
        fail(entry.where, ": '", entry.name, "' is also listed in ", at->second, ", expected it in one split");
      if (!grouping) continue;
      const std::string group = grouping->of(entry);
      const auto& [first_split, first] = first_of.try_emplace(group, split, entry).first->second;
      if (first_split != split)
        fail(entry.where, ": '", entry.name, "' is of the group '", group, "', as '", first.name, "' in ", first.where,
             ", expected each group in one split (data.group)");
    }
  }
}

void warn_of_same_pictures(const Dataset& a, const Dataset& b, const std::function<void(const std::string&)>& warn) {
  std::map<std::string, std::string> seen;
  for (const auto& [path, digest] : a.files)
    if (path.starts_with("images/")) seen.emplace(digest, path);
  warn_of_same(b.files, seen, warn);
}

void warn_of_training_pictures(const DataOptions& options, const Dataset& dataset,
                               const std::function<void(const std::string&)>& warn) {
  const std::string list = list_path(options, "train");
  if (!path_exists(list)) return;
  const ImageFolder images(options.root + "/images");
  Dataset train;
  for (const ListEntry& entry : read_list(list))
    if (images.has(entry.name)) train.files.push_back(digest_of(images.find(entry), options));
  warn_of_same_pictures(train, dataset, warn);
}

MaskValues first_mask_values(const DataOptions& options, const std::string& split) {
  MaskValues values;
  const std::string list = list_path(options, split), masks = options.root + "/masks";
  if (options.labels.given() || !path_exists(list) || !is_folder(masks)) return values;
  const ImageFolder folder(masks);
  for (const ListEntry& entry : read_list(list)) {
    if (!folder.has(entry.name)) continue;
    const std::string path = folder.find(entry);
    values.add(read_mask(path, options.labels, read_options(options)), path);
    if (values.complete()) break;
  }
  return values;
}

Dataset load_dataset(const DataOptions& options, const std::string& split, const DataNeeds& needs,
                     const LoadHooks& hooks) {
  if (options.channels != 1 && options.channels != 3)
    fail("data.channels: expected 1 (grey) or 3 (RGB), got ", options.channels);
  const std::string list = list_path(options, split);
  std::vector<ListEntry> entries = read_list(list);
  if (split == "train") keep_chosen(entries, options);
  Sources sources{ImageFolder(options.root + "/images"), {}, {}};
  if (needs.masks || needs.labels || needs.some_masks) sources.masks.emplace(options.root + "/masks");
  Dataset dataset;
  dataset.files.push_back(digest_of(list, options));
  const std::string gaze = gaze_path(options);
  if (needs.gaze) {
    sources.gaze = read_gaze_of(gaze, sources.images);
    settle_missing_gaze(entries, sources.gaze, options, hooks);
    dataset.files.push_back(digest_of(gaze, options));
  } else if (needs.optional_gaze && !options.gaze.empty() && path_exists(gaze)) {
    sources.gaze = read_gaze(gaze);
  }

  const std::vector<bool> masked = needs.some_masks ? masked_entries(entries, options)
                                                    : std::vector<bool>(entries.size(), sources.masks.has_value());
  const int64_t count = int64_t(entries.size());
  dataset.samples.resize(entries.size());
  dataset.simulated_gaze = sources.gaze.simulated;
  dataset.gaze_assumed = sources.gaze.assumed;
  std::vector<Loaded> all(entries.size());
  const auto load = [&](int64_t at) {
    const size_t i = size_t(at);
    all[i] = load_sample(entries[i], sources, options, needs, masked[i]);
    dataset.samples[i] = std::move(all[i].sample);
    if (hooks.sample) hooks.sample(dataset, i, all[i].image);
    all[i].image.pixels = {};  // only its size is needed from here on
  };
  std::function<void(int64_t)> progress;
  if (hooks.progress) progress = [&](int64_t done) { hooks.progress(done, count); };
  parallel_for_each(count, load, progress);

  if (sources.masks) check_masks(all, list, options, needs, hooks, dataset.mask_values);
  for (Loaded& l : all) {
    dataset.ignores_pixels |= l.mask.ignored_pixels > 0;
    dataset.masks += !l.mask_path.empty();
    for (FileDigest& file : l.files) dataset.files.push_back(std::move(file));
  }
  std::map<std::string, std::string> seen;
  warn_of_same(dataset.files, seen, hooks.warn);
  const auto is_coarse = [](const Loaded& l) { return l.image.coarse; };
  const auto first = std::find_if(all.begin(), all.end(), is_coarse);
  if (first != all.end() && hooks.warn)
    hooks.warn(str_cat(std::count_if(all.begin(), all.end(), is_coarse), " of ", count,
                       " images have few levels, such as ", coarse_text(first->image_path)));
  return dataset;
}

}  // namespace gt
