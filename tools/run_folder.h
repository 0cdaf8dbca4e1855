// Reads the folder of a run for reports: config.yaml, metrics.jsonl, eval_SPLIT.json.
#pragma once

#include <string>
#include <vector>

#include "core/json.h"
#include "gaze/metrics.h"

namespace gt {

/// Points of a curve, in the order of the log.
struct Curve {
  std::vector<double> x, y;
  /// Appends the point (at, value).
  void add(double at, double value) {
    x.push_back(at);
    y.push_back(value);
  }
};

/// The mean of curves at each point of the first curve. Shorter curves do not contribute to points after their end.
Curve mean_curve(const std::vector<Curve>& curves);

/// A loss term over iterations: one curve, or one per level for the terms NAME_1, NAME_2 and so on.
struct LossCurves {
  std::string name;           // without the number of the level
  std::vector<Curve> levels;  // coarsest first
  /// The mean over levels.
  Curve mean() const;
};

/// The contents of a run's folder.
struct Run {
  std::string folder, name, config;
  Json facts = Json::object();  // facts of the run in its log; empty if there are none
  Json eval;                    // the evaluation, checked; null if there is none
  Curve loss, lr, dice;
  std::vector<LossCurves> terms;  // loss terms before weighting
  std::vector<double> speed;      // images per second
  double iterations = 0, seconds = 0;

  /// The loss term of this name, or null.
  const LossCurves* term(const std::string& name) const;
  /// Whether the run has an evaluation.
  bool evaluated() const { return !eval.is_null(); }
  /// Whether the evaluation has this metric. Evaluations of older versions lack newer metrics; all have Dice.
  bool has(const Metric& metric) const { return eval.contains(metric.key); }
  /// The string under `key` in the evaluation, else in the facts of the log, else "".
  std::string fact(const char* key) const;
  /// Whether the evaluation or the log says that the gaze was simulated.
  bool simulated() const;
};

/// The name of the file with the evaluation on a split: eval_SPLIT.json.
inline std::string evaluation_name(const std::string& split) { return "eval_" + split + ".json"; }

/// The splits that a run is evaluated on, sorted. Older versions wrote one evaluation, eval.json.
std::vector<std::string> evaluated_splits(const std::string& folder);

/// The file with the evaluation of a run on a split; "" if there is none.
std::string evaluation_path(const std::string& folder, const std::string& split);

/// Reads the folder of a run, with its evaluation on `split`. With the split "", that is test if it is evaluated, else
/// the only split that is. Log and evaluation may be missing, and the last line of the log may be incomplete, as a
/// killed run leaves it. Throws Error, with file and line, if the folder has no config.yaml, a file is damaged, or
/// there is no only split.
Run read_run(const std::string& folder, const std::string& split = "");

}  // namespace gt
