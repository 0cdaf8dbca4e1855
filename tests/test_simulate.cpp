// The simulator of gaze, and statistics of simulated and real gaze.
#include "gaze/simulate.h"

#include <cmath>
#include <cstdlib>
#include <map>
#include <sstream>

#include "core/parallel.h"
#include "gaze/gaze_statistics.h"
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

TEST_CASE("gaze statistics: those of a track that is known", "[gaze]") {
  // A square of a quarter of the image's sides, centroid (0.625, 0.375), area 1/16.
  Image mask(8, 8, 1);
  for (int64_t row = 2; row < 4; ++row)
    for (int64_t column = 4; column < 6; ++column) *mask.at(row, column) = 255;
  Track track;
  track.image = "a";
  track.fixations = {{0.125, 0.375, 100, 0}, {0.625, 0.375, 100, 200}, {0.625, 0.125, 100, 400}, {0.55, 0.3, 300, 600}};
  const GazeStatistics s = gaze_statistics({track, track}, {mask, Image(8, 8, 1)});  // an empty mask is left out
  CHECK(s.fixations_mean == 4);
  CHECK(s.inside_mean == 0.5);
  CHECK(s.inside_by_quarter == ByQuarter{0, 1, 0, 1});
  CHECK(s.distance_by_quarter[0] == Approx(2));
  CHECK(s.distance_by_quarter[2] == Approx(1));
  CHECK(s.offset_mean_x == Approx((12.5 + 62.5 + 62.5 + 3 * 55) / 600 - 0.625));
  CHECK(s.offset_mean_y == Approx((37.5 + 37.5 + 12.5 + 3 * 30) / 600 - 0.375));
  CHECK(s.duration_mean == 150);
  CHECK(s.duration_median == 100);
  CHECK(s.saccade_median == Approx(std::hypot(0.25, 0)));
  CHECK(s.trial_seconds == Approx(0.9));
  CHECK(std::isnan(s.fixations_by_area[0]));
  CHECK(s.fixations_by_area[4] == 4);
}

TEST_CASE("gaze statistics: they do not depend on the threads", "[gaze]") {
  std::vector<Image> masks;
  std::vector<Track> tracks;
  for (int64_t i = 0; i < 12; ++i) {
    masks.push_back(disc(64, 0.3 + 0.03 * double(i), 0.5, 0.1 + 0.01 * double(i)));
    tracks.push_back(simulate_track(masks.back(), str_cat("m", i), 3));
  }
  const int threads = num_threads();
  const GazeStatistics s = gaze_statistics(tracks, masks);
  set_num_threads(1);
  CHECK(gaze_statistics(tracks, masks) == s);
  set_num_threads(threads);
  CHECK_THROWS_AS(gaze_statistics(tracks, {}), Error);
  CHECK_THROWS_AS(gaze_statistics({tracks[0]}, {Image(8, 8, 1)}), Error);
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

TEST_CASE("simulation: simulated and recorded gaze on 900 images have the same statistics", "[gaze][data]") {
  const std::string root = data_folder();
  if (root.empty()) return;
  const Gaze gaze = read_gaze(root + "/kvasir-seg/gaze.csv");
  CHECK_FALSE(gaze.simulated);
  CHECK(gaze.dropped.outside + gaze.dropped.brief + gaze.dropped.unplaced == 0);
  std::vector<Image> masks;
  std::vector<Track> tracks, simulated;
  for (auto& [name, mask] : training_masks(root)) {
    tracks.push_back(gaze.tracks.at(name));
    simulated.push_back(simulate_track(mask, name, 1));
    masks.push_back(std::move(mask));
  }
  REQUIRE(tracks.size() == 900);
  const GazeStatistics r = gaze_statistics(tracks, masks), s = gaze_statistics(simulated, masks);
  // METHOD 1.
  CHECK(r.fixations_min == 5);
  CHECK(r.fixations_mean == Approx(26.99).margin(0.005));
  CHECK(r.fixations_max == 99);
  CHECK(r.inside_mean == Approx(0.851).margin(0.0006));
  CHECK(r.inside_median == Approx(0.900).margin(0.0006));
  CHECK(r.offset_sd_x == Approx(0.028).margin(0.0006));
  CHECK(r.offset_sd_y == Approx(0.037).margin(0.0006));
  CHECK(r.offset_length == Approx(0.040).margin(0.0006));
  CHECK(r.duration_mean == Approx(335).margin(0.5));
  CHECK(r.duration_median == Approx(304).margin(0.5));
  CHECK(r.duration_sd == Approx(162).margin(0.5));
  CHECK(r.saccade_mean == Approx(0.133).margin(0.0005));
  CHECK(r.saccade_median == Approx(0.117).margin(0.0005));
  CHECK(r.trial_seconds == Approx(10.1).margin(0.05));
  CHECK(r.heat_dice_50 == Approx(0.747).margin(0.001));
  const auto near = [](const auto& a, const auto& b, double tolerance) {
    for (size_t k = 0; k < a.size(); ++k) CHECK(a[k] == Approx(b[k]).margin(tolerance));
  };
  near(r.inside_by_quarter, ByQuarter{0.805, 0.870, 0.872, 0.863}, 0.0006);
  near(r.distance_by_quarter, ByQuarter{0.514, 0.450, 0.433, 0.430}, 0.0006);

  CHECK((s.fixations_min >= 5 && s.fixations_max <= 99));
  CHECK(s.fixations_mean == Approx(r.fixations_mean).epsilon(0.03));
  near(s.fixations_by_area, r.fixations_by_area, 1.5);
  CHECK(s.inside_mean == Approx(r.inside_mean).margin(0.015));
  CHECK(s.inside_median == Approx(r.inside_median).margin(0.015));
  near(s.inside_by_quarter, r.inside_by_quarter, 0.025);
  near(s.distance_by_quarter, r.distance_by_quarter, 0.03);
  CHECK(s.offset_mean_x == Approx(r.offset_mean_x).margin(0.003));
  CHECK(s.offset_mean_y == Approx(r.offset_mean_y).margin(0.003));
  CHECK(s.offset_sd_x == Approx(r.offset_sd_x).margin(0.003));
  CHECK(s.offset_sd_y == Approx(r.offset_sd_y).margin(0.003));
  CHECK(s.offset_length == Approx(r.offset_length).margin(0.003));
  CHECK(s.duration_mean == Approx(r.duration_mean).epsilon(0.03));
  CHECK(s.duration_median == Approx(r.duration_median).epsilon(0.03));
  CHECK(s.duration_sd == Approx(r.duration_sd).epsilon(0.05));
  CHECK(s.saccade_mean == Approx(r.saccade_mean).epsilon(0.05));
  CHECK(s.saccade_median == Approx(r.saccade_median).epsilon(0.05));
  CHECK(s.trial_seconds == Approx(r.trial_seconds).epsilon(0.03));
  CHECK(s.heat_dice_50 == Approx(r.heat_dice_50).margin(0.02));
  CHECK(s.heat_dice_30 == Approx(r.heat_dice_30).margin(0.01));
  CHECK(s.track_dice_50 == Approx(r.track_dice_50).margin(0.01));
  CHECK(s.track_dice_60 == Approx(r.track_dice_60).margin(0.01));
  CHECK(s.track_dice_70 == Approx(r.track_dice_70).margin(0.015));
  near(s.track_dice_60_by_area, r.track_dice_60_by_area, 0.025);
}
