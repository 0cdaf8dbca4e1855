// Segmentation metrics of one image, and their summaries.
#pragma once

#include <vector>

#include "gaze/image.h"

namespace gt {

struct Scores {
  double dice = 0, iou = 0, precision = 0, recall = 0;  // [0,1], eps 1e-7 as GazeMedSeg
  double hd95 = 0;  // 95th percentile of the distances between the two boundaries, both ways together, pixels; 0 if
                    // both are empty, the image's diagonal if one is
};

/// Prediction against label, both (H,W,1), foreground above 127. Throws Error if the sizes differ.
Scores score(const Image& prediction, const Image& label);

/// With linear interpolation between the two nearest ranks, as numpy.percentile.
double percentile(std::vector<double> values, double percent);

struct MeanStd {
  double mean = 0, std = 0;  // std over images, n - 1
};
MeanStd mean_std(const std::vector<double>& values);

}  // namespace gt
