// Simulated gaze (METHOD 7): tracks made from masks by the annotators' two-stage protocol, for demo, tests and studies.
// What is made with it must be labelled as simulated.
#pragma once

#include <string>
#include <vector>

#include "gaze/fixation.h"
#include "gaze/image.h"

namespace gt {

/// One track over an image's mask (1 channel, foreground above 127). The random stream is keyed by (seed, image name).
/// Throws Error if the mask is empty.
Track simulate_track(const Image& mask, const std::string& name, uint64_t seed);

/// Statistics of tracks over their masks, those that are published for the real Kvasir gaze (data README).
struct GazeStatistics {
  double fixations_min = 0, fixations_mean = 0, fixations_max = 0;
  double inside_mean = 0, inside_median = 0;                       // share of fixations inside the mask, per image
  double offset_sd_x = 0, offset_sd_y = 0;                         // gaze centroid minus mask centroid, image sides
  double offset_length = 0;                                        // its mean length
  double duration_mean = 0, duration_median = 0, duration_sd = 0;  // ms
  double saccade_mean = 0;                                         // image sides
  double trial_seconds = 0;                                        // mean time of a track
  double heat_dice_50 = 0, heat_dice_30 = 0;                       // Dice of the raw heat map at thresholds 0.5 and 0.3
  double track_dice_50 = 0, track_dice_60 = 0,
         track_dice_70 = 0;  // of the full track's map, from which pseudo masks are made
};
GazeStatistics gaze_statistics(const std::vector<Track>& tracks, const std::vector<Image>& masks);

/// A table of the statistics beside the published ones, titled as simulated.
std::string statistics_table(const GazeStatistics& s);

}  // namespace gt
