// What a run's folder holds, for reports: config.yaml, metrics.jsonl, eval.json.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "gaze/metrics.h"

namespace gt {

struct Curve {
  std::vector<double> x, y;
  void add(double at, double value) {
    x.push_back(at);
    y.push_back(value);
  }
};

/// The mean of curves, at the x of the first one, over those that have a value there.
Curve mean_curve(const std::vector<Curve>& curves);

/// A loss term over the iterations: one curve, or one per level for terms NAME_1, NAME_2 ...
struct LossCurves {
  std::string name;           // without the level
  std::vector<Curve> levels;  // coarsest first
  Curve mean() const;         // over the levels
};

struct Run {
  using Json = nlohmann::ordered_json;

  std::string folder, name, config;
  Json facts = Json::object();  // what the log says of the run; empty if it says nothing
  Json eval;                    // eval.json, checked; null if there is none
  Curve loss, lr, dice;
  std::vector<LossCurves> terms;  // of the loss, before weighting
  std::vector<double> speed;      // images per second
  double iterations = 0, seconds = 0;

  /// The term of this name, or null.
  const LossCurves* term(const std::string& name) const;
  bool evaluated() const { return !eval.is_null(); }
  /// Whether the evaluation has this metric: one that an older version made lacks metrics that are newer. All have
  /// Dice.
  bool has(const Metric& metric) const { return eval.contains(metric.key); }
  /// What the evaluation, or else the log, says under `key`; "" if neither does.
  std::string word(const char* key) const;
  /// Whether either says that the gaze was simulated.
  bool simulated() const;
};

/// Throws Error, naming file and line, if the folder is not a run's or a file is damaged. A log or an evaluation that
/// is not there yet is no error, nor is a last line of the log that a killed run left unfinished.
Run read_run(const std::string& folder);

}  // namespace gt
