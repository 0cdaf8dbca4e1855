// Degradation of gaze, for measuring how much a method depends on its quality. It imitates a worse eye tracker and a
// worse calibration.
#pragma once

#include <cstdint>

#include "core/config.h"
#include "gaze/fixation.h"

namespace gt {

/// The defaults change nothing.
struct DegradeOptions {
  double position_noise = 0;  // standard deviation of a fixation's error in x and in y, image sides
  double offset = 0;          // length of a calibration error common to all images, image sides
  double drop = 0;            // share of each track's fixations that are dropped

  template <class V>
  void visit(V& v) {
    v("position_noise", position_noise, Range{0, 1},
      Help{"standard deviation of each fixation's error in x and y", "image sides"});
    v("offset", offset, Range{0, 1}, Help{"length of one calibration error for all images", "image sides"});
    v("drop", drop, Range{0, 1}, Help{"share of each track's fixations that are lost"});
  }
};

/// Degrades a track in three steps. It drops a random share of the fixations, but keeps at least one. It moves all by
/// the offset, whose direction is drawn once per seed, as one calibration serves a session. It adds Gaussian noise to
/// each. Positions are clamped to the image, so noise never removes a fixation. Random numbers are keyed by seed and
/// image name, so they do not depend on the recipe or on the other images.
void degrade(Track& track, const DegradeOptions& options, uint64_t seed);

}  // namespace gt
