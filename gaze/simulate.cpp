#include "gaze/simulate.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/random.h"
#include "gaze/gaze_statistics.h"

namespace gt {

namespace {

// ---- Constants ------------------------------------------------------------------------------------------------------
// Lengths are in image sides, times in ms. They are fitted to the recorded gaze on the 900 images of Kvasir-SEG's
// official training part (METHOD 1), by the statistics of gaze/gaze_statistics.h.

constexpr double usual_area = 0.114;   // share of the image that the median polyp covers
constexpr double usual_count = 25.5;   // fixations on it
constexpr double count_power = 0.325;  // exponent of the area in the count
constexpr double count_spread = 0.25;  // sd of the count's logarithm
constexpr int64_t min_count = 5, max_count = 99;
constexpr double start_x = 0.563;  // mean of fixation 1, which is a little off the image's centre
constexpr double start_y = 0.452;
constexpr double start_spread = 0.05;   // sd of fixation 1
constexpr double rounds = 3.1;          // about the target in a track: positions correlate with those of a round before
constexpr double rounds_spread = 0.15;  // sd of the rounds' logarithm
constexpr double sector = 0.15;         // share of the target, about the current direction, where the gaze lands
constexpr double mean_offset_x = 0.008;  // of the gaze from the target: mean over images
constexpr double mean_offset_y = 0.003;
constexpr double offset_x = 0.020;  // and sd over images; uneven rounds add to it
constexpr double offset_y = 0.030;
constexpr double noise = 0.010;         // sd of a fixation's error
constexpr double glance_share = 0.040;  // mean share of glances next to the target; few trials have many of them
constexpr double glance_noise = 0.13;   // sd of a glance's error
constexpr double duration_median = 304;
constexpr double duration_spread = 0.437;  // sd of a duration's logarithm within a track
constexpr double pace_spread = 0.117;      // sd of the mean logarithm over tracks
constexpr double min_duration = 50;        // shorter fixations are not in recorded data
constexpr double onset = 8;                // of fixation 1
constexpr double gap_base = 26;            // time between fixations, with the mean of blinks
constexpr double gap_per_side = 106;       // and this per side of the saccade's length

// ---- The path of the gaze -------------------------------------------------------------------------------------------

struct Point {
  double x = 0, y = 0;
};

/// The centres of the foreground's pixels, sorted by their direction from its centroid. Constant speed through the list
/// spends time on each part of the target in proportion to its area.
std::vector<Point> clockwise(const Image& mask, const Foreground& target) {
  std::vector<std::pair<double, Point>> by_direction;
  for (int64_t row = 0; row < mask.height; ++row)
    for (int64_t column = 0; column < mask.width; ++column) {
      if (!is_foreground(*mask.at(row, column))) continue;
      const Point p = {(double(column) + 0.5) / double(mask.width), (double(row) + 0.5) / double(mask.height)};
      by_direction.push_back({std::atan2(p.y - target.y, p.x - target.x), p});
    }
  std::stable_sort(by_direction.begin(), by_direction.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Point> places;
  for (const auto& [direction, p] : by_direction) places.push_back(p);
  return places;
}

/// A place of the target in the sector about the share `turn` of the way round. It is the mean of two random pixels,
/// so places at the centroid and at the outline are rare.
Point place_at(const std::vector<Point>& round, double turn, Random& random) {
  Point place;
  for (int64_t k = 0; k < 2; ++k) {
    const double at = turn + sector * random.uniform(-0.5, 0.5);
    const Point& p = round[std::min(size_t((at - std::floor(at)) * double(round.size())), round.size() - 1)];
    place.x += p.x / 2;
    place.y += p.y / 2;
  }
  return place;
}

/// The places that the gaze visits, without errors: the start of the search, then rounds about the target. Each round
/// has a random sense.
std::vector<Point> visit(const std::vector<Point>& round, int64_t count, Random& random) {
  std::vector<Point> places = {{start_x + start_spread * random.normal(), start_y + start_spread * random.normal()}};
  const double step = rounds * std::exp(rounds_spread * random.normal()) / double(count - 1);
  double turn = random.uniform(), done = 1, sense = 1;  // done: share of the current round
  for (; int64_t(places.size()) < count; done += step, turn += sense * step) {
    if (done >= 1) {
      done -= 1;
      sense = random.chance(0.5) ? 1 : -1;
    }
    places.push_back(place_at(round, turn, random));
  }
  return places;
}

/// The number of fixations on a target of this area (share of the image).
int64_t fixation_count(double area, Random& random) {
  const double typical = usual_count * std::pow(area / usual_area, count_power);
  const int64_t count = std::llround(typical * std::exp(count_spread * random.normal()));
  return std::clamp(count, min_count, max_count);
}

}  // namespace

Track simulate_track(const Image& mask, const std::string& name, uint64_t seed) {
  const Foreground target = foreground_of(mask);
  if (target.area == 0) fail("image ", name, ": cannot simulate gaze, its mask is empty");
  Random random(seed, hash64(name));
  const std::vector<Point> places = visit(clockwise(mask, target), fixation_count(target.area, random), random);
  const Point offset = {mean_offset_x + offset_x * random.normal(), mean_offset_y + offset_y * random.normal()};
  const double glances = glance_share * random.gamma(1);
  const double median = duration_median * std::exp(pace_spread * random.normal());

  Track track;
  track.image = name;
  track.image_height = mask.height;
  track.image_width = mask.width;
  double clock = onset;
  for (size_t i = 0; i < places.size(); ++i) {
    const Point calibration = i == 0 ? Point{} : offset;  // the start is fitted as recorded
    const double error = random.chance(glances) ? glance_noise : noise;
    Fixation f;
    f.x = std::clamp(places[i].x + calibration.x + error * random.normal(), 0.0, 1.0);
    f.y = std::clamp(places[i].y + calibration.y + error * random.normal(), 0.0, 1.0);
    f.duration = std::max(min_duration, std::round(median * std::exp(duration_spread * random.normal())));
    if (i > 0) {
      const Fixation& before = track.fixations.back();
      clock += before.duration + std::round(gap_base + gap_per_side * std::hypot(f.x - before.x, f.y - before.y));
    }
    f.start = clock;
    track.fixations.push_back(f);
  }
  return track;
}

}  // namespace gt
