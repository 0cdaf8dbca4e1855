// The outcome of an experiment: scores of each arm over its seeds, and differences between arms over the images.
#pragma once

#include <nlohmann/json.hpp>
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
  std::string command;  // that trains it
  Run run;
};

/// The score of each image of an evaluated run.
std::vector<double> per_image(const Run& run, const char* metric);

struct Difference {
  const Metric* metric;
  PairedDifference value;
};

/// First minus second arm, for each of compared_metrics() that both have.
struct ArmsDifference {
  size_t first, second;
  std::vector<Difference> scores;
};

struct Comparison {
  std::string command;  // that makes it
  Experiment experiment;
  std::string split;
  int64_t seeds = 0;                                          // wanted for each arm
  std::vector<std::vector<SeedRun>> runs;                     // of each arm those that are there
  std::vector<std::pair<std::string, std::string>> failures;  // name of a run, and why it is not there
  std::vector<ArmsDifference> differences;                    // differences_of() this

  const Arm& arm(size_t i) const { return experiment.arms[i]; }
  /// Whether the arm has runs, and all their evaluations have this metric.
  bool has(size_t arm, const Metric& metric) const;
  /// Of an arm that has the metric: of the means over images, mean and standard deviation over seeds.
  MeanStd over_seeds(size_t arm, const char* metric) const;
  /// Of an arm that has the metric: each image's score, mean over seeds.
  std::vector<double> of_images(size_t arm, const char* metric) const;
  /// The images, in the order of of_images(); none if there is no run.
  std::vector<std::string> images() const;
  /// Whether any run, or this arm's, learnt from simulated gaze.
  bool simulated() const;
  bool simulated(size_t arm) const;
};

/// The metrics that arms are compared by.
std::vector<const Metric*> compared_metrics();

/// The published Dice of an arm that is a recipe without other changes; null for other arms.
const PublishedDice* published(const Arm& arm);

/// A p-value as it is printed.
std::string p_text(double p);

/// Throws Error, naming the folder, if the runs were not evaluated on the same images.
void require_same_images(const Comparison& c);

/// Of each of the experiment's pairs whose arms both have runs. Takes a bootstrap for each metric.
std::vector<ArmsDifference> differences_of(const Comparison& c);

/// compare.json.
nlohmann::ordered_json comparison_json(const Comparison& c);

/// report.html: all of it for people, with pictures of the same cases by every arm that learnt from gaze as it is. They
/// are made with the first run of each, on the device, and kept in folder/cases.
std::string comparison_page(const Comparison& c, const std::string& folder, Device device);

/// Tables on stdout.
void print_comparison(const Comparison& c);

}  // namespace gt
