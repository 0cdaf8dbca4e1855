// The scores of images as JSON, CSV and text.
#pragma once

#include <string>
#include <vector>

#include "core/json.h"
#include "models/evaluate.h"

namespace gt {

/// {"dice": {"mean": ..., "std": ...}, ...}: each metric that is known for all images.
Json summary_json(const std::vector<ImageScores>& scores);

/// [{"name": ..., "dice": ..., ...}, ...]: an object for each image, with the metrics that are known for it.
Json per_image_json(const std::vector<ImageScores>& scores);

/// A row for each image, a column for each metric. A field that is not known is empty.
std::string scores_csv(const std::vector<ImageScores>& scores);

/// Prints a summary_json().
void print_summary(const char* title, const Json& summary);

/// Writes an evaluation as `path`, which ends in .json, and its table of images beside it as .csv. Prints both paths.
void write_evaluation(const std::string& path, const Json& evaluation, const std::vector<ImageScores>& scores);

}  // namespace gt
