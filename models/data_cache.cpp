#include "models/data_cache.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <utility>

#include "core/check.h"
#include "core/folder_lock.h"
#include "core/io.h"
#include "core/random.h"
#include "gaze/picture.h"
#include "models/checkpoint.h"
#include "models/recipes.h"

namespace gt {
namespace {

namespace fs = std::filesystem;

constexpr const char* suffix = ".pack";

/// The user's folder for what can be made again (XDG base directories); "" if there is none.
std::string user_cache() {
  const char *given = std::getenv("XDG_CACHE_HOME"), *home = std::getenv("HOME");
  if (given != nullptr && *given == '/') return str_cat(given, "/gradtrack");
  return home != nullptr && *home == '/' ? str_cat(home, "/.cache/gradtrack") : "";
}

/// The keys of a configuration that decide what the samples of a split are; all others are the defaults.
Config keys_of(const Config& config, const RunSplit& split) {
  const Config all = result_config(config);
  const DataNeeds& needs = split.needs;
  Config keys;
  keys.data = all.data;
  reset_keys(keys, {"data.cache"});
  keys.data.max_pixels = config.data.max_pixels;  // what it refuses is not packed
  std::error_code none;
  keys.data.root = fs::weakly_canonical(all.data.root, none).string();
  if (split.name != "train") reset_keys(keys, {"data.images"});
  if (!needs.gaze) reset_keys(keys, {"data.gaze", "data.missing_gaze", "data.degrade"});
  if (!needs.some_masks) reset_keys(keys, {"data.masks"});
  if (needs.pseudo) keys.recipe = all.recipe, keys.maps = all.maps, keys.pseudo = all.pseudo, keys.conv = all.conv;
  Config undegraded = keys;
  reset_keys(undegraded, {"data.degrade"});
  if (write_config(undegraded) != write_config(keys)) keys.seed = all.seed;  // draws the degradation
  return keys;
}

/// This program and the libraries that decode images: others may make other samples.
const std::string& program() {
  static const std::string text = [] {
    const std::string bytes = read_file("/proc/self/exe");
    return str_cat("program ", hash64(bytes), ", ", png_decoder(), ", ", jpeg_decoder());
  }();
  return text;
}

/// Makes the user's cache, for the user alone: packed images may be patients'.
void make_user_cache(const std::string& folder) {
  if (path_exists(folder)) return;
  make_folder(folder);
  std::error_code none;
  fs::permissions(folder, fs::perms::owner_all, none);
}

/// Removes the longest unused files of the user's cache, but not `kept`, until it is small enough, and what was left
/// half-written a day ago.
void limit_user_cache(const std::string& folder, const std::string& kept) {
  struct File {
    fs::file_time_type used;
    fs::path path;
    int64_t bytes;
  };
  std::vector<File> files;
  std::error_code none;
  int64_t sum = 0;
  const fs::file_time_type yesterday = fs::file_time_type::clock::now() - std::chrono::hours(24);
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, none)) {
    if (!entry.is_regular_file(none)) continue;
    const fs::file_time_type used = entry.last_write_time(none);
    if (entry.path().extension() == ".tmp" && used < yesterday) fs::remove(entry.path(), none);
    if (entry.path().extension() != suffix) continue;
    files.push_back({used, entry.path(), int64_t(entry.file_size(none))});
    sum += files.back().bytes;
  }
  std::sort(files.begin(), files.end(), [](const File& a, const File& b) { return a.used < b.used; });
  for (const File& file : files) {
    if (sum <= user_cache_bytes) return;
    if (file.path == kept) continue;
    sum -= file.bytes;
    fs::remove(file.path, none);
  }
}

/// About the bytes of a packed split, without labels at their own size.
int64_t expected_bytes(const Config& config, const RunSplit& split) {
  const int64_t masks = int64_t(split.needs.pseudo ? recipe_of(config).pseudo_thresholds(config).size() : 1);
  const bool fewer = split.name == "train" && config.data.images > 0;
  const int64_t images = fewer ? config.data.images : int64_t(split_names(config.data, split.name).size());
  return images * config.data.size * config.data.size * (config.data.channels + masks);
}

}  // namespace

std::vector<RunSplit> splits_of_run(const Config& config) {
  RunSplit train{"train", data_needs(config)};
  train.needs.training = true;
  const bool validates = config.train.select != "last" ||
                         (path_exists(list_path(config.data, "val")) && is_folder(config.data.root + "/masks"));
  if (!validates) return {train};
  return {train, {config.train.select == "test" ? "test" : "val", {.labels = true, .training = true}}};
}

DataCache::DataCache(const Config& config, Hooks hooks) : config_(config), hooks_(std::move(hooks)) {
  if (!hooks_.message) hooks_.message = [](const std::string&) {};
  if (!hooks_.warn) hooks_.warn = [](const std::string&) {};
  if (!hooks_.check) hooks_.check = [] {};
  const std::string& where = config.data.cache;
  folder_ = where == "off" ? "" : where == "auto" ? user_cache() : where;
}

std::string DataCache::identity(const RunSplit& split) const {
  const DataNeeds& n = split.needs;
  return str_cat("split ", split.name, ", needs ", n.masks, n.some_masks, n.labels, n.gaze, n.training, n.pseudo, "\n",
                 write_config(keys_of(config_, split)));
}

std::string DataCache::path(const RunSplit& split) const {
  char name[32];
  std::snprintf(name, sizeof name, "%016llx", (unsigned long long)hash64(identity(split)));
  std::error_code none;
  const std::string root = fs::weakly_canonical(config_.data.root + "/.", none).filename().string();
  return str_cat(folder_, "/", root, "-", split.name, "-", name, suffix);
}

PackSources DataCache::sources(const RunSplit& split) const {
  const DataNeeds& n = split.needs;
  PackSources sources;
  sources.root = config_.data.root;
  sources.identity = identity(split) + program();
  const fs::path root = fs::absolute(config_.data.root);
  sources.paths = {(root / "images").string()};
  if (n.masks || n.some_masks || n.labels) sources.paths.push_back((root / "masks").string());
  if (n.some_masks) sources.paths.push_back((root / config_.data.masks).string());
  if (n.pseudo && !config_.pseudo.teacher.empty() && config_.recipe == "gradtrack")
    sources.paths.push_back(fs::absolute(checkpoint_path(config_.pseudo.teacher)).string());
  return sources;
}

LoadHooks DataCache::load_hooks(const RunSplit& split, const std::function<bool(size_t)>& makes) const {
  LoadHooks hooks;
  hooks.warn = hooks_.warn;
  hooks.sample = [check = hooks_.check](Sample&, size_t, const Image&, const DatasetFacts&) { check(); };
  if (!split.needs.pseudo) return hooks;
  hooks.sample = [check = hooks_.check, makes, size = config_.data.size,
                  how = recipe_of(config_).pseudo_masks(config_)](Sample& sample, size_t i, const Image& image,
                                                                  const DatasetFacts&) {
    check();
    if (!makes || makes(i)) add_pseudo_masks(sample, image, size, how);
  };
  hooks.progress = hooks_.pseudo_masks;
  return hooks;
}

std::unique_ptr<Dataset> DataCache::load(const RunSplit& split, const std::function<bool(size_t)>& makes) const {
  return std::make_unique<Dataset>(load_dataset(config_.data, split.name, split.needs, load_hooks(split, makes)));
}

PackAttempt DataCache::open_packed(const RunSplit& split) const {
  const std::string file = path(split);
  PackAttempt attempt = open_pack(file, sources(split));
  if (!attempt.samples) return attempt;
  std::error_code none;
  fs::last_write_time(file, fs::file_time_type::clock::now(), none);  // it is in use
  hooks_.message("data: packed in " + file);
  for (const std::string& line : attempt.warnings) hooks_.warn(line);
  return attempt;
}

std::unique_ptr<SampleSource> DataCache::pack(const RunSplit& split) const {
  if (!keeps()) throw CannotPack("data.cache: there is no folder for packed data, expected one or auto with HOME");
  const std::string file = path(split);
  if (PackAttempt there = open_packed(split); there.samples) return std::move(there.samples);
  if (const int64_t bytes = expected_bytes(config_, split); automatic() && bytes > user_cache_bytes / 2)
    throw CannotPack(
        str_cat(bytes >> 30, " GiB are too much for ", folder_, "; name a folder for them with data.cache"));
  std::unique_ptr<FileLock> lock;
  for (bool waits = false;; waits = true) {
    std::string holder;
    try {
      automatic() ? make_user_cache(folder_) : make_folder(folder_);
      lock = FileLock::try_take(file + ".lock", "packs data", holder);
    } catch (const Error& error) {
      throw CannotPack(error.what());
    }
    if (lock) break;
    if (!waits) hooks_.message(str_cat("data: waits for ", holder, ": ", file));
    hooks_.check();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  PackAttempt now = open_packed(split);
  if (now.samples) return std::move(now.samples);
  const fs::path at(file);
  remove_stale_temporaries(at.parent_path().string(), at.filename().string());
  const auto read = [&](const auto& take, const auto& warn) {
    LoadHooks hooks = load_hooks(split, nullptr);
    hooks.warn = [&](const std::string& line) {
      warn(line);
      hooks_.warn(line);
    };
    return read_samples(config_.data, split.name, split.needs, hooks, take);
  };
  auto packed = write_pack(file, sources(split), read, automatic() ? user_cache_bytes / 2 : UINT64_MAX);
  if (automatic()) limit_user_cache(folder_, file);
  hooks_.message(str_cat("data: now packed in ", file, " (", now.reason, ")"));
  return packed;
}

std::unique_ptr<SampleSource> DataCache::open(const RunSplit& split) const {
  if (!keeps()) return load(split);
  try {
    return pack(split);
  } catch (const CannotPack& error) {
    if (!automatic()) throw;
    hooks_.message(str_cat("data: not packed: ", error.what()));
    return load(split);
  }
}

}  // namespace gt
