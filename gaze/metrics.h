// Segmentation metrics of one image, the table of them, and their summaries.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gaze/image.h"

namespace gt {

/// Distances between the boundaries of two masks, in one unit.
struct BoundaryDistances {
  double diagonal = 0;  // of the image
  /// From each boundary pixel of one mask to the nearest boundary pixel of the other; infinite where the other mask is
  /// empty.
  std::vector<double> prediction_to_label, label_to_prediction;
};

/// What metrics are computed from: a predicted and a true mask, their overlap, and the distances between their
/// boundaries. A boundary pixel is a foreground pixel with a background pixel, or the image's border, among its four
/// neighbours. Where the label is ignored_pixel (gaze/mask.h), nothing is counted: neither pixels nor boundaries.
struct MaskPair {
  /// Masks of one size (H,W,1), foreground above 127. Throws Error if the sizes differ.
  MaskPair(const Image& prediction, const Image& label);

  double predicted = 0, labelled = 0, common = 0;  // foreground pixels: of the prediction, of the label, of both
  BoundaryDistances pixels;
  std::optional<BoundaryDistances> mm;  // if the label's spacing is known

  bool one_is_empty() const { return (predicted == 0) != (labelled == 0); }
};

/// One row of the table of metrics. A metric is added by its function and its row in metrics.cpp.
struct Metric {
  const char* key;                         // in eval.json, metrics.jsonl and compare.json
  const char* name;                        // in tables and reports
  const char* unit;                        // "" for a share
  int decimals;                            // of a mean in reports
  bool higher_is_better;                   // else a smaller value is
  bool compared;                           // whether comparisons of recipes show it
  double (*value)(const MaskPair& masks);  // NaN if it cannot be known
  const char* note;                        // a sentence under tables of reports; "" where the name says enough

  /// "HD95, px"
  std::string with_unit() const { return std::string(name) + (*unit != 0 ? ", " : "") + unit; }
};

/// All metrics, in the order of tables and files.
std::span<const Metric> metric_table();

/// The value of every metric for one image.
struct Scores {
  std::vector<double> values;  // in the order of metric_table(); NaN for a metric that cannot be known
  /// The value of the metric with this key. Throws Error if the table has none.
  double at(std::string_view key) const;
};

/// Scores a predicted mask by its label, both (H,W,1), foreground above 127, label ignored at 127. Scores in mm need
/// label.spacing. Throws Error if the sizes differ.
Scores score_masks(const Image& prediction, const Image& label);

/// The value below which `percent` percent of the values lie, interpolated linearly between the two nearest ranks (as
/// numpy.percentile). Throws Error if there are no values.
double percentile(std::vector<double> values, double percent);

struct MeanStd {
  double mean = 0, std = 0;  // std is the sample standard deviation (n - 1); 0 for one value
};
/// Throws Error if there are no values.
MeanStd mean_std(const std::vector<double>& values);

}  // namespace gt
