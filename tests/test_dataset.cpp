#include "gaze/dataset.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "core/parallel.h"
#include "gaze/synth.h"
#include "tests/catch.h"
#include "tests/temp_folder.h"

using namespace gt;

namespace {

namespace fs = std::filesystem;

constexpr DataNeeds everything = {.masks = true, .labels = true, .gaze = true};

DataOptions options_for(const TempFolder& tmp) {
  DataOptions options;
  options.root = tmp.path();
  options.size = 16;
  return options;
}

std::string gaze_table(const std::vector<std::string>& rows) {
  std::string table = "IMAGE,CURRENT_FIX_INDEX,CURRENT_FIX_X,CURRENT_FIX_Y,CURRENT_FIX_DURATION\n";
  for (const std::string& row : rows) table += row + "\n";
  return table;
}

// Three images a, b, c of 20x30, with masks of the left half, and two fixations on a, one on b and c.
void make_dataset(const TempFolder& tmp) {
  make_folder(tmp / "images");
  make_folder(tmp / "masks");
  for (const std::string name : {"a", "b", "c"}) {
    Image image(20, 30, 3, uint8_t(name[0])), mask(20, 30, 1);
    for (int64_t y = 0; y < 20; ++y)
      for (int64_t x = 0; x < 15; ++x) *mask.at(y, x) = 255;
    write_png(tmp / ("images/" + name + ".png"), image);
    write_png(tmp / ("masks/" + name + ".png"), mask);
  }
  write(tmp / "train.txt", "a\nb\nc\n");
  write(tmp / "gaze.csv",
        gaze_table({"a.jpg,1,0.5,0.5,100", "a.jpg,2,0.25,0.5,200", "b.jpg,1,0.5,0.5,100", "c.jpg,1,0.5,0.5,100"}));
}

// The message with which a valid data set is refused after `spoil` has changed it.
template <class F>
std::string refusal(F&& spoil, const DataNeeds& needs = everything) {
  const TempFolder tmp;
  make_dataset(tmp);
  DataOptions options = options_for(tmp);
  spoil(tmp, options);
  std::string message = error_of([&] { load_dataset(options, "train", needs); });
  CHECK(message.find('\n') == message.npos);
  for (size_t at; (at = message.find(tmp.path())) != message.npos;) message.replace(at, tmp.path().size(), "ROOT");
  return message;
}

}  // namespace

TEST_CASE("dataset: a folder is loaded with images, masks, labels and tracks", "[dataset]") {
  const TempFolder tmp;
  make_dataset(tmp);
  const Dataset dataset = load_dataset(options_for(tmp), "train", everything);
  REQUIRE(dataset.samples.size() == 3);
  CHECK(!dataset.simulated_gaze);
  for (size_t i = 0; i < 3; ++i) {
    const Sample& s = dataset.samples[i];
    CHECK(s.name == std::string(1, char('a' + i)));
    CHECK(s.image.pixels == std::vector<uint8_t>(16 * 16 * 3, uint8_t('a' + i)));
    CHECK(s.label.height == 20);
    CHECK(s.label.width == 30);
    CHECK(s.mask.pixels.size() == 16 * 16);
    for (int64_t x = 0; x < 16; ++x) CHECK(*s.mask.at(3, x) == (x < 8 ? 255 : 0));
    CHECK(s.track.fixations.size() == (i == 0 ? 2 : 1));
  }
  CHECK(dataset.samples[0].track.fixations[1].x == 0.25);
}

TEST_CASE("dataset: masks and gaze may be missing if they are not needed", "[dataset]") {
  const TempFolder tmp;
  make_dataset(tmp);
  fs::remove_all(tmp / "masks");
  fs::remove(tmp / "gaze.csv");
  const Dataset dataset = load_dataset(options_for(tmp), "train", {});
  REQUIRE(dataset.samples.size() == 3);
  CHECK(dataset.samples[0].mask.pixels.empty());
  CHECK(dataset.samples[0].label.pixels.empty());
  CHECK(dataset.samples[0].track.fixations.empty());
}

TEST_CASE("dataset: a hook gets each sample with its image at its own size", "[dataset]") {
  const TempFolder tmp;
  make_dataset(tmp);
  std::vector<std::string> seen(3);
  LoadHooks hooks;
  hooks.sample = [&](Sample& sample, size_t i, const Image& image, const DatasetFacts&) {
    const bool whole = image.height == 20 && image.width == 30 && image.pixels[0] == sample.image.pixels[0];
    seen[i] = sample.name + (whole ? "" : "?");
  };
  int64_t done = 0;
  hooks.progress = [&](int64_t now, int64_t count) { done = 100 * now + count; };
  load_dataset(options_for(tmp), "train", everything, hooks);
  CHECK(seen == std::vector<std::string>{"a", "b", "c"});
  CHECK(seen == split_names(options_for(tmp), "train"));
  CHECK(done == 303);
  hooks.sample = [](Sample&, size_t i, const Image&, const DatasetFacts&) {
    if (i == 1) fail("no");
  };
  CHECK(error_of([&] { load_dataset(options_for(tmp), "train", everything, hooks); }) == "no");
}

TEST_CASE("dataset: normalisation is computed on loading", "[dataset]") {
  const TempFolder tmp;
  make_dataset(tmp);
  DataOptions options = options_for(tmp);
  const Normalisation fixed = load_dataset(options, "train", {}).samples[2].normalisation;
  CHECK((fixed.mean == options.mean && fixed.std == options.std));
  options.normalize = "per_image";
  const Normalisation own = load_dataset(options, "train", {}).samples[2].normalisation;
  CHECK(own.mean == std::vector<double>(3, own.mean[0]));
  CHECK(own.mean[0] == Approx('c' / 255.0));
  CHECK(own.std == std::vector<double>(3, 1));
}

TEST_CASE("dataset: gaze is degraded on loading, keyed by the seed", "[dataset]") {
  const TempFolder tmp;
  make_dataset(tmp);
  DataOptions options = options_for(tmp);
  const Dataset clean = load_dataset(options, "train", everything);
  options.degrade.position_noise = 0.05;
  for (const uint64_t seed : {1, 2}) {
    DataNeeds needs = everything;
    needs.seed = seed;
    const Dataset noisy = load_dataset(options, "train", needs);
    for (size_t i = 0; i < 3; ++i) {
      Track expected = clean.samples[i].track;
      degrade(expected, options.degrade, seed);
      CHECK(expected.fixations[0].x != clean.samples[i].track.fixations[0].x);
      CHECK(noisy.samples[i].track.fixations[0].x == expected.fixations[0].x);
    }
  }
}

TEST_CASE("dataset: data.images and data.masks choose training images, more of them a superset", "[dataset]") {
  const TempFolder tmp;
  write_synthetic_dataset(tmp / "data", 20, 32, 1);
  DataOptions o;
  o.root = tmp / "data", o.size = 16;
  const size_t all = split_names(o, "train").size();
  const auto load = [&](const DataNeeds& needs) { return load_dataset(o, "train", needs); };
  const auto masked = [&] {
    std::set<std::string> names;
    for (const Sample& s : load({.some_masks = true, .gaze = true}).samples)
      if (!s.mask.pixels.empty()) names.insert(s.name);
    return names;
  };
  o.images = 5;
  CHECK(load({.masks = true}).samples.size() == 5);
  CHECK(load_dataset(o, "val", {.labels = true}).samples.size() == split_names(o, "val").size());
  o.images = int64_t(all) + 1;
  CHECK(error_of([&] { load({}); }) ==
        str_cat("data.images: expected at most ", all, ", the number of training images, got ", all + 1));
  o.images = 0, o.masks = "3";
  const std::set<std::string> three = masked();
  CHECK(three.size() == 3);
  CHECK(load({.some_masks = true, .gaze = true}).masks == 3);
  o.masks = "7";
  const std::set<std::string> seven = masked();
  CHECK(seven.size() == 7);
  CHECK(std::includes(seven.begin(), seven.end(), three.begin(), three.end()));
  write(tmp / "data/mine.txt", *three.begin() + "\n");
  o.masks = "mine.txt";
  CHECK(masked() == std::set{*three.begin()});
  write(tmp / "data/mine.txt", *three.begin() + "\nelsewhere\n");
  CHECK(error_of([&] { masked(); }) ==
        str_cat(tmp / "data/mine.txt", ":2: 'elsewhere' is not among the ", all, " training images in use"));
  for (const char* number : {"0", "99", "99999999999999999999"}) {
    o.masks = number;
    CHECK(error_of([&] { masked(); }).starts_with("data.masks: expected 1 to "));
  }
}

TEST_CASE("dataset: optional gaze may lack images, and the whole table", "[dataset]") {
  const TempFolder tmp;
  make_dataset(tmp);
  const DataNeeds needs = {.optional_gaze = true};
  write(tmp / "gaze.csv", gaze_table({"b.jpg,1,0.5,0.5,100", "elsewhere,1,0.5,0.5,100"}));
  const Dataset some = load_dataset(options_for(tmp), "train", needs);
  CHECK(some.samples[0].track.fixations.empty());
  CHECK(some.samples[1].track.fixations.size() == 1);
  fs::remove(tmp / "gaze.csv");
  CHECK(load_dataset(options_for(tmp), "train", needs).samples[1].track.fixations.empty());
  write(tmp / "gaze.csv", "what");
  CHECK_THROWS_AS(load_dataset(options_for(tmp), "train", needs), Error);
}

TEST_CASE("dataset: a list may have CRLF, a byte order mark, blank lines and extensions", "[dataset]") {
  const TempFolder tmp;
  make_dataset(tmp);
  write(tmp / "train.txt",
        "\xEF\xBB\xBF"
        "b.jpg\r\n\r\n  c \r\na");
  const Dataset dataset = load_dataset(options_for(tmp), "train", everything);
  REQUIRE(dataset.samples.size() == 3);
  CHECK(dataset.samples[0].name == "b");
  CHECK(dataset.samples[1].name == "c");
  CHECK(dataset.samples[2].name == "a");
}

TEST_CASE("dataset: the gaze may be marked as simulated and lie outside the folder", "[dataset]") {
  const TempFolder tmp, elsewhere;
  make_dataset(tmp);
  const Track track = {.image = "b", .fixations = {{0.5, 0.5, 100, 0}}, .image_height = 20, .image_width = 30};
  write_gaze(elsewhere / "g.csv", {track}, true);
  write(tmp / "val.txt", "b\n");
  DataOptions options = options_for(tmp);
  options.gaze = elsewhere / "g.csv";
  CHECK(load_dataset(options, "val", everything).simulated_gaze);
}

TEST_CASE("dataset: the greater of two values of masks is foreground", "[dataset]") {
  const TempFolder tmp;
  make_dataset(tmp);
  Image ringing(20, 30, 1, 43);
  for (int64_t y = 0; y < 10; ++y)
    for (int64_t x = 0; x < 30; ++x) *ringing.at(y, x) = 211;
  for (const char* name : {"a", "b", "c"}) write_png(tmp / (str_cat("masks/", name, ".png")), ringing);
  const Dataset dataset = load_dataset(options_for(tmp), "train", everything);
  const Sample& s = dataset.samples[0];
  for (int64_t y = 0; y < 20; ++y) CHECK(*s.label.at(y, 7) == (y < 10 ? 255 : 0));
  for (int64_t y = 0; y < 16; ++y) CHECK(*s.mask.at(y, 7) == (y < 8 ? 255 : 0));
}

TEST_CASE("dataset: images are loaded with the configured channels", "[dataset]") {
  const TempFolder tmp;
  make_dataset(tmp);
  DataOptions options = options_for(tmp);
  options.channels = 1;
  CHECK(load_dataset(options, "train", {}).samples[1].image.pixels == std::vector<uint8_t>(16 * 16, 'b'));
  options.channels = 2;
  CHECK(error_of([&] { load_dataset(options, "train", {}); }) == "data.channels: expected 1 (grey) or 3 (RGB), got 2");
}

TEST_CASE("dataset: missing folders and lists are refused", "[dataset]") {
  CHECK(refusal([](auto&, auto& options) { options.root += "/none"; }).starts_with("data.root: no folder 'ROOT/none'"));
  CHECK(refusal([](auto& tmp, auto&) {
          fs::remove_all(tmp / "images");
        }).starts_with("ROOT/images: cannot read the folder"));
  CHECK(refusal([](auto& tmp, auto&) {
          fs::remove_all(tmp / "masks");
        }).starts_with("ROOT/masks: cannot read the folder"));
  CHECK(refusal([](auto& tmp, auto&) { fs::remove(tmp / "train.txt"); }).starts_with("ROOT/train.txt: cannot open"));
  CHECK(refusal([](auto& tmp, auto&) { fs::remove(tmp / "gaze.csv"); }).starts_with("ROOT/gaze.csv: cannot open"));
}

TEST_CASE("dataset: an empty list and a duplicate name are refused", "[dataset]") {
  for (const std::string empty : {"", "\n \r\n", "\xEF\xBB\xBF"})
    CHECK(refusal([&](auto& tmp, auto&) { write(tmp / "train.txt", empty); }) ==
          "ROOT/train.txt: lists nothing, expected the name of one image a line");
  CHECK(refusal([](auto& tmp, auto&) { write(tmp / "train.txt", "a\n\nb\na.png\n"); }) ==
        "ROOT/train.txt:4: 'a' is already listed on line 1");
}

TEST_CASE("dataset: missing, ambiguous and undecodable images are refused", "[dataset]") {
  CHECK(refusal([](auto& tmp, auto&) { write(tmp / "train.txt", "a\nx\n"); }, {}) ==
        "ROOT/train.txt:2: expected ROOT/images/x.jpg, .png or .dcm, there is none");
  CHECK(refusal([](auto& tmp, auto&) { fs::remove(tmp / "masks/b.png"); }) ==
        "ROOT/train.txt:2: expected ROOT/masks/b.jpg, .png or .dcm, there is none");
  for (const std::string folder : {"images", "masks"}) {
    const std::string c = folder + "/c";
    CHECK(refusal([&](auto& tmp, auto&) { fs::copy(tmp / (c + ".png"), tmp / (c + ".jpg")); }) ==
          "ROOT/train.txt:3: expected ROOT/" + c + ".jpg, .png or .dcm, there are 2: c.jpg and c.png");
    CHECK(refusal([&](auto& tmp, auto&) { write(tmp / (c + ".png"), "what"); }) ==
          "ROOT/" + c + ".png: is neither a JPEG nor a PNG nor a DICOM image");
  }
}

TEST_CASE("dataset: a mask of another size than its image is refused", "[dataset]") {
  CHECK(refusal([](auto& tmp, auto&) { write_png(tmp / "masks/b.png", Image(30, 20, 1)); }) ==
        "ROOT/masks/b.png: is 30x20, expected 20x30 as its image ROOT/images/b.png");
}

TEST_CASE("dataset: an image without gaze and gaze without an image are refused", "[dataset]") {
  const auto with_gaze = [](const std::vector<std::string>& rows) {
    return refusal([&](auto& tmp, auto&) { write(tmp / "gaze.csv", gaze_table(rows)); });
  };
  const std::string no_gaze =
      "ROOT/train.txt:2: 1 of 3 images has no gaze, the first is 'b': ROOT/gaze.csv has no usable fixation of it "
      "(fixations that are too short or outside the image are dropped); data.missing_gaze=skip leaves such images out";
  CHECK(with_gaze({"a,1,0.5,0.5,100", "c,1,0.5,0.5,100"}) == no_gaze);
  CHECK(with_gaze({"a,1,0.5,0.5,100", "b,1,0.5,1.5,100", "b,2,0.5,0.5,20", "c,1,0.5,0.5,100"}) == no_gaze);
  CHECK(with_gaze({"a,1,0.5,0.5,100", "b,1,0.5,0.5,100", "c,1,0.5,0.5,100", "d,1,0.5,0.5,100"}) ==
        "ROOT/gaze.csv: gaze for image 'd', which ROOT/images does not have");
}

TEST_CASE("dataset: images without gaze are counted, or skipped with a warning", "[dataset]") {
  const TempFolder tmp;
  make_dataset(tmp);
  write(tmp / "gaze.csv", gaze_table({"b.jpg,1,0.5,0.5,100"}));
  DataOptions options = options_for(tmp);
  const std::string what = tmp / "train.txt:1: 2 of 3 images have no gaze, the first is 'a'";
  CHECK(error_of([&] { load_dataset(options, "train", everything); }).starts_with(what + ": "));
  options.missing_gaze = "skip";
  std::vector<std::string> warnings;
  LoadHooks hooks;
  hooks.warn = [&](const std::string& line) { warnings.push_back(line); };
  const Dataset dataset = load_dataset(options, "train", everything, hooks);
  REQUIRE(dataset.samples.size() == 1);
  CHECK(dataset.samples[0].name == "b");
  CHECK(warnings == std::vector<std::string>{what + "; they are skipped"});
  write(tmp / "train.txt", "a\n");
  CHECK_THROWS_AS(load_dataset(options, "train", everything), Error);
}

TEST_CASE("dataset: masks of a split have one meaning of values", "[dataset]") {
  const auto with = [](uint8_t foreground, uint8_t background = 0) {
    Image mask(20, 30, 1, background);
    *mask.at(1, 1) = foreground;
    return mask;
  };
  CHECK(refusal([&](auto& tmp, auto&) {
          write_png(tmp / "masks/b.png", with(1));
        }).starts_with("ROOT/masks/b.png: foreground is 1, but 255 in ROOT/masks/a.png: expected one meaning"));
  CHECK(refusal([&](auto& tmp, auto&) { write_png(tmp / "masks/b.png", Image(20, 30, 1)); }) == "");
  CHECK(refusal([&](auto& tmp, auto&) { write_png(tmp / "masks/b.png", with(2)); }) ==
        "ROOT/masks/b.png: foreground is 2, but 255 in ROOT/masks/a.png: expected one meaning of values in a data set, "
        "or data.labels (prepare: --foreground, --ignored, --background) that says what each value is");
  CHECK(refusal([&](auto& tmp, auto&) { write_png(tmp / "masks/b.png", with(255, 1)); }) ==
        "ROOT/masks/b.png: background is 1, but 0 in ROOT/masks/a.png: expected one meaning of values in a data set, "
        "or data.labels (prepare: --foreground, --ignored, --background) that says what each value is");
}

TEST_CASE("dataset: masks that are all empty are refused for training and warned of else", "[dataset]") {
  const TempFolder tmp;
  make_dataset(tmp);
  for (const uint8_t value : {0, 255}) {
    for (const char* name : {"a", "b", "c"}) write_png(tmp / str_cat("masks/", name, ".png"), Image(20, 30, 1, value));
    const std::string what = str_cat(tmp / "train.txt", ": the masks of all 3 images are ", value ? "full" : "empty",
                                     ", as ", tmp / "masks/a.png", " is");
    DataNeeds needs = everything;
    std::string warning;
    LoadHooks hooks;
    hooks.warn = [&](const std::string& line) { warning = line; };
    load_dataset(options_for(tmp), "train", needs, hooks);
    CHECK(warning == what);
    needs.training = true;
    CHECK(error_of([&] { load_dataset(options_for(tmp), "train", needs); }) ==
          what + ": expected foreground and background");
  }
}

TEST_CASE("dataset: labels mark pixels that do not count", "[dataset]") {
  const TempFolder tmp;
  make_dataset(tmp);
  Image mask(20, 30, 1, 3);
  for (int64_t x = 0; x < 30; ++x) *mask.at(0, x) = 255;
  for (int64_t x = 0; x < 30; ++x) *mask.at(1, x) = 0;
  for (const char* name : {"a", "b", "c"}) write_png(tmp / str_cat("masks/", name, ".png"), mask);
  DataOptions options = options_for(tmp);
  options.labels = {.foreground = {3}, .ignored = {255}};
  const Dataset dataset = load_dataset(options, "train", everything);
  CHECK(dataset.ignores_pixels);
  CHECK(*dataset.samples[0].label.at(0, 5) == ignored_pixel);
  CHECK(*dataset.samples[0].label.at(1, 5) == 0);
  CHECK(*dataset.samples[0].label.at(2, 5) == 255);
}

TEST_CASE("dataset: folders may hold foreign files, and names in any letter case and Unicode form", "[dataset]") {
  const TempFolder tmp;
  make_dataset(tmp);
  for (const char* foreign : {"._a.png", ".DS_Store", "Thumbs.db", "caf\xE9.png", "notes.txt"})
    write(tmp / (str_cat("images/", foreign)), "what");
  make_folder(tmp / "images/folder.png");
  fs::rename(tmp / "images/b.png", tmp / "images/cafe\xCC\x81.dcm.PNG");
  fs::rename(tmp / "masks/b.png", tmp / "masks/caf\xC3\xA9.png");
  write(tmp / "train.txt", "a.jpeg\nd\\caf\xC3\xA9\nc\n");
  write(tmp / "gaze.csv", gaze_table({"a,1,0.5,0.5,100", "cafe\xCC\x81.jpg,1,0.5,0.5,100", "c,1,0.5,0.5,100"}));
  const Dataset dataset = load_dataset(options_for(tmp), "train", everything);
  REQUIRE(dataset.samples.size() == 3);
  CHECK(dataset.samples[1].name == "caf\xC3\xA9");
}

TEST_CASE("dataset: names that no list can hold and links in circles are refused", "[dataset]") {
  CHECK(refusal([](auto& tmp, auto&) { write(tmp / "train.txt", "a\ncaf\xE9\n"); }) ==
        "ROOT/train.txt:2: 'caf\\xe9' is the name of an image, expected UTF-8");
  CHECK(refusal([](auto& tmp, auto&) {
          fs::remove(tmp / "images/b.png");
          fs::create_symlink("b.png", tmp / "images/b.png");
        }).starts_with("ROOT/images/b.png: cannot open: "));
}

TEST_CASE("dataset: a name in two splits is refused with both lines", "[dataset]") {
  const TempFolder tmp;
  make_dataset(tmp);
  write(tmp / "val.txt", "c.png\n");
  CHECK(error_of([&] { check_splits(options_for(tmp)); }) ==
        tmp / "val.txt:1: 'c' is also listed in " + (tmp / "train.txt:3, expected it in one split"));
  write(tmp / "train.txt", "a\nb\n");
  write(tmp / "test.txt", "");
  CHECK(error_of([&] { check_splits(options_for(tmp)); }) == "");
}

TEST_CASE("dataset: lists may lie in a folder, and a group in two of them is refused", "[dataset]") {
  const TempFolder tmp;
  write(tmp / "folds/1/train.txt", "p1_1\np1_2\n");
  write(tmp / "folds/1/val.txt", "p2_1\n");
  write(tmp / "folds/1/test.txt", "p3_1\np1_3\n");
  DataOptions options;
  options.root = tmp.path();
  options.lists = "folds/1";
  CHECK(split_names(options, "train") == std::vector<std::string>{"p1_1", "p1_2"});
  check_splits(options);
  options.group = "^(p[0-9]+)_";
  CHECK(error_of([&] { check_splits(options); }) ==
        tmp / "folds/1/test.txt" + ":2: 'p1_3' is of the group 'p1', as 'p1_1' in " + tmp / "folds/1/train.txt" +
            ":1, expected each group in one split (data.group)");
  options.group = "^(p[0-9]+_[0-9])";
  check_splits(options);
}

TEST_CASE("dataset: the same picture under two names is warned of", "[dataset]") {
  const TempFolder tmp;
  make_dataset(tmp);
  fs::copy_file(tmp / "images/a.png", tmp / "images/c.png", fs::copy_options::overwrite_existing);
  std::vector<std::string> warnings;
  LoadHooks hooks;
  hooks.warn = [&](const std::string& line) { warnings.push_back(line); };
  const std::string what =
      "1 picture is there twice under different names: images/a.png and images/c.png have the same bytes";
  load_dataset(options_for(tmp), "train", {}, hooks);
  CHECK(warnings == std::vector<std::string>{what});
  warnings.clear();
  write(tmp / "train.txt", "a\n");
  write(tmp / "val.txt", "c\nb\n");
  warn_of_same_pictures(load_dataset(options_for(tmp), "train", {}, hooks),
                        load_dataset(options_for(tmp), "val", {}, hooks), hooks.warn);
  CHECK(warnings == std::vector<std::string>{what});
}

TEST_CASE("dataset: the first difference of files is named", "[dataset]") {
  const TempFolder tmp;
  make_dataset(tmp);
  const auto files = [&] { return load_dataset(options_for(tmp), "train", everything).files; };
  const auto before = files();
  REQUIRE(before.size() == 8);
  std::vector<std::string> paths, digests;
  before.each([&](std::string_view path, std::string_view digest) {
    paths.emplace_back(path);
    digests.emplace_back(digest);
  });
  paths.resize(4);
  CHECK(paths == std::vector<std::string>{"train.txt", "gaze.csv", "images/a.png", "masks/a.png"});
  CHECK(digests[0].starts_with("6 bytes, CRC-32 "));
  CHECK(first_file_difference(before, files()) == "");
  CHECK(FileDigests::of_text(before.text()) == before);
  CHECK(error_of([&] { FileDigests::of_text("a"); }) == "a list of files is malformed");
  write_png(tmp / "images/b.png", Image(20, 30, 3, 9));
  CHECK(first_file_difference(before, files()).starts_with("images/b.png was "));
  CHECK(first_file_difference({{"a", "1"}}, {}) == "a was there (1) and is gone");
  CHECK(first_file_difference({}, {{"a", "1"}}) == "a is new (1)");
}

TEST_CASE("dataset: gaze on an image of another shape is refused", "[dataset]") {
  const auto with_size = [](int64_t height, int64_t width) {
    return refusal([&](auto& tmp, auto&) {
      std::vector<Track> tracks;
      for (const char* name : {"a", "b", "c"})
        tracks.push_back(
            {.image = name, .fixations = {{0.5, 0.5, 100, 0}}, .image_height = height, .image_width = width});
      write_gaze(tmp / "gaze.csv", tracks, false);
    });
  };
  CHECK(with_size(200, 300) == "");
  CHECK(with_size(0, 0) == "");
  CHECK(with_size(30, 20) ==
        "ROOT/gaze.csv: gaze on an image of 30x20, but ROOT/images/a.png is 20x30: expected one shape");
}

TEST_CASE("dataset: the first error in the list's order is reported", "[dataset]") {
  const int before = num_threads();
  for (const int threads : {1, 3}) {
    set_num_threads(threads);
    CHECK(refusal([](auto& tmp, auto&) {
            write(tmp / "images/c.png", "what");
            write(tmp / "images/b.png", "");
          }).starts_with("ROOT/images/b.png"));
  }
  set_num_threads(before);
}

TEST_CASE("dataset: Kvasir-SEG's validation part is loaded", "[dataset]") {
  const char* data = std::getenv("GRADTRACK_DATA");
  if (!data) GT_SKIP_TEST("GRADTRACK_DATA is not set");
  DataOptions options;
  options.root = std::string(data) + "/kvasir-seg";
  const Dataset dataset = load_dataset(options, "val", {.labels = true, .gaze = true});
  CHECK(dataset.samples.size() == 90);
  for (const Sample& s : dataset.samples) {
    CHECK(s.image.pixels.size() == 224 * 224 * 3);
    CHECK((s.label.height > 300 && s.label.width > 300));
    CHECK(s.label.height * s.label.width == int64_t(s.label.pixels.size()));
    const int64_t foreground = std::count(s.label.pixels.begin(), s.label.pixels.end(), 255);
    CHECK(foreground > 0);
    CHECK(foreground + std::count(s.label.pixels.begin(), s.label.pixels.end(), 0) == int64_t(s.label.pixels.size()));
    CHECK(s.track.fixations.size() >= 5);
  }
}
