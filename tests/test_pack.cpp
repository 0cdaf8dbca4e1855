#include "gaze/pack.h"

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <thread>
#include <utility>

#include "core/json.h"
#include "core/mapped_file.h"
#include "core/parallel.h"
#include "core/random.h"
#include "core/safetensors.h"
#include "models/data_cache.h"
#include "models/run_log.h"
#include "tests/catch.h"
#include "tests/small_run.h"

using namespace gt;

namespace {

namespace fs = std::filesystem;

// Waits until changes are older than the reading that follows.
void settle() { std::this_thread::sleep_for(std::chrono::milliseconds(40)); }

// A data set of tiny images that a test may change.
struct Folder {
  TempFolder folder;
  Config config = small_run();

  Folder() {
    write_synthetic_dataset(folder / "data", 20, 48, 1);
    settle();
    config.data.root = folder / "data";
    config.data.cache = folder / "cache";
  }
  RunSplit split(size_t i = 0) const { return splits_of_run(config)[i]; }
};

struct Opened {
  std::unique_ptr<SampleSource> samples;
  int64_t made = 0;  // pseudo masks
  std::vector<std::string> messages;
};

Opened open(const Config& config, size_t split = 0) {
  Opened opened;
  DataCache::Hooks hooks;
  hooks.message = [&](const std::string& line) { opened.messages.push_back(line); };
  hooks.warn = hooks.message;
  hooks.pseudo_masks = [&](int64_t done, int64_t) { opened.made = done; };
  opened.samples = DataCache(config, hooks).open(splits_of_run(config)[split]);
  return opened;
}

void check_same(const Image& a, const Image& b) {
  CHECK((a.height == b.height && a.width == b.width && a.channels == b.channels && a.pixels == b.pixels));
  CHECK((a.spacing.rows == b.spacing.rows && a.spacing.columns == b.spacing.columns));
}

void check_same(const SampleSource& a, const SampleSource& b) {
  REQUIRE(a.size() == b.size());
  CHECK(a.facts().files == b.facts().files);
  CHECK(a.facts().simulated_gaze == b.facts().simulated_gaze);
  CHECK(a.facts().gaze_assumed == b.facts().gaze_assumed);
  CHECK(a.facts().ignores_pixels == b.facts().ignores_pixels);
  CHECK(a.facts().masks == b.facts().masks);
  CHECK(a.facts().mask_values.foreground().value == b.facts().mask_values.foreground().value);
  CHECK(a.facts().mask_values.background().path == b.facts().mask_values.background().path);
  for (int64_t i = 0; i < a.size(); ++i) {
    const Sample one = a.sample(i), two = b.sample(i);
    CHECK(one.name == two.name);
    CHECK(a.name(i) == b.name(i));
    CHECK(a.fixations(i) == b.fixations(i));
    CHECK(one.normalisation.mean == two.normalisation.mean);
    CHECK(one.normalisation.std == two.normalisation.std);
    check_same(one.image, two.image);
    check_same(one.mask, two.mask);
    check_same(one.label, two.label);
    REQUIRE(one.pseudo.size() == two.pseudo.size());
    for (size_t k = 0; k < one.pseudo.size(); ++k) check_same(one.pseudo[k], two.pseudo[k]);
    CHECK((one.track.image == two.track.image && one.track.image_height == two.track.image_height));
    REQUIRE(one.track.fixations.size() == two.track.fixations.size());
    for (size_t k = 0; k < one.track.fixations.size(); ++k) {
      const Fixation &f = one.track.fixations[k], &g = two.track.fixations[k];
      CHECK((f.x == g.x && f.y == g.y && f.duration == g.duration && f.start == g.start));
    }
  }
}

}  // namespace

TEST_CASE("pack: packed samples are those in memory, for all recipes", "[pack]") {
  const Folder f;
  for (const std::string recipe : {"gradtrack", "gazemedseg", "full"})
    for (const size_t split : {0, 1}) {
      Config config = f.config, off = f.config;
      config.recipe = off.recipe = recipe;
      config.data.normalize = off.data.normalize = "per_image";
      off.data.cache = "off";
      check_same(*open(off, split).samples, *open(config, split).samples);  // made now
      const Opened again = open(config, split);
      CHECK(again.made == 0);
      check_same(*open(off, split).samples, *again.samples);
    }
}

TEST_CASE("pack: a physical size and ignored pixels are kept", "[pack]") {
  const TempFolder tmp;
  Dataset made;
  made.ignores_pixels = true;
  made.masks = 7;
  write_file(tmp / "a.png", "1");
  settle();
  made.files.add("a.png", "1 bytes, CRC-32 00000000", file_stamp(tmp / "a.png"));
  made.mask_values = MaskValues({3, true, "a"}, {1, false, "b"});
  Sample sample;
  sample.name = "caf\xC3\xA9";
  sample.label = Image(2, 3, 1, 127);
  sample.label.spacing = {0.5, 0.25};
  sample.track = {"x", {{0.1, 0.2, 300, 5}}, 20, 30};
  made.samples.push_back(sample);
  const auto read = [&](const auto& take, const auto& warn) {
    take(Sample(sample));
    warn("look");
    return made;
  };
  check_same(made, *write_pack(tmp / "p", {"i", tmp.path(), {}}, read));
  const PackAttempt opened = open_pack(tmp / "p", {"i", tmp.path(), {}});
  REQUIRE(opened.samples);
  check_same(made, *opened.samples);
  CHECK(opened.warnings == std::vector<std::string>{"look"});
  CHECK(opened.samples->facts().mask_values.foreground().largest);
  CHECK(open_pack(tmp / "p", {"another", tmp.path(), {}}).reason == "it is of other options or another program");
  CHECK(open_pack(tmp / "none", {"i", tmp.path(), {}}).reason == "there is none yet");
}

TEST_CASE("pack: one file serves all seeds and models, another one other options", "[pack]") {
  const Folder f;
  const auto path = [&](const std::function<void(Config&)>& change) {
    Config config = f.config;
    change(config);
    return DataCache(config, {}).path(splits_of_run(config)[0]);
  };
  const std::string base = path([](Config&) {});
  CHECK(base.starts_with(f.folder / "cache/data-train-"));
  CHECK(path([](Config& c) { c.seed = 2; }) == base);
  CHECK(path([](Config& c) { c.model.slope = 0.2; }) == base);
  CHECK(path([](Config& c) { c.train.batch = 5; }) == base);
  CHECK(path([](Config& c) { c.attention.target = "pseudo"; }) == base);
  CHECK(path([](Config& c) { c.data.root += "/../data/"; }) == base);
  CHECK(path([](Config& c) { c.data.max_pixels = 10000; }) != base);
  CHECK(path([](Config& c) { c.data.size = 48; }) != base);
  CHECK(path([](Config& c) { c.pseudo.foreground = 0.7; }) != base);
  CHECK(path([](Config& c) { c.pseudo.crf.iterations += 1; }) != base);
  CHECK(path([](Config& c) { c.maps.spread_exponent += 0.1; }) != base);
  CHECK(path([](Config& c) { c.data.images = 5; }) != base);
  CHECK(path([](Config& c) { c.recipe = "full"; }) != base);
  const auto noise = [](int64_t seed) {
    return [seed](Config& c) { c.data.degrade.position_noise = 0.1, c.seed = seed; };
  };
  CHECK(path(noise(1)) != base);
  CHECK(path(noise(1)) != path(noise(2)));  // which draws the noise
  Config other = f.config;
  other.data.images = 5;
  CHECK(DataCache(other, {}).path(f.split(1)) == DataCache(f.config, {}).path(f.split(1)));
}

TEST_CASE("pack: a file that changes, comes or goes is noticed", "[pack]") {
  const Folder f;
  const std::string data = f.config.data.root;
  const auto reason = [&] { return DataCache(f.config, {}).open_packed(f.split()).reason; };
  const std::string first = split_names(f.config.data, "train")[0];
  CHECK(reason() == "there is none yet");
  open(f.config);
  CHECK(reason() == "");
  const std::string gaze = read_file(data + "/gaze.csv");
  write_file(data + "/gaze.csv", gaze);  // the same bytes, at another time
  CHECK(reason() == data + "/gaze.csv has changed");
  settle();
  CHECK(open(f.config).made > 0);
  const std::string image = data + "/images/" + first + ".png";
  const fs::file_time_type time = fs::last_write_time(image);
  std::string bytes = read_file(image);
  bytes.back() ^= 1;
  write_file(image, bytes);
  fs::last_write_time(image, time);  // the same size and time of the content
  CHECK(reason() == data + "/images/" + first + ".png has changed");
  bytes.back() ^= 1;
  write_file(image, bytes);
  settle();
  open(f.config);
  write_png(data + "/images/new.png", Image(48, 48, 3));
  CHECK(reason().ends_with("/images has changed"));
  fs::remove(data + "/images/new.png");
  settle();
  open(f.config);
  fs::remove(data + "/train.txt");
  CHECK(reason() == data + "/train.txt has changed");
}

TEST_CASE("pack: what changes while it is read is read again", "[pack]") {
  const TempFolder tmp;
  write_file(tmp / "a", "1");
  const PackSources sources{"i", tmp.path(), {tmp / "a"}};
  const auto read = [&](bool change) {
    return [&tmp, change](const auto&, const auto&) {
      if (change) write_file(tmp / "a", "2");
      return DatasetFacts();
    };
  };
  settle();
  write_pack(tmp / "p", sources, read(false));
  CHECK(open_pack(tmp / "p", sources).reason == "");
  write_pack(tmp / "p", sources, read(true));
  settle();
  CHECK(open_pack(tmp / "p", sources).reason == tmp / "a has changed");
  // The same for a file that the samples come from: its stamp is from before it was read.
  const Folder f;
  Config config = f.config;
  bool changed = false;
  DataCache::Hooks hooks;
  hooks.check = [&] {
    const std::string list = config.data.root + "/gaze.csv";
    if (!std::exchange(changed, true)) write_file(list, read_file(list));
  };
  config.threads = 1;
  DataCache(config, hooks).open(f.split());
  settle();
  CHECK(DataCache(config, {}).open_packed(f.split()).reason.ends_with("gaze.csv has changed"));
}

TEST_CASE("pack: a damaged file is made again, and a damaged sample is refused", "[pack]") {
  const Folder f;
  open(f.config);
  const std::string path = DataCache(f.config, {}).path(f.split());
  const std::string whole = read_file(path);
  Random random(1, 0);
  for (int k = 0; k < 40; ++k) {
    const int64_t size = k == 0 ? 0 : random.below(int64_t(whole.size()));
    write_file(path, whole.substr(0, size_t(size)));
    const PackAttempt attempt = DataCache(f.config, {}).open_packed(f.split());
    CHECK(!attempt.samples);
    CHECK(attempt.reason != "");
  }
  CHECK(open(f.config).made > 0);
  CHECK(read_file(path).size() == whole.size());
  int refused = 0, made_again = 0;
  for (int k = 0; k < 60; ++k) {
    std::string damaged = whole;
    damaged[size_t(k < 50 ? random.below(int64_t(whole.size())) : int64_t(whole.size()) - 1 - 3 * (k - 50))] ^= 4;
    write_file(path, damaged);
    const PackAttempt attempt = DataCache(f.config, {}).open_packed(f.split());
    made_again += !attempt.samples;
    if (!attempt.samples) continue;
    const std::string message = error_of([&] {
      for (int64_t i = 0; i < attempt.samples->size(); ++i) attempt.samples->sample(i);
    });
    CHECK(message.find(" is damaged; the file is removed") != message.npos);
    ++refused;
  }
  CHECK(refused > 0);
  CHECK(made_again > 0);
}

TEST_CASE("pack: two that come at once make one file", "[pack]") {
  const Folder f;
  Opened a, b;
  {
    const std::jthread one([&] { a = open(f.config); }), two([&] { b = open(f.config); });
  }
  CHECK((a.made == 0) != (b.made == 0));
  check_same(*a.samples, *b.samples);
  for (const auto& entry : fs::directory_iterator(f.folder / "cache")) CHECK(entry.path().extension() != ".tmp");
}

TEST_CASE("pack: a cache that cannot be written ends a training only if it was asked for", "[pack]") {
  Folder f;
  write_file(f.folder / "file", "");
  f.config.data.cache = f.folder / "file";
  CHECK(error_of([&] { open(f.config); }).starts_with(f.folder / "file"));
  const char* old = std::getenv("XDG_CACHE_HOME");
  const std::string before = old == nullptr ? "" : old;
  f.config.data.cache = "auto";
  setenv("XDG_CACHE_HOME", (f.folder / "file").c_str(), 1);
  const Opened opened = open(f.config);
  CHECK(opened.samples->size() == 14);
  CHECK(opened.messages.back().starts_with("data: not packed: "));

  // The user's cache is limited: what was not used for longest goes.
  setenv("XDG_CACHE_HOME", (f.folder / "cache").c_str(), 1);
  const std::string folder = f.folder / "cache/gradtrack/";
  make_folder(folder);
  for (const std::string name : {"old.pack", "older.pack", "kept.pack", "other"}) {
    write_file(folder + name, "");
    fs::resize_file(folder + name, name == "other" ? 1 : size_t(user_cache_bytes / 2));  // without blocks on the disk
    fs::last_write_time(folder + name, fs::file_time_type::clock::now() - std::chrono::hours(name == "older.pack" ? 3
                                                                                             : name == "old.pack" ? 2
                                                                                                                  : 1));
  }
  open(f.config);
  CHECK(!path_exists(folder + "older.pack"));
  CHECK(!path_exists(folder + "old.pack"));
  CHECK(path_exists(folder + "kept.pack"));
  CHECK(path_exists(folder + "other"));
  setenv("XDG_CACHE_HOME", before.c_str(), 1);
}

TEST_CASE("pack: files have one name, however the root is written", "[pack]") {
  const Folder f;
  const std::string root = f.config.data.root;
  make_folder(root + "/data");
  write_file(root + "/data/gaze.csv", "another");  // must not be taken for the real one
  Config other = f.config;
  other.data.root = f.folder / "cache/.././data/";
  make_folder(f.folder / "cache");
  CHECK(open(f.config).samples->facts().files == load_dataset(other.data, "train", f.split().needs).files);
  CHECK(DataCache(other, {}).open_packed(f.split()).reason == "");
  other.data.gaze = root + "/gaze.csv";
  CHECK(open(f.config).samples->facts().files == load_dataset(other.data, "train", f.split().needs).files);
}

TEST_CASE("pack: what cannot be looked at is no crash", "[pack]") {
  const Folder f;
  set_num_threads(3);
  std::vector<std::string> paths;
  for (int i = 0; i < 300; ++i) paths.push_back(str_cat(f.folder / "loop", i));
  for (const std::string& path : paths) fs::create_symlink(path, path);
  const PackSources sources{"i", f.config.data.root, paths};
  write_pack(f.folder / "p", sources, [](const auto&, const auto&) { return DatasetFacts(); });
  CHECK(open_pack(f.folder / "p", sources).reason == f.folder / "loop0 has changed");
  CHECK(open_pack(std::string(5000, 'x'), sources).reason.find("cannot look at it") != std::string::npos);
  set_num_threads(0);
}

TEST_CASE("pack: a digest of many files agrees with an older list of them", "[pack]") {
  FileDigests files;
  Json list = Json::array();
  for (int i = 0; i < 10'001; ++i) {
    files.add(str_cat("images/", i), "1");
    list.push_back({str_cat("images/", i), "1"});
  }
  const std::string now = files_text(files), then = dump_json({{"files", list}});
  CHECK(first_data_difference(then, now, "x") == "");
  list[7][1] = "2";
  CHECK(first_data_difference(dump_json({{"files", list}}), now, "x") == "these are other files");
}

TEST_CASE("pack: a training on packed data has the bits of one in memory", "[pack]") {
  const Folder f;
  std::map<std::string, std::string> best;
  for (const std::string cache : {"off", "made", "there"}) {
    Config config = f.config;
    if (cache == "off") config.data.cache = "off";
    CHECK(train(config, f.folder / cache));
    for (const auto& [name, tensor] : read_safetensors(f.folder / (cache + "/last.safetensors")).tensors)
      best[cache] += name + std::string(static_cast<const char*>(tensor.raw()), size_t(tensor.bytes()));
  }
  CHECK(best["off"] == best["made"]);
  CHECK(best["off"] == best["there"]);
  CHECK(train(f.config, f.folder / "stopped", false, 10) == false);
  Config off = f.config;
  off.data.cache = "off";
  CHECK(train(off, f.folder / "stopped", true));  // resumes though the data come from elsewhere
}
