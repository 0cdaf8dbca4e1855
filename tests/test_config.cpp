// Reading and writing configurations.
#include <limits>

#include "core/config.h"
#include "core/io.h"
#include "tests/catch.h"
#include "tests/temp_folder.h"

using namespace gt;

namespace {

struct Inner {
  double lr = 0.1;
  int64_t batch = 8;

  bool operator==(const Inner&) const = default;
  template <class V>
  void visit(V& v) {
    v("lr", lr, Range{0, 1}, Help{"learning rate"});
    v("batch", batch, Range{1, 64}, Help{"in a step", "images"});
  }
};

struct Outer {
  bool verbose = false;
  int64_t seed = 1;
  double factor = 1;
  std::string name = "run";
  std::string recipe = "gradtrack";
  std::vector<int64_t> features = {1, 2};
  std::vector<double> keep = {1, 0.5, 0.25};
  Inner train;
  std::vector<double> thresholds = {0.5, 0.3};

  bool operator==(const Outer&) const = default;
  template <class V>
  void visit(V& v) {
    v("verbose", verbose);
    v("seed", seed);
    v("factor", factor);
    v("name", name);
    v("recipe", recipe, OneOf{"gradtrack", "full"});
    v("features", features, Length{2, {1, 100}});
    v("keep", keep, Length{3, {0, 1}});
    v("thresholds", thresholds, Length{1, {0, 1}, 3});
    v("train", train);
  }
};

Outer parse(const std::string& yaml) { return parse_config<Outer>(yaml, "c.yaml"); }

std::string error_in(const std::string& yaml) {
  return error_of([&] { parse(yaml); });
}

}  // namespace

TEST_CASE("config: values of every type are read", "[config]") {
  const Outer c = parse(
      "verbose: true\nseed: -9007199254740993\nfactor: 1e-3\nname: a b\nrecipe: full\nfeatures: [3, 4]\n"
      "keep:\n  - 1\n  - 0.5\n  - 0\ntrain:\n  lr: 1\n  batch: 64  # both ends are in the range\n");
  CHECK(c == Outer{true, -9007199254740993, 1e-3, "a b", "full", {3, 4}, {1, 0.5, 0}, {1, 64}});
}

TEST_CASE("config: an empty file gives the defaults", "[config]") {
  for (const char* yaml : {"", "# a comment\n", "{}", "train:\n", "---\n"}) CHECK(parse(yaml) == Outer{});
}

TEST_CASE("config: Windows line ends are read", "[config]") {
  const Outer c = parse("name: word\r\nverbose: true\r\nkeep: [1, 1, 1]\r\ntrain:\r\n  lr: 0.5\r\n");
  CHECK(c.name == "word");
  CHECK(c.verbose);
  CHECK(c.train.lr == 0.5);
  CHECK(error_in("seed: 1\r\n\r\nnames: x\r\n").starts_with("c.yaml:3: "));
}

TEST_CASE("config: the error for a wrong value names file, line, key, expectation and value", "[config]") {
  CHECK(error_in("seed: 1\nverbose: yes\n") == "c.yaml:2: key 'verbose': expected true or false, got 'yes'");
  CHECK(error_in("seed: 1.5\n") == "c.yaml:1: key 'seed': expected a whole number, got '1.5'");
  CHECK(error_in("seed: 12x\n") == "c.yaml:1: key 'seed': expected a whole number, got '12x'");
  CHECK(error_in("seed: 99999999999999999999\n").find("whole number") != std::string::npos);
  CHECK(error_in("seed:\n") == "c.yaml:1: key 'seed': expected a whole number, got nothing");
  CHECK(error_in("factor: fast\n") == "c.yaml:1: key 'factor': expected a number, got 'fast'");
  CHECK(error_in("factor: nan\n") == "c.yaml:1: key 'factor': expected a number, got 'nan'");
  CHECK(error_in("factor: [1]\n") == "c.yaml:1: key 'factor': expected a number, got a list");
  CHECK(error_in("name: [a]\n") == "c.yaml:1: key 'name': expected a word, got a list");
  CHECK(error_in("name: {a: b}\n") == "c.yaml:1: key 'name': expected a word, got a mapping");
  CHECK(error_in("recipe: best\n") == "c.yaml:1: key 'recipe': expected gradtrack or full, got 'best'");
  CHECK(error_in("\n\ntrain: 5\n") == "c.yaml:3: key 'train': expected a mapping, got '5'");
}

TEST_CASE("config: values outside of their range are refused, in lists and mappings too", "[config]") {
  CHECK(error_in("train:\n  batch: 4\n  lr: 2\n") == "c.yaml:3: key 'train.lr': expected a number in [0, 1], got '2'");
  CHECK(error_in("train: {batch: 0}\n") == "c.yaml:1: key 'train.batch': expected a whole number in [1, 64], got '0'");
  CHECK(error_in("features: [1, 101]\n") ==
        "c.yaml:1: key 'features': expected a list of 2 whole numbers in [1, 100], got '101'");
  CHECK(error_in("keep:\n  - 1\n  - 1\n  - -1\n")
            .starts_with("c.yaml:4: key 'keep': expected a list of 3 numbers in [0, 1]"));
}

TEST_CASE("config: lists of a wrong length are refused", "[config]") {
  CHECK(error_in("features: [1]\n") ==
        "c.yaml:1: key 'features': expected a list of 2 whole numbers in [1, 100], got 1");
  CHECK(error_in("features: 1\n").ends_with("got '1'"));
  CHECK(error_in("features: [1, x]\n").ends_with("got 'x'"));
  CHECK(error_in("keep: []\n").ends_with("got 0"));
  CHECK(parse("thresholds: [0.1, 0.2, 0.3]\n").thresholds.size() == 3);
  CHECK(parse("thresholds: [0.1]\n").thresholds.size() == 1);
  CHECK(error_in("thresholds: []\n") ==
        "c.yaml:1: key 'thresholds': expected a list of 1 to 3 numbers in [0, 1], got 0");
  CHECK(error_in("thresholds: [0, 0, 0, 0]\n").ends_with("got 4"));
}

TEST_CASE("config: an unknown key is refused with a similar key as suggestion", "[config]") {
  CHECK(error_in("seed: 1\nverbse: true\n") == "c.yaml:2: unknown key 'verbse', did you mean 'verbose'?");
  CHECK(error_in("train:\n  bach: 2\n") == "c.yaml:2: unknown key 'train.bach', did you mean 'train.batch'?");
  CHECK(error_in("something_else: 1\n") == "c.yaml:1: unknown key 'something_else'");
  CHECK(error_in("lr: 1\n") == "c.yaml:1: unknown key 'lr', did you mean 'train.lr'?");
  CHECK(error_in("train: {kep: [1, 1, 1]}\n") == "c.yaml:1: unknown key 'train.kep', did you mean 'keep'?");
  CHECK(error_in("train: {unlike_any: 1}\n") == "c.yaml:1: unknown key 'train.unlike_any'");
  CHECK(error_in("[1, 2]: x\n").starts_with("c.yaml:1: unknown key"));
}

TEST_CASE("config: a key that occurs twice is refused", "[config]") {
  CHECK(error_in("seed: 1\nname: x\nseed: 2\n") == "c.yaml:3: key 'seed' stands twice");
  CHECK(error_in("train:\n  lr: 1\n  lr: 1\n") == "c.yaml:3: key 'train.lr' stands twice");
}

TEST_CASE("config: text that is not YAML or not a mapping is refused", "[config]") {
  CHECK(error_in("seed: 1\nname: [1, 2\nfactor: 2\n").starts_with("c.yaml:"));
  CHECK(error_in("seed: 1\n\tname: x\n").starts_with("c.yaml:2: not valid YAML"));
  CHECK(error_in("name: 'open").starts_with("c.yaml:1: not valid YAML"));
  CHECK(error_in("name: *nowhere\n").starts_with("c.yaml:1: not valid YAML"));
  CHECK(error_in("- a\n- b\n") == "c.yaml: expected a mapping of keys to values, got a list");
  CHECK(error_in("seed: 1\n---\nseed: 2\n") == "c.yaml:2: expected one YAML document, a second one begins here");
  CHECK(error_in(", 4, 8") == "c.yaml:1: expected one YAML document, a second one begins here");
  CHECK(error_in("word\n") == "c.yaml: expected a mapping of keys to values, got 'word'");
  CHECK(error_in("train: " + std::string(100000, '[')) ==
        "c.yaml:1: not valid YAML: expected at most 500 levels, it has more");
  CHECK_THROWS_AS(parse(std::string("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16)), Error);
}

TEST_CASE("config: files are read, and the error for a missing file names it", "[config]") {
  const TempFolder folder;
  write(folder / "a.yaml", "name: from file\ntrain:\n  lr: 0.25\n");
  CHECK(read_config<Outer>(folder / "a.yaml").name == "from file");
  CHECK(error_of([&] { read_config<Outer>(folder / "b.yaml"); }).starts_with((folder / "b.yaml") + ": cannot open"));
  CHECK(error_of([&] { read_config<Outer>(folder.path()); }).starts_with(folder.path() + ": "));
}

TEST_CASE("config: overrides replace values of the file", "[config]") {
  const TempFolder folder;
  const std::string path = folder / "c.yaml";
  write(path, "name: file\nseed: 3\ntrain:\n  lr: 0.25\n");
  const auto with = [&](const std::vector<std::string>& overrides) { return read_config<Outer>(path, overrides); };
  const auto error = [&](const std::string& o) { return error_of([&] { with({o}); }); };

  const Outer c = with({"train.batch=16", "name=a=b", "keep=[1, 1, 0]", "verbose=true", "seed=4", "seed=5"});
  CHECK(c == Outer{true, 5, 1, "a=b", "gradtrack", {1, 2}, {1, 1, 0}, {0.25, 16}});
  CHECK(with({"train={batch: 2}"}).train == Inner{0.1, 2});  // the whole mapping is replaced
  write(path, "");
  CHECK(with({"train.lr=1"}).train.lr == 1);

  write(path, "name: file\n\n\ntrain:\n  lr: 0.25\n");
  CHECK(error("train.lr=2") == "command line 'train.lr=2': key 'train.lr': expected a number in [0, 1], got '2'");
  CHECK(error("train.lx=1") == "command line 'train.lx=1': unknown key 'train.lx', did you mean 'train.lr'?");
  CHECK(error("trian.lr=1") == "command line 'trian.lr=1': unknown key 'trian', did you mean 'train'?");
  CHECK(error("train={lx: 1}").starts_with("command line 'train={lx: 1}': unknown key 'train.lx'"));
  CHECK(error("train={lr: 5}").starts_with("command line 'train={lr: 5}': key 'train.lr'"));
  CHECK(error("name.x=1") == "command line 'name.x=1': key 'name': expected a word, got a mapping");
  CHECK(error("keep=[1, 1, 2]").starts_with("command line 'keep=[1, 1, 2]': key 'keep'"));
  CHECK(error("seed=").starts_with("command line 'seed=': key 'seed': expected a whole number, got nothing"));
  CHECK(error("seed").starts_with("command line 'seed': expected key=value"));
  for (const char* word : {"=1", ".lr=1", "train.=1", "train..lr=1"})
    CHECK(error(word).starts_with(str_cat("command line '", word, "': expected key=value")));
  CHECK(error("name='x").starts_with("command line 'name='x': the value is not valid YAML"));

  // An error of the file stays the file's.
  write(path, "train:\n  batch: 0\n");
  CHECK(error("train.lr=1").starts_with(path + ":2: key 'train.batch'"));
}

TEST_CASE("config: keys of the base file are read first", "[config]") {
  const TempFolder folder;
  make_folder(folder / "sub");
  write(folder / "sub/base.yaml", "name: base\nseed: 3\nkeep: [1, 1, 1]\ntrain:\n  lr: 0.25\n  batch: 4\n");
  write(folder / "sub/middle.yaml", "base: base.yaml\nname: middle\n");
  write(folder / "top.yaml", "base: sub/middle.yaml\nkeep: [1, 0, 0]\ntrain:\n  batch: 16\n");
  const auto read = [&](const std::vector<std::string>& overrides, ConfigNotes* notes = nullptr) {
    return read_config<Outer>(folder / "top.yaml", overrides, notes);
  };
  ConfigNotes notes;
  CHECK(read({"seed=9"}, &notes) == Outer{false, 9, 1, "middle", "gradtrack", {1, 2}, {1, 0, 0}, {0.25, 16}});
  CHECK(notes.origin("seed") == "command line 'seed=9'");
  CHECK(notes.origin("name") == (folder / "sub/middle.yaml") + ":2");
  CHECK(notes.origin("train.lr") == (folder / "sub/base.yaml") + ":5");
  CHECK(notes.origin("train.batch") == (folder / "top.yaml") + ":4");
  CHECK(notes.origin("factor") == "default");
  CHECK(read({"train={batch: 2}"}).train == Inner{0.1, 2});  // an override of the mapping replaces it

  write(folder / "sub/base.yaml", "name: base\ntrain:\n  lr: 7\n");
  CHECK(error_of([&] { read({}); }).starts_with((folder / "sub/base.yaml") + ":3: key 'train.lr': expected"));
  write(folder / "sub/base.yaml", "nme: base\n");
  CHECK(error_of([&] { read({}); }).starts_with((folder / "sub/base.yaml") + ":1: unknown key 'nme'"));
}

TEST_CASE("config: a base that is missing, no path, or part of a cycle is refused", "[config]") {
  const TempFolder folder;
  const auto error = [&](const std::string& yaml) {
    write(folder / "a.yaml", yaml);
    return error_of([&] { read_config<Outer>(folder / "a.yaml"); });
  };
  write(folder / "b.yaml", "base: a.yaml\n");
  CHECK(error("seed: 1\nbase: none.yaml\n") ==
        (folder / "a.yaml") + ":2: key 'base': there is no file " + (folder / "none.yaml"));
  CHECK(error("base: [b.yaml]\n").starts_with((folder / "a.yaml") + ":1: key 'base': expected the path"));
  CHECK(error("base: a.yaml\n").ends_with("a.yaml: the key 'base' leads back to this file"));
  CHECK(error("base: b.yaml\n").ends_with("a.yaml: the key 'base' leads back to this file"));
  CHECK(error_in("base: b.yaml\n").starts_with("c.yaml:1: unknown key 'base'"));
}

namespace {

struct Renamed {
  double steps = 1;
  std::string kind = "direct";
  Inner train;

  bool operator==(const Renamed&) const = default;
  static std::vector<RenamedKey> renamed_keys() {
    return {{"train.count", "steps"}, {"how", "kind", {{"old", "winograd"}}}, {"rate", "train.lr"}};
  }
  template <class V>
  void visit(V& v) {
    v("steps", steps);
    v("kind", kind, OneOf{"direct", "winograd"});
    v("train", train);
  }
};

}  // namespace

TEST_CASE("config: a renamed key works under its old name, with a warning", "[config]") {
  ConfigNotes notes;
  const auto read = [&](const std::string& yaml) {
    notes = {};
    return parse_config<Renamed>(yaml, "c.yaml", &notes);
  };
  CHECK(read("how: old\ntrain:\n  count: 3\n  batch: 2\nrate: 0.5\n") == Renamed{3, "winograd", {0.5, 2}});
  CHECK(notes.warnings == std::vector<std::string>{"c.yaml:3: key 'train.count' is called 'steps' now",
                                                   "c.yaml:1: key 'how' is called 'kind' now",
                                                   "c.yaml:5: key 'rate' is called 'train.lr' now"});
  CHECK(notes.origin("train.lr") == "c.yaml:5");
  CHECK(read("how: direct\n").kind == "direct");
  CHECK(error_of([&] { read("how: new\n"); }).starts_with("c.yaml:1: key 'kind': expected direct or winograd"));
  CHECK(error_of([&] { read("rate: 1\ntrain:\n  lr: 1\n"); }) ==
        "c.yaml:1: key 'rate' is the old name of 'train.lr', which is set as well");

  const TempFolder folder;
  write(folder / "c.yaml", "train:\n  lr: 0.25\n");
  const Renamed c = read_config<Renamed>(folder / "c.yaml", {"rate=0.125", "train.count=7"}, &notes);
  CHECK(c == Renamed{7, "direct", {0.125, 8}});  // an override under the old name still overrides
}

TEST_CASE("config: keys are listed with permitted values, default and help", "[config]") {
  const std::vector<config::KeyInfo> keys = list_keys<Outer>();
  REQUIRE(keys.size() == 11);
  CHECK(keys[4].path == "recipe");
  CHECK(keys[4].expected == "gradtrack or full");
  CHECK(keys[4].value == "gradtrack");
  CHECK(keys[8].path == "train");
  CHECK(keys[8].expected.empty());
  CHECK(keys[9].path == "train.lr");
  CHECK(keys[9].expected == "a number in [0, 1]");
  CHECK(keys[9].text == std::string("learning rate"));
  CHECK(keys[10].unit == "images");
}

TEST_CASE("config: keys are reset to their defaults by path", "[config]") {
  Outer c{true, 5, 2, "x", "full", {7, 8}, {1, 1, 1}, {0.5, 16}};
  reset_keys(c, {"seed", "train", "keep"});
  CHECK(c == Outer{true, 1, 2, "x", "full", {7, 8}, {1, 0.5, 0.25}, {}});
  reset_keys(c, {"train.lr"});
  CHECK_THROWS_AS(reset_keys(c, {"train.rate"}), Error);
}

TEST_CASE("config: write_config() writes help texts as comments", "[config]") {
  CHECK(write_config(Inner{}, true) ==
        "lr: 0.1                         # learning rate\nbatch: 8                        # in a step [images]\n");
  CHECK(parse_config<Inner>(write_config(Inner{0.5, 3}, true), "c.yaml") == Inner{0.5, 3});
}

TEST_CASE("config: a written configuration is read back unchanged", "[config]") {
  Outer c{true, -5, 0.1 + 0.2, "", "full", {7, 100}, {1, 1.0 / 3, 1e-300}, {1e-5, 64}};
  for (const std::string name : {"", "plain", "a: b", "# no comment", "'", "\"", "back\\slash", "tab\tnew\nline",
                                 "true", "12", "null", "~", " edges ", "caf\xc3\xa9"}) {
    c.name = name;
    CHECK(parse(write_config(c)) == c);
  }
  for (const double factor : {0.0, 1.0, -1e300, 5e-324, 123456789.125, std::numeric_limits<double>::infinity()}) {
    c.factor = factor;
    CHECK(parse(write_config(c)) == c);
  }
  CHECK(write_config(Inner{}) == "lr: 0.1\nbatch: 8\n");
  CHECK(write_config(Outer{}).find("train:\n  lr: 0.1\n  batch: 8\n") != std::string::npos);
  CHECK(write_config(Outer{}).find("keep: [1, 0.5, 0.25]\n") != std::string::npos);
}

TEST_CASE("config: nearest_word() finds the most similar word", "[config]") {
  const std::vector<std::string> words = {"lr", "momentum", "weight_decay"};
  CHECK(nearest_word("momentun", words) == "momentum");
  CHECK(nearest_word("weight-decay", words) == "weight_decay");
  CHECK(nearest_word("mmentum", words) == "momentum");
  CHECK(nearest_word("lr", words) == "lr");
  CHECK(nearest_word("completely_else", words).empty());
  CHECK(nearest_word("x", {}).empty());
}
