#include "gaze/gaze_statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "core/check.h"
#include "core/parallel.h"
#include "gaze/maps.h"
#include "gaze/metrics.h"

namespace gt {

bool contains(const Image& mask, double x, double y) {
  if (!(x >= 0 && x <= 1 && y >= 0 && y <= 1)) return false;
  const int64_t row = std::min(mask.height - 1, int64_t(y * double(mask.height)));
  const int64_t column = std::min(mask.width - 1, int64_t(x * double(mask.width)));
  return is_foreground(*mask.at(row, column));
}

Foreground foreground_of(const Image& mask) {
  GT_CHECK(mask.channels == 1, "expected a mask of 1 channel, got ", mask.channels);
  int64_t count = 0;
  Foreground f;
  for (int64_t row = 0; row < mask.height; ++row)
    for (int64_t column = 0; column < mask.width; ++column)
      if (is_foreground(*mask.at(row, column))) {
        ++count;
        f.x += (double(column) + 0.5) / double(mask.width);
        f.y += (double(row) + 0.5) / double(mask.height);
      }
  if (count == 0) return f;
  return {f.x / double(count), f.y / double(count), double(count) / double(mask.height * mask.width)};
}

namespace {

constexpr double none = std::numeric_limits<double>::quiet_NaN();

/// The mean of the values that are not NaN; NaN if there are none.
double mean(std::vector<double> values) {
  std::erase_if(values, [](double v) { return std::isnan(v); });
  return values.empty() ? none : mean_std(values).mean;
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
  double area, count, inside, distance, offset_x, offset_y, seconds;
  ByQuarter inside_by_quarter, distance_by_quarter;
  double heat_50, heat_30, track_50, track_60, track_70;
};

/// The means over each quarter of the fixations' values; NaN for a quarter without fixations.
ByQuarter means_by_quarter(const std::vector<double>& values) {
  ByQuarter sums{}, counts{};
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t quarter = i * sums.size() / values.size();
    sums[quarter] += values[i];
    counts[quarter] += 1;
  }
  for (size_t q = 0; q < sums.size(); ++q) sums[q] /= counts[q];  // 0 / 0 is NaN
  return sums;
}

void compare_positions(const Track& track, const Image& mask, Figures& f) {
  const Foreground target = foreground_of(mask);
  std::vector<double> inside, distance;
  double x = 0, y = 0, duration = 0;
  for (const Fixation& fixation : track.fixations) {
    inside.push_back(contains(mask, fixation.x, fixation.y));
    distance.push_back(std::hypot(fixation.x - target.x, fixation.y - target.y) / std::sqrt(target.area));
    x += fixation.duration * fixation.x;
    y += fixation.duration * fixation.y;
    duration += fixation.duration;
  }
  f.area = target.area;
  f.inside = mean(inside);
  f.distance = mean(distance);
  f.inside_by_quarter = means_by_quarter(inside);
  f.distance_by_quarter = means_by_quarter(distance);
  f.offset_x = x / duration - target.x;
  f.offset_y = y / duration - target.y;
}

void compare_maps(const Track& track, const Image& mask, Figures& f) {
  const Tensor heat = heat_map(track, mask.height, mask.width);
  f.heat_50 = dice_above(heat, 0.5, mask);
  f.heat_30 = dice_above(heat, 0.3, mask);
  const MapOptions options;
  const MapSize unused{1, 1};  // of the truncated levels' maps
  const Tensor map =
      track_maps(pack_tracks({&track}, options), options, {unused, unused, unused, unused, {mask.height, mask.width}})
          .back();
  f.track_50 = dice_above(map, 0.5, mask);
  f.track_60 = dice_above(map, 0.6, mask);
  f.track_70 = dice_above(map, 0.7, mask);
}

Figures figures_of(const Track& track, const Image& mask) {
  Figures f{};
  f.count = double(track.fixations.size());
  f.seconds = (track.fixations.back().start + track.fixations.back().duration) / 1000;
  compare_positions(track, mask, f);
  compare_maps(track, mask, f);
  return f;
}

/// The figures of all images.
class Table {
 public:
  explicit Table(const std::vector<std::pair<const Track*, const Image*>>& images) : figures_(images.size()) {
    parallel_for(int64_t(images.size()), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        figures_[size_t(i)] = figures_of(*images[size_t(i)].first, *images[size_t(i)].second);
    });
    std::stable_sort(figures_.begin(), figures_.end(),
                     [](const Figures& a, const Figures& b) { return a.area < b.area; });
  }

  /// value(figures of an image) of all images.
  std::vector<double> all(auto value) const {
    std::vector<double> values;
    for (const Figures& f : figures_) values.push_back(value(f));
    return values;
  }

  ByArea means_by_area(auto value) const {
    const std::vector<double> values = all(value);
    ByArea means;
    const size_t n = values.size(), fifths = means.size();
    for (size_t k = 0; k < fifths; ++k)
      means[k] = mean({values.begin() + ptrdiff_t(k * n / fifths), values.begin() + ptrdiff_t((k + 1) * n / fifths)});
    return means;
  }

  ByQuarter means_by_quarter(ByQuarter Figures::*member) const {
    ByQuarter means;
    for (size_t q = 0; q < means.size(); ++q) means[q] = mean(all([&](const Figures& f) { return (f.*member)[q]; }));
    return means;
  }

 private:
  std::vector<Figures> figures_;  // smallest mask first
};

}  // namespace

GazeStatistics gaze_statistics(const std::vector<Track>& tracks, const std::vector<Image>& masks) {
  GT_CHECK(tracks.size() == masks.size() && !tracks.empty(), "gaze_statistics: ", tracks.size(), " tracks, ",
           masks.size(), " masks");
  std::vector<std::pair<const Track*, const Image*>> images;
  for (size_t i = 0; i < tracks.size(); ++i) {
    GT_CHECK(!tracks[i].fixations.empty(), "gaze_statistics: the track of ", tracks[i].image, " has no fixations");
    if (std::any_of(masks[i].pixels.begin(), masks[i].pixels.end(), is_foreground))
      images.push_back({&tracks[i], &masks[i]});
  }
  GT_CHECK(!images.empty(), "gaze_statistics: all masks are empty");
  const Table table(images);
  std::vector<double> durations, saccades;
  for (const auto& [track, mask] : images)
    for (size_t i = 0; i < track->fixations.size(); ++i) {
      const Fixation& f = track->fixations[i];
      durations.push_back(f.duration);
      if (i > 0) saccades.push_back(std::hypot(f.x - track->fixations[i - 1].x, f.y - track->fixations[i - 1].y));
    }
  const auto count = [](const Figures& f) { return f.count; };
  const std::vector<double> counts = table.all(count), inside = table.all([](const Figures&f) { return f.inside; });
  const MeanStd offset_x = mean_std(table.all([](const Figures& f) { return f.offset_x; }));
  const MeanStd offset_y = mean_std(table.all([](const Figures& f) { return f.offset_y; }));
  const MeanStd duration = mean_std(durations);

  GazeStatistics s;
  s.fixations_min = *std::min_element(counts.begin(), counts.end());
  s.fixations_mean = mean(counts);
  s.fixations_max = *std::max_element(counts.begin(), counts.end());
  s.fixations_by_area = table.means_by_area(count);
  s.inside_mean = mean(inside);
  s.inside_median = percentile(inside, 50);
  s.inside_by_quarter = table.means_by_quarter(&Figures::inside_by_quarter);
  s.distance_mean = mean(table.all([](const Figures& f) { return f.distance; }));
  s.distance_by_quarter = table.means_by_quarter(&Figures::distance_by_quarter);
  s.offset_mean_x = offset_x.mean;
  s.offset_mean_y = offset_y.mean;
  s.offset_sd_x = offset_x.std;
  s.offset_sd_y = offset_y.std;
  s.offset_length = mean(table.all([](const Figures& f) { return std::hypot(f.offset_x, f.offset_y); }));
  s.duration_mean = duration.mean;
  s.duration_median = percentile(durations, 50);
  s.duration_sd = duration.std;
  s.saccade_mean = mean(saccades);
  s.saccade_median = saccades.empty() ? none : percentile(saccades, 50);
  s.trial_seconds = mean(table.all([](const Figures& f) { return f.seconds; }));
  s.heat_dice_50 = mean(table.all([](const Figures& f) { return f.heat_50; }));
  s.heat_dice_30 = mean(table.all([](const Figures& f) { return f.heat_30; }));
  s.track_dice_50 = mean(table.all([](const Figures& f) { return f.track_50; }));
  s.track_dice_60 = mean(table.all([](const Figures& f) { return f.track_60; }));
  s.track_dice_70 = mean(table.all([](const Figures& f) { return f.track_70; }));
  s.track_dice_60_by_area = table.means_by_area([](const Figures& f) { return f.track_60; });
  return s;
}

}  // namespace gt
