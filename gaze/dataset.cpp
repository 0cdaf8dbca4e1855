#include "gaze/dataset.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "core/check.h"
#include "core/io.h"
#include "core/mapped_file.h"
#include "core/parallel.h"
#include "core/random.h"
#include "gaze/folds.h"
#include "gaze/readers.h"
#include "gaze/recorded_shape.h"

namespace gt {
namespace {

namespace fs = std::filesystem;

// ---- Gaze -----------------------------------------------------------------------------------------------------------

/// Throws Error if a track is of an image that the folder lacks.
void check_images_of(const Gaze& gaze, const std::string& path, const ImageFolder& images) {
  for (const auto& [name, track] : gaze.tracks)
    if (!images.has(name)) fail(path, ": gaze for image '", name, "', which ", images.path(), " does not have");
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
      str_cat(first->where(), ": ", count, " of ", entries.size(), count == 1 ? " images has" : " images have",
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

/// A path relative to the root, however both are written. One that was given as absolute and lies elsewhere stays so.
std::string path_below(const std::string& root, const std::string& path) {
  const fs::path full = fs::absolute(path).lexically_normal();
  const fs::path below = full.lexically_relative(fs::absolute(root + "/").lexically_normal());
  const bool elsewhere = below.empty() || *below.begin() == "..";
  return elsewhere && fs::path(path).is_absolute() ? full.string() : below.string();
}

/// Adds the size and the checksum of a file. `before` is its stamp from before it was read; a file that has changed
/// since then is added without a stamp.
void add_digest(FileDigests& files, const std::string& path, const DataOptions& options, uint64_t before) {
  const std::string bytes = read_file(path);
  const uLong crc = crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
  char text[16];
  std::snprintf(text, sizeof text, "%08lx", crc);
  files.add(path_below(options.root, path), str_cat(bytes.size(), " bytes, CRC-32 ", text),
            file_stamp(path) == before ? before : 0);
}

/// A sample with what only loading needs.
struct Loaded {
  Sample sample;
  Image image;  // at its own size
  Mask mask;    // its values; its image is moved to the sample
  std::string image_path, mask_path;
  FileDigests files;
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
  const uint64_t before = file_stamp(loaded.mask_path);
  loaded.mask = read_mask(loaded.mask_path, options.labels, read_options(options));
  check_orientation(loaded.mask, loaded.mask_path, loaded.image, image_path);
  add_digest(loaded.files, loaded.mask_path, options, before);
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
  const uint64_t before = file_stamp(path);
  loaded.image = read_image(path, int(options.channels), read_options(options));
  add_digest(loaded.files, path, options, before);
  sample.image = resize_image(loaded.image, options.size, options.size, options.shrinking());
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
  if (options.images == 0) return;
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
      fail(entry.where(), ": '", entry.name, "' is not among the ", names.size(), " training images in use");
    masked[size_t(at - names.begin())] = true;
  }
  return masked;
}

// ---- A split as a whole ---------------------------------------------------------------------------------------------

/// The masks of a split, one after the other.
class MaskCheck {
 public:
  void add(const Loaded& loaded) {
    if (loaded.mask_path.empty()) return;
    if (read_++ == 0) first_ = loaded.mask_path;
    const size_t pixels = size_t(loaded.image.height * loaded.image.width) - loaded.mask.ignored_pixels;
    empty_ += loaded.mask.foreground_pixels == 0;
    full_ += loaded.mask.foreground_pixels == pixels && pixels > 0;
  }
  /// Warns if all are empty, or all full; refuses such a split for training.
  void end(const std::string& list, const DataOptions& options, const DataNeeds& needs, const LoadHooks& hooks) const {
    if (read_ == 0 || (empty_ < read_ && full_ < read_)) return;
    const std::string line = str_cat(list, ": the masks of all ", read_, " images are ", full_ == 0 ? "empty" : "full",
                                     ", as ", first_, " is");
    if (needs.training)
      fail(line, ": expected foreground and background", options.labels.given() ? " by data.labels" : "");
    if (hooks.warn) hooks.warn(line);
  }

 private:
  size_t empty_ = 0, full_ = 0, read_ = 0;
  std::string first_;
};

/// Warns of pictures among `files` that are the same to the byte as an earlier one, or as one in `others`.
void warn_of_same(const FileDigests& files, const FileDigests& others,
                  const std::function<void(const std::string&)>& warn) {
  std::pair<std::string, std::string> first;
  const size_t count = count_same_pictures(files, others, first);
  if (count > 0 && warn)
    warn(str_cat(count, count == 1 ? " picture is" : " pictures are",
                 " there twice under different names: ", first.first, " and ", first.second, " have the same bytes"));
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
  std::vector<ListEntry> listed;                                      // by name
  std::map<std::string, std::pair<std::string, ListEntry>> first_of;  // group -> split, image
  std::optional<Grouping> grouping;
  if (!options.group.empty()) grouping.emplace(options.group);
  const auto by_name = [](const ListEntry& a, const ListEntry& b) { return a.name < b.name; };
  for (const char* split : {"train", "val", "test"}) {
    const std::string path = list_path(options, split);
    if (!path_exists(path)) continue;
    const bool needed = std::string_view(split) != "test";  // an empty list of test images hinders no training
    if (!needed && read_lines(path).empty()) continue;
    std::vector<ListEntry> entries = read_list(path);
    for (const ListEntry& entry : entries) {
      const auto same = std::lower_bound(listed.begin(), listed.end(), entry, by_name);
      if (same != listed.end() && same->name == entry.name)
        fail(entry.where(), ": '", entry.name, "' is also listed in ", same->where(), ", expected it in one split");
      if (!grouping) continue;
      const std::string group = grouping->of(entry);
      const auto& [first_split, first] = first_of.try_emplace(group, split, entry).first->second;
      if (first_split != split)
        fail(entry.where(), ": '", entry.name, "' is of the group '", group, "', as '", first.name, "' in ",
             first.where(), ", expected each group in one split (data.group)");
    }
    std::move(entries.begin(), entries.end(), std::back_inserter(listed));
    std::sort(listed.begin(), listed.end(), by_name);
  }
}

void warn_of_same_pictures(const DatasetFacts& a, const DatasetFacts& b,
                           const std::function<void(const std::string&)>& warn) {
  warn_of_same(b.files, a.files, warn);
}

void warn_of_training_pictures(const DataOptions& options, const DatasetFacts& dataset,
                               const std::function<void(const std::string&)>& warn) {
  const std::string list = list_path(options, "train");
  if (!path_exists(list)) return;
  const ImageFolder images(options.root + "/images");
  DatasetFacts train;
  for (const ListEntry& entry : read_list(list))
    if (images.has(entry.name)) add_digest(train.files, images.find(entry), options, 0);
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

DatasetFacts read_samples(const DataOptions& options, const std::string& split, const DataNeeds& needs,
                          const LoadHooks& hooks, const std::function<void(Sample&&)>& take) {
  if (options.channels != 1 && options.channels != 3)
    fail("data.channels: expected 1 (grey) or 3 (RGB), got ", options.channels);
  const std::string list = list_path(options, split);
  const std::string gaze = gaze_path(options);
  const uint64_t list_before = file_stamp(list), gaze_before = file_stamp(gaze);
  std::vector<ListEntry> entries = read_list(list);
  if (split == "train") keep_chosen(entries, options);
  DatasetFacts facts;
  add_digest(facts.files, list, options, list_before);
  const bool reads_gaze = needs.gaze || (needs.optional_gaze && !options.gaze.empty() && path_exists(gaze));
  Gaze tracks = reads_gaze ? read_gaze(gaze) : Gaze();  // before the folders, as its reading takes the most memory
  if (needs.gaze) add_digest(facts.files, gaze, options, gaze_before);
  Sources sources{ImageFolder(options.root + "/images"), {}, std::move(tracks)};
  if (needs.masks || needs.labels || needs.some_masks) sources.masks.emplace(options.root + "/masks");
  if (needs.gaze) {
    check_images_of(sources.gaze, gaze, sources.images);
    settle_missing_gaze(entries, sources.gaze, options, hooks);
  }
  facts.simulated_gaze = sources.gaze.simulated;
  facts.gaze_assumed = sources.gaze.assumed;

  const std::vector<bool> masked = needs.some_masks ? masked_entries(entries, options)
                                                    : std::vector<bool>(entries.size(), sources.masks.has_value());
  const int64_t count = int64_t(entries.size()), block = 512;
  MaskCheck masks;
  int64_t coarse = 0;
  std::string coarse_path;
  for (int64_t begin = 0; begin < count; begin += block) {
    std::vector<Loaded> loaded(size_t(std::min(block, count - begin)));
    const auto load = [&](int64_t k) {
      const size_t i = size_t(begin + k);
      Loaded& one = loaded[size_t(k)];
      one = load_sample(entries[i], sources, options, needs, masked[i]);
      if (hooks.sample) hooks.sample(one.sample, i, one.image, facts);
      one.image.pixels = {};  // only its size is needed from here on
    };
    std::function<void(int64_t)> progress;
    if (hooks.progress) progress = [&](int64_t done) { hooks.progress(begin + done, count); };
    parallel_for_each(int64_t(loaded.size()), load, progress);

    for (Loaded& one : loaded) {
      masks.add(one);
      if (!one.mask_path.empty()) facts.mask_values.add(one.mask, one.mask_path);
      facts.ignores_pixels |= one.mask.ignored_pixels > 0;
      facts.masks += !one.mask_path.empty();
      facts.files.add(one.files);
      if (one.image.coarse && coarse++ == 0) coarse_path = one.image_path;
      take(std::move(one.sample));
    }
  }

  masks.end(list, options, needs, hooks);
  warn_of_same(facts.files, {}, hooks.warn);
  if (coarse > 0 && hooks.warn)
    hooks.warn(str_cat(coarse, " of ", count, " images have few levels, such as ", coarse_text(coarse_path)));
  return facts;
}

Dataset load_dataset(const DataOptions& options, const std::string& split, const DataNeeds& needs,
                     const LoadHooks& hooks) {
  Dataset dataset;
  static_cast<DatasetFacts&>(dataset) = read_samples(
      options, split, needs, hooks, [&](Sample&& sample) { dataset.samples.push_back(std::move(sample)); });
  return dataset;
}

}  // namespace gt
