// Simulated gaze (METHOD 7): tracks made from masks by the annotators' two-stage protocol, for demo, tests and studies.
// Every result of it must be labelled as simulated.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gaze/fixation.h"
#include "gaze/image.h"

namespace gt {

/// Simulates a track over an image's mask (H,W,1), foreground above 127. The random stream is keyed by seed and image
/// name. Throws Error if the mask is empty.
Track simulate_track(const Image& mask, const std::string& name, uint64_t seed);

/// Statistics of tracks over their masks.
struct GazeStatistics {
  double fixations_min = 0, fixations_mean = 0, fixations_max = 0;  // per image
  double inside_mean = 0, inside_median = 0;                        // share of an image's fixations inside the mask
  double offset_sd_x = 0, offset_sd_y = 0;                          // sd of gaze centroid minus mask centroid, sides
  double offset_length = 0;                                         // mean length of that difference, image sides
  double duration_mean = 0, duration_median = 0, duration_sd = 0;   // of a fixation, ms
  double saccade_mean = 0;                                          // mean length, image sides
  double trial_seconds = 0;                                         // mean duration of a track
  double heat_dice_50 = 0, heat_dice_30 = 0;                        // Dice of the heat map at thresholds 0.5 and 0.3
  double track_dice_50 = 0, track_dice_60 = 0, track_dice_70 = 0;   // Dice of the full track's map
};

/// Computes the statistics of tracks and their images' masks (H,W,1). Throws Error for empty lists or tracks and for
/// lists of different length.
GazeStatistics gaze_statistics(const std::vector<Track>& tracks, const std::vector<Image>& masks);

/// A table of the statistics with those of real gaze (METHOD 1), titled as simulated.
std::string statistics_table(const GazeStatistics& s);

}  // namespace gt
