// Statistics of gaze tracks over their images' masks (METHOD 1). They judge simulated gaze by recorded gaze.
#pragma once

#include <array>
#include <vector>

#include "gaze/fixation.h"
#include "gaze/image.h"

namespace gt {

/// Whether a mask (H,W,1) is foreground at a position in image sides. False outside the image.
bool contains(const Image& mask, double x, double y);

/// The foreground of a mask.
struct Foreground {
  double x = 0, y = 0;  // its centroid, image sides
  double area = 0;      // share of the image; without any, the centroid is (0, 0)
};

/// The foreground of a mask (H,W,1).
Foreground foreground_of(const Image& mask);

/// One value for each fifth of the images in the order of their masks' areas, smallest first. NaN for a fifth without
/// an image.
using ByArea = std::array<double, 5>;

/// One value for each quarter of a track, by the number of fixations. NaN if every track has fewer than four.
using ByQuarter = std::array<double, 4>;

/// Means over images, where nothing else is said.
struct GazeStatistics {
  double fixations_min = 0, fixations_mean = 0, fixations_max = 0;  // per image
  ByArea fixations_by_area{};
  double inside_mean = 0, inside_median = 0;  // share of an image's fixations inside the mask
  ByQuarter inside_by_quarter{};
  double distance_mean = 0;  // of fixations from the mask's centroid, in square roots of the mask's area
  ByQuarter distance_by_quarter{};
  double offset_mean_x = 0, offset_mean_y = 0;                     // centroid of the gaze, weighted by duration, minus
  double offset_sd_x = 0, offset_sd_y = 0;                         // the mask's: mean and sd over images, image sides
  double offset_length = 0;                                        // mean length of that difference
  double duration_mean = 0, duration_median = 0, duration_sd = 0;  // over all fixations, ms
  double saccade_mean = 0, saccade_median = 0;                     // length, over all saccades, image sides
  double trial_seconds = 0;                                        // from the image's appearance to the last fixation
  double heat_dice_50 = 0, heat_dice_30 = 0;                       // Dice of the heat map at thresholds 0.5 and 0.3
  double track_dice_50 = 0, track_dice_60 = 0, track_dice_70 = 0;  // Dice of the full track's map, default options
  ByArea track_dice_60_by_area{};

  bool operator==(const GazeStatistics&) const = default;
};

/// Computes the statistics of tracks and their images' masks (H,W,1). Images with an empty mask are left out. Throws
/// Error for empty lists and tracks, for lists of different length, and if all masks are empty.
GazeStatistics gaze_statistics(const std::vector<Track>& tracks, const std::vector<Image>& masks);

}  // namespace gt
