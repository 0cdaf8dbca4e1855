// The results of an experiment: the scores of each arm over seeds, and the differences between arms over images.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "gaze/metrics.h"
#include "models/experiment.h"
#include "models/recipes.h"
#include "models/statistics.h"
#include "tools/run_folder.h"

namespace gt {

/// A trained and evaluated run of an arm.
struct SeedRun {
  int64_t seed;
  std::string command;  // the command that trains it
  Run run;
};

/// The scores of an evaluated run by the metric of this key, one per image.
std::vector<double> scores_per_image(const Run& run, const char* metric);

/// The difference between two arms by one metric.
struct Difference {
  const Metric* metric;
  PairedDifference value;
};

/// The differences between two arms, first minus second, by each of compared_metrics() that both have.
struct ArmsDifference {
  size_t first, second;
  std::vector<Difference> scores;
};

/// An experiment with the results of its runs. Arms are indices into experiment.arms.
struct Comparison {
  std::string command;  // the command that makes it
  Experiment experiment;
  std::string split;                                          // images of the evaluation
  int64_t seeds = 0;                                          // number of runs planned per arm
  std::vector<std::vector<SeedRun>> runs;                     // the evaluated runs of each arm
  std::vector<std::pair<std::string, std::string>> failures;  // name and reason of each run that failed
  std::vector<std::pair<std::string, std::string>> left_out;  // name and reason of each run that no mean includes
  std::vector<ArmsDifference> differences;                    // see compute_differences()

  /// Arm number i.
  const Arm& arm(size_t i) const { return experiment.arms[i]; }
  /// Whether the arm has runs and all of them are evaluated by this metric.
  bool has(size_t arm, const Metric& metric) const;
  /// Mean and standard deviation over seeds of an arm's mean over images. The arm must have the metric.
  MeanStd over_seeds(size_t arm, const char* metric) const;
  /// The seeds that both arms have runs of.
  std::vector<int64_t> common_seeds(size_t first, size_t second) const;
  /// An arm's scores with these seeds, which it has. It must have the metric.
  SeedScores with_seeds(size_t arm, const char* metric, const std::vector<int64_t>& seeds) const;
  /// The names of the images, in the order of the scores. Empty without runs.
  std::vector<std::string> images() const;
  /// Whether any run was trained on simulated gaze.
  bool simulated() const;
  /// Whether a run of this arm was trained on simulated gaze.
  bool simulated(size_t arm) const;
};

/// The rows of the table of metrics by which arms are compared.
std::vector<const Metric*> compared_metrics();

/// The published Dice of an arm that only sets the recipe, on the data set that data.published names. None if the arm
/// sets more, no data set is named, or nothing was published.
std::optional<MeanStd> published_dice(const Arm& arm);

/// "gazemedseg also differs from arms of other recipes by defaults of its recipe: loss.dice=0 ...": one line for each
/// arm of which that is true.
std::vector<std::string> settings_notes(const Experiment& experiment);

/// Formats a p-value: "0.042", or "3.1e-05" below 0.001.
std::string format_p(double p);

/// Throws Error, naming a folder, if not all runs were evaluated on one list of images.
void require_same_images(const Comparison& c);

/// The differences of the experiment's pairs, over the seeds that both arms have; none if there is no such seed. Each
/// metric takes a bootstrap of 10,000 samples.
std::vector<ArmsDifference> compute_differences(const Comparison& c);

/// The contents of compare.json.
Json comparison_json(const Comparison& c);

/// The contents of scores.csv: a row for each arm, seed and image, with every metric.
std::string comparison_csv(const Comparison& c);

/// The contents of table.tex: the table of scores and that of differences in Dice, for LaTeX with the package booktabs.
std::string comparison_latex(const Comparison& c);

/// The contents of report.html. Its pictures show some images as predicted by the first run of each arm without
/// degraded gaze. The device predicts them, and they are written to folder/cases. The charts are written to
/// folder/figures as SVG files too.
std::string comparison_page(const Comparison& c, const std::string& folder, Device device);

/// Prints the tables of scores and differences on stdout.
void print_comparison(const Comparison& c);

}  // namespace gt
