#include "gaze/simulate.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <numbers>

#include "core/check.h"
#include "core/parallel.h"
#include "core/random.h"
#include "gaze/maps.h"
#include "gaze/metrics.h"

namespace gt {

namespace {

// ---- Constants of the protocol --------------------------------------------------------------------------------------
// Lengths are in image sides, times in ms. Constants marked (sequences) come from the two published Kvasir sequences.
// The others are set so that tracks over the 900 public Kvasir-SEG masks have the published statistics.

constexpr double usual_area = 0.114;  // share of the image that the median polyp covers
constexpr double usual_count = 23.5;  // fixations on it, for trials of 8.8 s
constexpr double count_power = 0.4;   // exponent of the area in the count
constexpr double count_spread = 0.4;  // sd of the count's logarithm: 5 to 99 fixations over the data set
constexpr int64_t min_count = 5, max_count = 99;
constexpr double start_spread = 0.05;  // sd of fixation 1 about the screen's centre (sequences)
constexpr double second_search = 0.4;  // probability that fixation 3, not 2, is the first on the target
constexpr double loops = 2;            // rounds of the sweep about the target (sequences)
constexpr double sector = 0.25;        // share of the target in which the next place is chosen
constexpr int64_t candidates = 5;      // places tried for the next fixation; more make paths more regular
constexpr double step_share = 0.4;     // preferred saccade length over sqrt(area): mean 0.155 (sequences 0.155, 0.118)
constexpr double step_width = 0.5;     // relative deviation from that length which costs 1
constexpr double rim = 0.03;           // preferred distance from the outline; it sets the share inside, 0.85
constexpr double rim_weight = 1.5;     // cost of a place at the outline
constexpr double offset_x = 0.025;     // sd of an image's calibration error in x and y. With the uneven sampling of the
constexpr double offset_y = 0.0315;    // target it gives the centroids' differences, sd 0.029 and 0.036
constexpr double noise = 0.012;        // sd of a fixation's error
constexpr double glance_share = 0.04;  // mean share of fixations around the target; a tail of trials with many of them
constexpr double glance_noise = 0.08;  // puts the mean share inside below the median. sd of their error
constexpr double duration_mean = 302;  // mean and shape of the durations' gamma distribution (sequences)
constexpr double duration_shape = 7;
constexpr double min_duration = 50;   // shorter fixations are dropped from the real data
constexpr double gap_base = 7;        // time between fixations: this,
constexpr double gap_per_side = 138;  // and this per image side of saccade length (sequences)

// ---- The target -----------------------------------------------------------------------------------------------------

struct Point {
  double x = 0, y = 0;
};

double distance(Point a, Point b) { return std::hypot(a.x - b.x, a.y - b.y); }

/// The foreground of a mask.
struct Target {
  std::vector<Point> pixels;  // centres of its pixels
  Point centre;
  double area;  // share of the image
};

Target target_of(const Image& mask) {
  GT_CHECK(mask.channels == 1, "expected a mask of 1 channel, got ", mask.channels);
  Target t;
  for (int64_t y = 0; y < mask.height; ++y)
    for (int64_t x = 0; x < mask.width; ++x)
      if (is_foreground(*mask.at(y, x)))
        t.pixels.push_back({(double(x) + 0.5) / double(mask.width), (double(y) + 0.5) / double(mask.height)});
  for (const Point& p : t.pixels) {
    t.centre.x += p.x / double(t.pixels.size());
    t.centre.y += p.y / double(t.pixels.size());
  }
  t.area = double(t.pixels.size()) / double(mask.height * mask.width);
  return t;
}

/// Whether the mask is foreground at a position.
bool contains(const Image& mask, double x, double y) {
  if (!(x >= 0 && x <= 1 && y >= 0 && y <= 1)) return false;
  const int64_t row = std::min(mask.height - 1, int64_t(y * double(mask.height)));
  const int64_t column = std::min(mask.width - 1, int64_t(x * double(mask.width)));
  return is_foreground(*mask.at(row, column));
}

// ---- The path of the gaze -------------------------------------------------------------------------------------------

/// The share outside the mask of eight points at the distance `rim` from p.
double outside_share(const Image& mask, Point p) {
  constexpr int64_t directions = 8;
  double outside = 0;
  for (int64_t k = 0; k < directions; ++k) {
    const double angle = 2 * std::numbers::pi * double(k) / double(directions);
    outside += !contains(mask, p.x + rim * std::cos(angle), p.y + rim * std::sin(angle));
  }
  return outside / double(directions);
}

/// About `count` places of the target, evenly sampled and sorted by their direction from its centre. A sweep through
/// the list at constant speed spends time on each part of the target in proportion to its area.
std::vector<Point> clockwise(const Target& target, size_t count) {
  std::vector<std::pair<double, Point>> by_direction;
  for (size_t i = 0; i < target.pixels.size(); i += 1 + target.pixels.size() / count) {
    const Point p = target.pixels[i];
    by_direction.push_back({std::atan2(p.y - target.centre.y, p.x - target.centre.x), p});
  }
  std::stable_sort(by_direction.begin(), by_direction.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Point> places;
  for (const auto& [direction, p] : by_direction) places.push_back(p);
  return places;
}

/// The next place of the sweep. It has the lowest cost of random places about the share `turn` of the way round. Places
/// at a natural saccade length from here and inside the outline cost little.
Point next_place(const std::vector<Point>& round, double turn, Point here, double step, const Image& mask,
                 Random& random) {
  Point best;
  double min_cost = std::numeric_limits<double>::infinity();
  for (int64_t k = 0; k < candidates; ++k) {
    const double at = turn + sector * random.uniform(-0.5, 0.5);
    const Point p = round[std::min(size_t((at - std::floor(at)) * double(round.size())), round.size() - 1)];
    const double length = (distance(p, here) / step - 1) / step_width;
    const double cost = length * length + rim_weight * outside_share(mask, p);
    if (cost < min_cost) {
      min_cost = cost;
      best = p;
    }
  }
  return best;
}

/// The places that the gaze visits, without errors: the search for the target, then loops inside it.
std::vector<Point> visit(const Target& target, const Image& mask, int64_t count, Random& random) {
  std::vector<Point> places = {{0.5 + start_spread * random.normal(), 0.5 + start_spread * random.normal()}};
  if (random.chance(second_search) && !contains(mask, places[0].x, places[0].y)) {
    const Point goal = target.centre, start = places[0];
    const double way = random.uniform(0.5, 1);
    places.push_back({start.x + way * (goal.x - start.x) + start_spread * random.normal(),
                      start.y + way * (goal.y - start.y) + start_spread * random.normal()});
  }
  const std::vector<Point> round = clockwise(target, 4096);
  const double first = random.uniform(), sense = random.chance(0.5) ? 1 : -1;
  const int64_t sweep = count - int64_t(places.size());
  for (int64_t i = 0; i < sweep; ++i) {
    const double turn = first + sense * loops * double(i) / double(sweep);
    places.push_back(next_place(round, turn, places.back(), step_share * std::sqrt(target.area), mask, random));
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
  const Target target = target_of(mask);
  if (target.pixels.empty()) fail("image ", name, ": cannot simulate gaze, its mask is empty");
  Random random(seed, hash64(name));
  const std::vector<Point> places = visit(target, mask, fixation_count(target.area, random), random);
  const Point offset = {offset_x * random.normal(), offset_y * random.normal()};
  const double glances = glance_share * random.gamma(1);  // some trials have many

  Track track;
  track.image = name;
  track.image_height = mask.height;
  track.image_width = mask.width;
  double clock = gap_base;
  for (const Point& place : places) {
    const double error = random.chance(glances) ? glance_noise : noise;
    Fixation f;
    f.x = std::clamp(place.x + offset.x + error * random.normal(), 0.0, 1.0);
    f.y = std::clamp(place.y + offset.y + error * random.normal(), 0.0, 1.0);
    f.duration = std::max(min_duration, std::round(duration_mean / duration_shape * random.gamma(duration_shape)));
    if (!track.fixations.empty()) {
      const Fixation& before = track.fixations.back();
      clock += before.duration + std::round(gap_base + gap_per_side * std::hypot(f.x - before.x, f.y - before.y));
    }
    f.start = clock;
    track.fixations.push_back(f);
  }
  return track;
}

// ---- Statistics -----------------------------------------------------------------------------------------------------

namespace {

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return n == 0 ? 0 : (values[(n - 1) / 2] + values[n / 2]) / 2;
}

/// Dice of a map at a threshold.
double dice_above(const Tensor& map, double threshold, const Image& mask) {
  const float* values = map.data<float>();
  double both = 0, either = 0;
  for (int64_t i = 0; i < map.size(); ++i) {
    const bool above = double(values[i]) > threshold, inside = is_foreground(mask.pixels[size_t(i)]);
    both += above && inside;
    either += above + inside;
  }
  return 2 * both / either;
}

/// Statistics of one image.
struct Figures {
  double count, inside, offset_x, offset_y, seconds, dice_50, dice_30;
  double track_50, track_60, track_70;
};

Figures figures_of(const Track& track, const Image& mask) {
  const Target target = target_of(mask);
  const double n = double(track.fixations.size());
  Figures f{};
  f.count = n;
  for (const Fixation& fixation : track.fixations) {
    f.inside += contains(mask, fixation.x, fixation.y) / n;
    f.offset_x += (fixation.x - target.centre.x) / n;
    f.offset_y += (fixation.y - target.centre.y) / n;
  }
  f.seconds = (track.fixations.back().start + track.fixations.back().duration) / 1000;
  const Tensor heat = heat_map(track, mask.height, mask.width);
  f.dice_50 = dice_above(heat, 0.5, mask);
  f.dice_30 = dice_above(heat, 0.3, mask);
  const MapOptions options;
  const MapSize unused{1, 1};  // of the truncated levels' maps
  const Tensor map =
      track_maps(pack_tracks({&track}, options), options, {unused, unused, unused, unused, {mask.height, mask.width}})
          .back();
  f.track_50 = dice_above(map, 0.5, mask);
  f.track_60 = dice_above(map, 0.6, mask);
  f.track_70 = dice_above(map, 0.7, mask);
  return f;
}

}  // namespace

GazeStatistics gaze_statistics(const std::vector<Track>& tracks, const std::vector<Image>& masks) {
  GT_CHECK(tracks.size() == masks.size() && !tracks.empty(), "gaze_statistics: ", tracks.size(), " tracks, ",
           masks.size(), " masks");
  for (const Track& track : tracks)
    GT_CHECK(!track.fixations.empty(), "gaze_statistics: the track of ", track.image, " has no fixations");
  std::vector<Figures> figures(tracks.size());
  parallel_for(int64_t(tracks.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) figures[size_t(i)] = figures_of(tracks[size_t(i)], masks[size_t(i)]);
  });
  const auto all = [&](auto value) {
    std::vector<double> values;
    for (const Figures& f : figures) values.push_back(value(f));
    return values;
  };
  std::vector<double> durations, saccades;
  for (const Track& track : tracks)
    for (size_t i = 0; i < track.fixations.size(); ++i) {
      const Fixation& f = track.fixations[i];
      durations.push_back(f.duration);
      if (i > 0) saccades.push_back(distance({f.x, f.y}, {track.fixations[i - 1].x, track.fixations[i - 1].y}));
    }
  const std::vector<double> counts = all([](const Figures& f) { return f.count; });
  const std::vector<double> inside = all([](const Figures& f) { return f.inside; });
  const MeanStd duration = mean_std(durations);

  GazeStatistics s;
  s.fixations_min = *std::min_element(counts.begin(), counts.end());
  s.fixations_mean = mean_std(counts).mean;
  s.fixations_max = *std::max_element(counts.begin(), counts.end());
  s.inside_mean = mean_std(inside).mean;
  s.inside_median = median(inside);
  s.offset_sd_x = mean_std(all([](const Figures& f) { return f.offset_x; })).std;
  s.offset_sd_y = mean_std(all([](const Figures& f) { return f.offset_y; })).std;
  s.offset_length = mean_std(all([](const Figures& f) { return std::hypot(f.offset_x, f.offset_y); })).mean;
  s.duration_mean = duration.mean;
  s.duration_median = median(durations);
  s.duration_sd = duration.std;
  s.saccade_mean = mean_std(saccades).mean;
  s.trial_seconds = mean_std(all([](const Figures& f) { return f.seconds; })).mean;
  s.heat_dice_50 = mean_std(all([](const Figures& f) { return f.dice_50; })).mean;
  s.heat_dice_30 = mean_std(all([](const Figures& f) { return f.dice_30; })).mean;
  s.track_dice_50 = mean_std(all([](const Figures& f) { return f.track_50; })).mean;
  s.track_dice_60 = mean_std(all([](const Figures& f) { return f.track_60; })).mean;
  s.track_dice_70 = mean_std(all([](const Figures& f) { return f.track_70; })).mean;
  return s;
}

std::string statistics_table(const GazeStatistics& s) {
  std::string table = "simulated gaze                           here   real gaze, 900 images\n";
  const auto row = [&](const char* name, int digits, double value, const char* real) {
    char line[128];
    std::snprintf(line, sizeof line, "%-36s %8.*f   %s\n", name, digits, value, real);
    table += line;
  };
  row("fixations an image, minimum", 0, s.fixations_min, "5");
  row("fixations an image, mean", 1, s.fixations_mean, "27.0");
  row("fixations an image, maximum", 0, s.fixations_max, "99");
  row("share inside the mask, mean", 3, s.inside_mean, "0.851");
  row("share inside the mask, median", 3, s.inside_median, "0.900");
  row("centroid offset x, sd, sides", 3, s.offset_sd_x, "0.030");
  row("centroid offset y, sd, sides", 3, s.offset_sd_y, "0.038");
  row("centroid offset, mean length, sides", 3, s.offset_length, "0.042");
  row("duration, mean, ms", 0, s.duration_mean, "335");
  row("duration, median, ms", 0, s.duration_median, "304");
  row("duration, sd, ms", 0, s.duration_sd, "162");
  row("saccade length, mean, sides", 3, s.saccade_mean, "0.133");
  row("time of a trial, s", 2, s.trial_seconds, "10.1");
  row("heat map > 0.5 against mask, Dice", 3, s.heat_dice_50, "0.747");
  row("heat map > 0.3 against mask, Dice", 3, s.heat_dice_30, "-");
  row("track map > 0.5 against mask, Dice", 3, s.track_dice_50, "-");
  row("track map > 0.6 against mask, Dice", 3, s.track_dice_60, "-");
  row("track map > 0.7 against mask, Dice", 3, s.track_dice_70, "-");
  return table;
}

}  // namespace gt
