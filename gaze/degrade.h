// Degradation of gaze, for measuring how much a method depends on its quality and on what is in a track. It imitates a
// worse eye tracker, a worse calibration and a shorter look, and takes order and durations away.
#pragma once

#include <cstdint>
#include <string>

#include "core/config.h"
#include "gaze/fixation.h"

namespace gt {

/// The defaults change nothing.
struct DegradeOptions {
  double position_noise = 0;       // standard deviation of a fixation's error in x and in y, image sides
  double offset = 0;               // length of a calibration error common to all images, image sides
  double drop = 0;                 // share of each track's fixations that are dropped
  double seconds = 0;              // only fixations that begin in the first seconds after the image appeared; 0 for all
  double skip = 0;                 // share of each track's summed durations that is cut off at its beginning
  double merge = 0;                // a fixation nearer than this to the one before is merged with it, image sides
  std::string order = "recorded";  // of the positions
  std::string durations = "recorded";  // of the fixations

  template <class V>
  void visit(V& v) {
    v("position_noise", position_noise, Range{0, 1},
      Help{"standard deviation of each fixation's error in x and y", "image sides"});
    v("offset", offset, Range{0, 1}, Help{"length of one calibration error for all images", "image sides"});
    v("drop", drop, Range{0, 1}, Help{"share of each track's fixations that are lost"});
    v("seconds", seconds, Range{0, 3600}, Help{"only fixations that begin in the first seconds; 0 for all", "s"});
    v("skip", skip, Range{0, 1}, Help{"share of each track's time that is cut off at its beginning"});
    v("merge", merge, Range{0, 2}, Help{"fixations this near to the one before are merged with it", "image sides"});
    v("order", order, OneOf{"recorded", "shuffled", "reversed"}, Help{"of a track's fixations"});
    v("durations", durations, OneOf{"recorded", "equal", "permuted"},
      Help{"equal: their mean; permuted among the fixations"});
  }
};

/// Degrades a track, of which at least one fixation stays. It keeps the first seconds, cuts the beginning off, drops a
/// random share and merges neighbours at their mean position, weighted by duration. It then changes durations and
/// order; start times keep theirs. It moves all by the offset, whose direction is drawn once per seed, as one
/// calibration serves a session, and adds Gaussian noise to each. Positions are clamped to the image, so noise never
/// removes a fixation. Random numbers are keyed by seed and image name, so they do not depend on the recipe or the
/// other images.
void degrade(Track& track, const DegradeOptions& options, uint64_t seed);

}  // namespace gt
