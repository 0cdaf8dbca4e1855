// Tests of the arms of experiments and of degraded gaze.
#include <cmath>

#include "gaze/degrade.h"
#include "models/experiment.h"
#include "tests/catch.h"
#include "tests/temp_folder.h"

using namespace gt;

namespace {

const BaseConfig demo{GT_SOURCE_DIR "/configs/demo.yaml", {"data.root=d"}};

std::vector<std::string> names(const Experiment& e) {
  std::vector<std::string> all;
  for (const Arm& arm : e.arms) all.push_back(arm.name);
  return all;
}

using Words = std::vector<std::string>;
using Pairs = std::vector<std::pair<size_t, size_t>>;

std::string axis_error(const std::string& word) {
  return error_of([&] { parse_axis(word); });
}

Track track_of(int64_t count) {
  Track t;
  t.image = "a";
  for (int64_t i = 0; i < count; ++i) t.fixations.push_back({0.5, 0.5, 100, double(i)});
  return t;
}

}  // namespace

TEST_CASE("experiment: the values of an axis are split at commas outside brackets", "[experiment]") {
  CHECK(parse_axis("maps.mix=0,0.5,1").key == "maps.mix");
  CHECK(parse_axis("maps.mix=0,0.5,1").values == Words{"0", "0.5", "1"});
  CHECK(parse_axis("maps.keep=[1,0.75,0.5,0.25],[1,1,1,1]").values == Words{"[1,0.75,0.5,0.25]", "[1,1,1,1]"});
  CHECK(parse_axis("recipe=full").values == Words{"full"});
  for (const char* word : {"", "maps.mix", "maps.mix=", "=1", "maps.mix=1,,2", "maps.mix=1,", "a=[1,2", "a=1],[2"}) {
    INFO(word);
    CHECK(axis_error(word).find("--axis '" + std::string(word) + "'") == 0);
  }
  CHECK(axis_error("seed=1,2").find("--seeds") != std::string::npos);
}

TEST_CASE("experiment: comparing recipes gives an arm for each and all pairs", "[experiment]") {
  const Experiment e = compare_recipes(demo, {"gradtrack", "gazemedseg", "full"});
  CHECK(names(e) == Words{"gradtrack", "gazemedseg", "full"});
  CHECK(e.pairs == Pairs{{0, 1}, {0, 2}, {1, 2}});
  CHECK(e.arms[1].config.recipe == "gazemedseg");
  CHECK(e.arms[1].config.data.root == "d");
  CHECK(error_of([] { compare_recipes(demo, {"ful"}); }).find("gradtrack or gazemedseg or full") != std::string::npos);
  CHECK(error_of([] { compare_recipes(demo, {"full", "full"}); }).find("given twice") != std::string::npos);
  const BaseConfig seeded{demo.path, {"seed=4"}};
  CHECK(error_of([&] { compare_recipes(seeded, {"full"}); }).find("--seeds") != std::string::npos);
}

TEST_CASE("experiment: only recipes that use gaze are trained on degraded gaze, and compared with the plain recipe",
          "[experiment]") {
  const Experiment e = compare_recipes(demo, {"full", "gradtrack"}, true);
  CHECK(names(e) == Words{"full", "gradtrack", "gradtrack-noise2", "gradtrack-noise5", "gradtrack-noise10",
                          "gradtrack-offset5", "gradtrack-drop50"});
  CHECK(e.pairs == Pairs{{0, 1}, {2, 1}, {3, 1}, {4, 1}, {5, 1}, {6, 1}});
  CHECK(e.arms[4].config.data.degrade.position_noise == 0.1);
  CHECK(e.arms[5].config.data.degrade.offset == 0.05);
  CHECK(e.arms[6].config.data.degrade.drop == 0.5);
  CHECK(e.arms[1].degradation.empty());
  CHECK(e.arms[6].degradation == "half lost");
}

TEST_CASE("experiment: axes change one key of the base at a time, and skip values that the base has", "[experiment]") {
  const Experiment e =
      compare_variants(demo, {parse_axis("maps.mix=0,0.5,1"), parse_axis("maps.keep=[1,0.75,0.50,.25],[1, 1, 1, 1]")});
  CHECK(names(e) == Words{"base", "maps.mix=0", "maps.mix=1", "maps.keep=1_1_1_1"});  // demo.yaml has 0.5 and
  CHECK(e.pairs == Pairs{{1, 0}, {2, 0}, {3, 0}});                                    // the first list
  CHECK(e.arms[0].overrides.empty());
  CHECK(e.arms[3].overrides == Words{"maps.keep=[1, 1, 1, 1]"});
  CHECK(e.arms[3].config.maps.keep == std::vector<double>{1, 1, 1, 1});
  CHECK(e.arms[3].config.maps.mix == 0.5);
  CHECK(error_of([] { compare_variants(demo, {parse_axis("maps.mixx=1")}); }).find("did you mean 'maps.mix'?") !=
        std::string::npos);
}

TEST_CASE("experiment: a value that the recipe does not read is refused", "[experiment]") {
  const BaseConfig full{demo.path, {"data.root=d", "recipe=full"}};
  CHECK(error_of([&] { compare_variants(full, {parse_axis("maps.mix=0,0.5,1")}); }) ==
        "variant 'maps.mix=0': recipe full reads none of the keys that it changes, so it equals the base");
  CHECK(names(compare_variants(full, {parse_axis("maps.mix=0.5"), parse_axis("optimizer.lr=0.1")})) ==
        Words{"base", "optimizer.lr=0.1"});
}

TEST_CASE("experiment: a grid has every combination of values once", "[experiment]") {
  const Experiment e = compare_variants(demo, {parse_axis("maps.mix=0.5,1"), parse_axis("maps.gamma=1,0.9")}, true);
  CHECK(names(e) ==
        Words{"base", "maps.mix=1_maps.gamma=1", "maps.mix=0.5_maps.gamma=0.9", "maps.mix=1_maps.gamma=0.9"});
  CHECK(e.arms[3].config.maps.mix == 1);
  CHECK(e.arms[3].config.maps.gamma == 0.9);
}

TEST_CASE("experiment: a variant changes several keys under one name", "[experiment]") {
  const ConfigVariant v = parse_variant("narrow: maps.sigma_x=[0.1, 0.1, 0.1, 0.1]  maps.mix=1");
  CHECK(v.name == "narrow");
  CHECK(v.overrides == Words{"maps.sigma_x=[0.1, 0.1, 0.1, 0.1]", "maps.mix=1"});
  const Experiment e = compare_variants(demo, {parse_axis("maps.mix=1")}, true, {v, {"same", {"maps.mix=0.5"}}});
  CHECK(names(e) == Words{"base", "maps.mix=1", "narrow"});  // `same` equals the base
  CHECK(e.pairs == Pairs{{1, 0}, {2, 0}});
  CHECK(e.arms[2].config.maps.sigma_x[3] == 0.1);
  CHECK(names(compare_variants(demo, {}, true, {v})) == Words{"base", "narrow"});
  for (const char* word : {"", "narrow", "narrow:", ": maps.mix=1", "a/b: maps.mix=1", "base: maps.mix=1",
                           "n:  ", "n: maps.mix", "n: =1", "n: seed=3", "n: maps.keep=[1,2", "..: maps.mix=1"}) {
    INFO(word);
    CHECK(error_of([&] { parse_variant(word); }).find("--arm '" + std::string(word) + "'") == 0);
  }
  const ConfigVariant other{"narrow", {"maps.mix=0"}};
  CHECK(error_of([&] {
          compare_variants(demo, {}, false, {v, other});
        }).find("have the same folder 'narrow'") != std::string::npos);
}

TEST_CASE("degrade: without options nothing changes", "[degrade]") {
  Track t = track_of(20);
  degrade(t, {}, 1);
  REQUIRE(t.fixations.size() == 20);
  for (const Fixation& f : t.fixations) CHECK((f.x == 0.5 && f.y == 0.5));
  Track none;
  degrade(none, {0.1, 0.1, 0.5}, 1);
  CHECK(none.fixations.empty());
}

namespace {

/// Fixations at (0.1 i, 0.5) of 100 (i + 1) ms, one a second.
Track five_fixations() {
  Track t{"image", {}};
  for (int i = 0; i < 5; ++i) t.fixations.push_back({0.1 * i, 0.5, 100.0 * (i + 1), 1000.0 * i});
  return t;
}

/// One value of each fixation.
std::vector<double> values(const Track& track, double Fixation::*member) {
  std::vector<double> all;
  for (const Fixation& f : track.fixations) all.push_back(f.*member);
  return all;
}

}  // namespace

TEST_CASE("degrade: a track is cut to its first seconds, or loses its beginning", "[degrade]") {
  const auto durations = [](const DegradeOptions& options) {
    Track t = five_fixations();
    degrade(t, options, 1);
    return values(t, &Fixation::duration);
  };
  using Durations = std::vector<double>;
  CHECK(durations({.seconds = 3}) == Durations{100, 200, 300});
  CHECK(durations({.seconds = 0.001}) == Durations{100});
  CHECK(durations({.seconds = 60}) == Durations{100, 200, 300, 400, 500});
  CHECK(durations({.skip = 0.25}) == Durations{300, 400, 500});  // of 1500 ms, 100 + 200 end within 375
  CHECK(durations({.skip = 1}) == Durations{500});
}

TEST_CASE("degrade: near fixations are merged at their weighted mean", "[degrade]") {
  Track t = five_fixations();
  degrade(t, {.merge = 0.15}, 1);
  // 0.1 (200 ms) joins 0 (100 ms) at 1/15; 0.2 is 0.1333 away and joins at 2/15; 0.3 and 0.4 are further from it.
  REQUIRE(t.fixations.size() == 2);
  CHECK(t.fixations[0].duration == 600);
  CHECK(std::abs(t.fixations[0].x - 2.0 / 15) < 1e-12);
  CHECK(std::abs(t.fixations[1].x - (0.3 * 400 + 0.4 * 500) / 900) < 1e-12);
}

TEST_CASE("degrade: durations are made equal or permuted, and the order is changed, while start times stay",
          "[degrade]") {
  const Track original = five_fixations();
  const auto sorted = [](std::vector<double> v) {
    std::sort(v.begin(), v.end());
    return v;
  };
  Track equal = original, permuted = original, shuffled = original, reversed = original;
  degrade(equal, {.durations = "equal"}, 1);
  CHECK(values(equal, &Fixation::duration) == std::vector<double>(5, 300));
  degrade(permuted, {.durations = "permuted"}, 1);
  CHECK(values(permuted, &Fixation::duration) != values(original, &Fixation::duration));
  CHECK(sorted(values(permuted, &Fixation::duration)) == values(original, &Fixation::duration));
  CHECK(values(permuted, &Fixation::x) == values(original, &Fixation::x));
  degrade(shuffled, {.order = "shuffled"}, 1);
  CHECK(values(shuffled, &Fixation::x) != values(original, &Fixation::x));
  CHECK(sorted(values(shuffled, &Fixation::x)) == values(original, &Fixation::x));
  CHECK(values(shuffled, &Fixation::start) == values(original, &Fixation::start));
  for (const Fixation& f : shuffled.fixations) CHECK(f.duration == 100 * std::round(10 * f.x + 1));
  degrade(reversed, {.order = "reversed"}, 1);
  CHECK(values(reversed, &Fixation::duration) == std::vector<double>{500, 400, 300, 200, 100});
  CHECK(values(reversed, &Fixation::start) == values(original, &Fixation::start));
}

TEST_CASE("degrade: noise has its standard deviation and depends on seed and image", "[degrade]") {
  Track t = track_of(20000), again = t, other = t, later = t;
  degrade(t, {.position_noise = 0.05}, 1);
  double squares = 0, product = 0;
  for (const Fixation& f : t.fixations) {
    squares += (f.x - 0.5) * (f.x - 0.5) + (f.y - 0.5) * (f.y - 0.5);
    product += (f.x - 0.5) * (f.y - 0.5);
  }
  CHECK(std::sqrt(squares / 40000) == Approx(0.05).epsilon(0.02));
  CHECK(std::fabs(product / 20000) < 0.05 * 0.05 * 0.05);
  degrade(again, {.position_noise = 0.05}, 1);
  CHECK(again.fixations[7].x == t.fixations[7].x);
  degrade(later, {.position_noise = 0.05}, 2);
  CHECK(later.fixations[7].x != t.fixations[7].x);
  other.image = "b";
  degrade(other, {.position_noise = 0.05}, 1);
  CHECK(other.fixations[7].x != t.fixations[7].x);
}

TEST_CASE("degrade: an offset has its length and is equal for all images, and positions stay in the image",
          "[degrade]") {
  Track a = track_of(2), b = track_of(2), far = track_of(50);
  b.image = "b";
  degrade(a, {.offset = 0.05}, 3);
  degrade(b, {.offset = 0.05}, 3);
  CHECK(std::hypot(a.fixations[0].x - 0.5, a.fixations[0].y - 0.5) == Approx(0.05));
  CHECK(a.fixations[0].x == b.fixations[1].x);
  CHECK(a.fixations[0].y == b.fixations[1].y);
  degrade(far, {.position_noise = 1}, 1);
  CHECK(far.fixations.size() == 50);
  for (const Fixation& f : far.fixations) CHECK((f.x >= 0 && f.x <= 1 && f.y >= 0 && f.y <= 1));
}

TEST_CASE(
    "degrade: drop removes its share of fixations with equal probability, keeps their order, and never removes all",
    "[degrade]") {
  std::vector<int> kept(10, 0);
  for (uint64_t seed = 0; seed < 4000; ++seed) {
    Track t = track_of(10);
    degrade(t, {.drop = 0.3}, seed);
    REQUIRE(t.fixations.size() == 7);
    for (size_t i = 0; i < 7; ++i) {
      if (i > 0) REQUIRE(t.fixations[i - 1].start < t.fixations[i].start);
      ++kept[size_t(t.fixations[i].start)];
    }
  }
  for (const int n : kept) CHECK(std::abs(n - 2800) < 5 * std::sqrt(4000 * 0.7 * 0.3));
  Track t = track_of(10);
  degrade(t, {.drop = 1}, 1);
  CHECK(t.fixations.size() == 1);
}

TEST_CASE("experiment: hours of annotation are those of the images that an arm uses", "[experiment]") {
  const BaseConfig small{GT_SOURCE_DIR "/configs/kvasir_small.yaml", {}};
  const Experiment e = compare_annotation_times(small, 810, {});
  CHECK(names(e) == Words{"gaze_122", "masks_14", "gaze_243", "masks_29", "gaze_486", "masks_57", "gaze_810",
                          "masks_95", "masks_203", "masks_405", "masks_810", "gaze_3s", "gaze_5s", "gaze_10s",
                          "gaze_and_masks_24", "gaze_and_masks_49", "gaze_and_masks_97"});
  CHECK(e.arms[6].hours == Approx(810 * 8.8 / 3600));
  CHECK(e.arms[10].hours == Approx(810 * 74.8 / 3600));
  CHECK(e.arms[14].hours == Approx((786 * 8.8 + 24 * 74.8) / 3600));
  CHECK(e.arms[11].hours == Approx(810 * 3.0 / 3600));
  CHECK(e.arms[13].hours == e.arms[6].hours);  // longer than the looking took
  for (const auto& [gaze, masks] : Pairs(e.pairs.begin(), e.pairs.begin() + 4))
    CHECK(std::fabs(e.arms[gaze].hours - e.arms[masks].hours) <= 74.8 / 2 / 3600);
  CHECK(e.arms[0].config.recipe == "gradtrack");
  CHECK(e.arms[0].config.data.images == 122);
  CHECK(e.arms[1].config.recipe == "full");
  CHECK(e.arms[14].config.data.masks == "24");
  CHECK(e.pairs.back() == std::pair<size_t, size_t>(16, 6));
  CHECK(error_of([&] { compare_annotation_times(small, 99, {}); }).find("at least 100") != std::string::npos);
}
