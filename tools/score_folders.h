// Scores of predicted masks in a folder, whatever program wrote them.
#pragma once

#include <string>

#include "gaze/mask.h"

namespace gt {

struct FolderScoring {
  std::string masks, predictions;  // folders
  std::string list;                // file of the names to score; empty: all masks
  LabelOptions labels;             // of masks and predictions
};

/// Scores the prediction of each mask, and writes eval_predictions.json and eval_predictions.csv to the folder
/// `out`, or to that of the predictions if it is empty. `spacing` replaces the spacing of DICOM masks if it is known.
/// Throws Error, naming the file, for a mask without a prediction or of another size than it, and for files that
/// read_mask() refuses.
void score_folders(const FolderScoring& scoring, const PixelSpacing& spacing, const std::string& out);

}  // namespace gt
