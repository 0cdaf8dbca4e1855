// Registration: a track is moved as a whole, and perhaps widened, until its map agrees with what a network sees in the
// image. Recorded gaze is off by one shift per image, mostly (METHOD 1). A network that was trained on many images
// averages these shifts, so its predictions show them.
#pragma once

#include "gaze/maps.h"

namespace gt {

struct RegistrationOptions {
  bool widen = false;          // learn the width too
  double shift_prior = 0.03;   // standard deviation of a shift in x and in y, image sides
  double width_prior = 0.2;    // standard deviation of the logarithm of the width
  double prior_weight = 0.02;  // of the prior, against an overlap between 0 and 1
  int64_t steps = 60;          // at most
};

/// How a track is moved: each fixation p becomes centre + width (p - centre) + (dx, dy), with the track's centre, the
/// mean of its fixations weighted by duration, of at least 1 ms.
struct Registration {
  double dx = 0, dy = 0, width = 1;        // the shift in image sides
  double overlap_before = 0, overlap = 0;  // soft Dice of map and prediction
};

/// The track so moved. Positions are clamped to the image.
Track registered_track(const Track& track, const Registration& registration);

/// Finds the registration that maximises this objective:
///   2 sum M p / (sum M^2 + sum p^2) - prior_weight ((dx^2 + dy^2) / shift_prior^2 + ln(width)^2 / width_prior^2) / 2
/// M is the full track's map (METHOD 3.4). p is `prediction` (h,w), the probability of foreground. The search is
/// gradient ascent through the map. The step is halved where the objective does not rise. Throws Error for an empty
/// track.
Registration register_track(const Track& track, const Tensor& prediction, const MapOptions& maps,
                            const RegistrationOptions& options);

}  // namespace gt
