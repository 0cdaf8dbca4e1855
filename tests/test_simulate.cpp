// The simulator of gaze, and statistics of simulated and real gaze.
#include "gaze/simulate.h"

#include <cmath>
#include <cstdlib>
#include <map>
#include <sstream>

#include "core/parallel.h"
#include "gaze/readers.h"
#include "tests/catch.h"
#include "tests/gaze_files.h"
#include "tests/temp_folder.h"

using namespace gt;

namespace {

Image disc(int64_t size, double x, double y, double radius) {
  Image mask(size, size, 1);
  for (int64_t row = 0; row < size; ++row)
    for (int64_t column = 0; column < size; ++column)
      if (std::hypot((double(column) + 0.5) / double(size) - x, (double(row) + 0.5) / double(size) - y) < radius)
        *mask.at(row, column) = 255;
  return mask;
}

}  // namespace

TEST_CASE("simulation: a track depends on seed, name and mask", "[gaze]") {
  const Image mask = disc(96, 0.6, 0.4, 0.2);
  const Track track = simulate_track(mask, "a", 1);
  CHECK(same_track(track, simulate_track(mask, "a", 1)));
  CHECK_FALSE(same_track(track, simulate_track(mask, "b", 1)));
  CHECK_FALSE(same_track(track, simulate_track(mask, "a", 2)));
  CHECK_THROWS_AS(simulate_track(Image(8, 8, 1), "a", 1), Error);
}

TEST_CASE("simulation: tracks follow the protocol for any mask", "[gaze]") {
  std::vector<Image> masks = {disc(1, 0.5, 0.5, 1), disc(50, 0.02, 0.98, 0.05), disc(64, 0.5, 0.5, 2),
                              disc(31, 0.3, 0.7, 0.25)};
  masks.push_back(disc(64, 0.2, 0.2, 0.1));
  for (size_t i = 0; i < masks.back().pixels.size(); ++i) masks.back().pixels[i] |= disc(64, 0.8, 0.8, 0.15).pixels[i];
  for (const Image& mask : masks)
    for (int64_t seed = 0; seed < 20; ++seed) {
      const Track track = simulate_track(mask, "m", uint64_t(seed));
      CHECK((track.fixations.size() >= 5 && track.fixations.size() <= 99));
      double end = 0;
      for (const Fixation& f : track.fixations) {
        CHECK((f.x >= 0 && f.x <= 1 && f.y >= 0 && f.y <= 1));
        CHECK(f.duration >= 50);
        CHECK(f.start > end);
        end = f.start + f.duration;
      }
      const Fixation& first = track.fixations[0];
      CHECK(std::hypot(first.x - 0.5, first.y - 0.5) < 0.6);
    }
}

TEST_CASE("simulation: statistics do not depend on the threads, and their table says simulated", "[gaze]") {
  std::vector<Image> masks;
  std::vector<Track> tracks;
  for (int64_t i = 0; i < 12; ++i) {
    masks.push_back(disc(64, 0.3 + 0.03 * double(i), 0.5, 0.1 + 0.01 * double(i)));
    tracks.push_back(simulate_track(masks.back(), str_cat("m", i), 3));
  }
  const int threads = num_threads();
  const std::string table = statistics_table(gaze_statistics(tracks, masks));
  set_num_threads(1);
  CHECK(statistics_table(gaze_statistics(tracks, masks)) == table);
  set_num_threads(threads);
  CHECK(table.starts_with("simulated gaze"));
  CHECK_THROWS_AS(gaze_statistics(tracks, {}), Error);
}

// ---- Real data ------------------------------------------------------------------------------------------------------

namespace {

/// The folder of the data for development; "" if the tests that need it are skipped.
std::string data_folder() {
  const char* data = std::getenv("GRADTRACK_DATA");
  if (data == nullptr) WARN("test skipped: GRADTRACK_DATA does not name a folder with real-gaze/ and kvasir-seg/");
  return data == nullptr ? "" : data;
}

/// The masks of Kvasir-SEG's official training part, by name.
std::map<std::string, Image> training_masks(const std::string& root) {
  std::map<std::string, Image> masks;
  for (const char* split : {"train", "val"}) {
    std::istringstream lines(read_file(root + "/kvasir-seg/" + split + ".txt"));
    for (std::string name; lines >> name;)
      masks.emplace(name, read_image(root + "/kvasir-seg/masks/" + name + ".png", 1));
  }
  return masks;
}

}  // namespace

TEST_CASE("simulation: two published sequences have the published statistics", "[gaze][data]") {
  const std::string root = data_folder();
  if (root.empty()) return;
  // Dice of the heat map at 0.3 and 0.5, and the share inside the mask, computed independently.
  const Gaze gaze = read_gaze(root + "/real-gaze/kvasir_samples.csv");
  REQUIRE(gaze.tracks.size() == 2);
  const double dice_30[] = {0.853, 0.691}, dice_50[] = {0.776, 0.793}, inside[] = {0.949, 0.829};
  size_t i = 0;
  for (const auto& [name, track] : gaze.tracks) {
    const GazeStatistics s = gaze_statistics({track}, {read_image(root + "/real-gaze/" + name + "_mask.jpg", 1)});
    CHECK(s.heat_dice_30 == Approx(dice_30[i]).margin(0.0015));
    CHECK(s.heat_dice_50 == Approx(dice_50[i]).margin(0.0015));
    CHECK(s.inside_mean == Approx(inside[i]).margin(0.0006));
    ++i;
  }
}

TEST_CASE("simulation: the real gaze on 900 images has the statistics that the table prints", "[gaze][data]") {
  const std::string root = data_folder();
  if (root.empty()) return;
  const Gaze gaze = read_gaze(root + "/kvasir-seg/gaze.csv");
  CHECK_FALSE(gaze.simulated);
  CHECK(gaze.dropped.outside + gaze.dropped.brief + gaze.dropped.unplaced == 0);
  std::vector<Image> masks;
  std::vector<Track> tracks;
  for (auto& [name, mask] : training_masks(root)) {
    masks.push_back(std::move(mask));
    tracks.push_back(gaze.tracks.at(name));
  }
  REQUIRE(tracks.size() == 900);
  const GazeStatistics s = gaze_statistics(tracks, masks);
  INFO(statistics_table(s));
  CHECK(s.fixations_min == 5);
  CHECK(s.fixations_max == 99);
  CHECK(s.fixations_mean == Approx(26.99).margin(0.005));
  CHECK(s.duration_mean == Approx(335).margin(0.5));
  CHECK(s.duration_median == Approx(304).margin(0.5));
  CHECK(s.duration_sd == Approx(162).margin(0.5));
  CHECK(s.saccade_mean == Approx(0.133).margin(0.0005));
  CHECK(s.trial_seconds == Approx(10.1).margin(0.05));
  CHECK(s.inside_mean == Approx(0.851).margin(0.0006));
  CHECK(s.inside_median == Approx(0.900).margin(0.0006));
  CHECK(s.offset_sd_x == Approx(0.030).margin(0.0006));
  CHECK(s.offset_sd_y == Approx(0.038).margin(0.0006));
  CHECK(s.offset_length == Approx(0.042).margin(0.0006));
  CHECK(s.heat_dice_50 == Approx(0.747).margin(0.001));
}

TEST_CASE("simulation: simulated gaze on 900 images has the statistics that it is set to", "[gaze][data]") {
  const std::string root = data_folder();
  if (root.empty()) return;
  std::vector<Image> masks;
  std::vector<Track> tracks;
  for (auto& [name, mask] : training_masks(root)) {
    tracks.push_back(simulate_track(mask, name, 1));
    masks.push_back(std::move(mask));
  }
  const GazeStatistics s = gaze_statistics(tracks, masks);
  INFO(statistics_table(s));
  CHECK(s.fixations_min >= 5);
  CHECK(s.fixations_max <= 99);
  CHECK(s.inside_mean == Approx(0.85).margin(0.02));
  CHECK(s.inside_median == Approx(0.90).margin(0.02));
  CHECK(s.offset_sd_x == Approx(0.029).margin(0.004));
  CHECK(s.offset_sd_y == Approx(0.036).margin(0.004));
  CHECK(s.offset_length == Approx(0.041).margin(0.004));
  CHECK(s.duration_mean == Approx(302).margin(10));
  CHECK(s.duration_median == Approx(285).margin(10));
  CHECK(s.duration_sd == Approx(114).margin(10));
  CHECK(s.trial_seconds == Approx(8.8).margin(0.5));
  CHECK(s.heat_dice_50 == Approx(0.745).margin(0.02));
  CHECK((s.heat_dice_30 > 0.73 && s.heat_dice_30 < 0.80));
}
