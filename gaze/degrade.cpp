#include "gaze/degrade.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

#include "core/random.h"

namespace gt {
namespace {

/// Keeps a random subset of `keep` fixations in their order (selection sampling: Knuth, "The art of computer
/// programming", vol. 2, 3.4.2, algorithm S).
void keep_subset(std::vector<Fixation>& fixations, int64_t keep, Random random) {
  int64_t left = int64_t(fixations.size());
  std::erase_if(fixations, [&](const Fixation&) {
    const bool kept = random.uniform() * double(left--) < double(keep);
    keep -= kept;
    return !kept;
  });
}

/// Removes fixations that begin after the first seconds, but not the first one.
void keep_seconds(std::vector<Fixation>& fixations, double seconds) {
  const auto late = [=](const Fixation& f) { return f.start >= 1000 * seconds; };
  const auto end = std::find_if(fixations.begin() + 1, fixations.end(), late);
  fixations.erase(end, fixations.end());
}

/// Removes the first fixations, those that end within the first `share` of the summed durations, but not the last one.
void skip_beginning(std::vector<Fixation>& fixations, double share) {
  double total = 0, before = 0;
  for (const Fixation& f : fixations) total += f.duration;
  auto first = fixations.begin();
  for (; first + 1 != fixations.end(); ++first)
    if ((before += first->duration) > share * total) break;
  fixations.erase(fixations.begin(), first);
}

/// Merges each fixation that is nearer than `distance` to the merged one before it.
void merge_neighbours(std::vector<Fixation>& fixations, double distance) {
  std::vector<Fixation> merged;
  for (const Fixation& f : fixations) {
    if (merged.empty() || std::hypot(f.x - merged.back().x, f.y - merged.back().y) >= distance) {
      merged.push_back(f);
      continue;
    }
    Fixation& last = merged.back();
    const double total = last.duration + f.duration, share = total > 0 ? f.duration / total : 0.5;
    last.x += share * (f.x - last.x);
    last.y += share * (f.y - last.y);
    last.duration = total;
  }
  fixations = std::move(merged);
}

/// A random permutation (Fisher and Yates).
template <class T>
void shuffle(std::vector<T>& values, Random random) {
  for (int64_t i = int64_t(values.size()) - 1; i > 0; --i)
    std::swap(values[size_t(i)], values[size_t(random.below(i + 1))]);
}

void set_durations(std::vector<Fixation>& fixations, const std::string& which, Random random) {
  std::vector<double> durations;
  for (const Fixation& f : fixations) durations.push_back(f.duration);
  if (which == "permuted") {
    shuffle(durations, random);
  } else {
    const double sum = std::accumulate(durations.begin(), durations.end(), 0.0);
    std::fill(durations.begin(), durations.end(), sum / double(durations.size()));
  }
  for (size_t i = 0; i < fixations.size(); ++i) fixations[i].duration = durations[i];
}

/// Changes which position and duration comes when.
void set_order(std::vector<Fixation>& fixations, const std::string& order, Random random) {
  std::vector<double> starts;
  for (const Fixation& f : fixations) starts.push_back(f.start);
  if (order == "shuffled")
    shuffle(fixations, random);
  else
    std::reverse(fixations.begin(), fixations.end());
  for (size_t i = 0; i < fixations.size(); ++i) fixations[i].start = starts[i];
}

}  // namespace

void degrade(Track& track, const DegradeOptions& options, uint64_t seed) {
  if (track.fixations.empty()) return;
  const uint64_t image = hash64(track.image);
  const auto random_of = [=](const char* what) { return Random(seed ^ hash64(what), image); };
  if (options.seconds > 0) keep_seconds(track.fixations, options.seconds);
  if (options.skip > 0) skip_beginning(track.fixations, options.skip);
  const int64_t count = int64_t(track.fixations.size());
  const int64_t keep = std::max<int64_t>(1, count - std::llround(options.drop * double(count)));
  if (keep < count) keep_subset(track.fixations, keep, random_of("lost fixations"));
  if (options.merge > 0) merge_neighbours(track.fixations, options.merge);
  if (options.durations != "recorded") set_durations(track.fixations, options.durations, random_of("durations"));
  if (options.order != "recorded") set_order(track.fixations, options.order, random_of("order"));
  if (options.offset == 0 && options.position_noise == 0) return;

  const double direction = Random(seed ^ hash64("calibration offset")).uniform(0, 2 * std::numbers::pi);
  const double dx = options.offset * std::cos(direction), dy = options.offset * std::sin(direction);
  Random random = random_of("position noise");
  for (Fixation& f : track.fixations) {
    f.x = std::clamp(f.x + dx + options.position_noise * random.normal(), 0.0, 1.0);
    f.y = std::clamp(f.y + dy + options.position_noise * random.normal(), 0.0, 1.0);
  }
}

}  // namespace gt
