// Gaze made worse on purpose, to see how much a method minds: what a poorer eye tracker or a poorer calibration would
// have recorded.
#pragma once

#include <cstdint>

#include "core/config.h"
#include "gaze/fixation.h"

namespace gt {

/// As it is born it changes nothing.
struct DegradeOptions {
  double position_noise = 0;  // standard deviation of a fixation's error in x and in y, image sides
  double offset = 0;          // length of a calibration error, image sides: the same for all images
  double drop = 0;            // share of each track's fixations that are lost

  template <class V>
  void visit(V& v) {
    v("position_noise", position_noise, Range{0, 1},
      Help{"standard deviation of each fixation's error in x and y", "image sides"});
    v("offset", offset, Range{0, 1}, Help{"length of one calibration error for all images", "image sides"});
    v("drop", drop, Range{0, 1}, Help{"share of each track's fixations that are lost"});
  }
};

/// Degrades a track: loses the share `drop` of its fixations, drawn at random, but never the last one left; moves all
/// by the offset, whose direction is drawn once for a seed, as a calibration holds for a session; moves each by
/// Gaussian noise of its own. What would leave the image stays at its edge, so that noise alone never costs a fixation.
/// Random numbers are keyed by the seed and the image's name: the same for every recipe, whatever else is loaded.
void degrade(Track& track, const DegradeOptions& options, uint64_t seed);

}  // namespace gt
