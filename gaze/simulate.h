// Simulated gaze (METHOD 7): tracks made from masks by the annotators' two-stage protocol, for demo, tests and studies.
// Every result of it must be labelled as simulated.
#pragma once

#include <cstdint>
#include <string>

#include "gaze/fixation.h"
#include "gaze/image.h"

namespace gt {

/// Simulates a track over an image's mask (H,W,1), foreground above 127. The random stream is keyed by seed and image
/// name. Throws Error if the mask is empty.
Track simulate_track(const Image& mask, const std::string& name, uint64_t seed);

}  // namespace gt
