#include "gaze/degrade.h"

#include <algorithm>
#include <cmath>
#include <numbers>

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

}  // namespace

void degrade(Track& track, const DegradeOptions& options, uint64_t seed) {
  const uint64_t image = hash64(track.image);
  const int64_t count = int64_t(track.fixations.size());
  const int64_t keep = std::max<int64_t>(1, count - std::llround(options.drop * double(count)));
  if (keep < count) keep_subset(track.fixations, keep, Random(seed ^ hash64("lost fixations"), image));
  if (options.offset == 0 && options.position_noise == 0) return;

  const double direction = Random(seed ^ hash64("calibration offset")).uniform(0, 2 * std::numbers::pi);
  const double dx = options.offset * std::cos(direction), dy = options.offset * std::sin(direction);
  Random random(seed ^ hash64("position noise"), image);
  for (Fixation& f : track.fixations) {
    f.x = std::clamp(f.x + dx + options.position_noise * random.normal(), 0.0, 1.0);
    f.y = std::clamp(f.y + dy + options.position_noise * random.normal(), 0.0, 1.0);
  }
}

}  // namespace gt
