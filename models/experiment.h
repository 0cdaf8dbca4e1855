// Experiments: a configuration varied in a few ways, its arms, each to be trained with several seeds and compared.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "models/config.h"

namespace gt {

/// The configuration that arms vary: a file and key=value overrides.
struct BaseConfig {
  std::string path;
  std::vector<std::string> overrides;

  /// With more overrides, over those. Throws Error.
  Config with(const std::vector<std::string>& more) const;
};

/// One way of training.
struct Arm {
  std::string name;                    // fit for a folder
  std::vector<std::string> overrides;  // that make it, over the base's
  Config config;                       // with the base's seed
  std::string degradation = {};        // of its gaze, in words; "" if there is none
};

struct Experiment {
  BaseConfig base;
  std::vector<Arm> arms;
  std::vector<std::pair<size_t, size_t>> pairs;  // of arms whose difference, first minus second, is wanted
};

/// An arm for each recipe, and all pairs of them. With `degraded`, each recipe that uses gaze gets further arms, which
/// are compared with its own: gaze with position noise of 2, 5 and 10 % of the image's side, with a calibration offset
/// of 5 %, with half of the fixations lost. Throws Error for an unknown recipe or one named twice.
Experiment compare_recipes(const BaseConfig& base, const std::vector<std::string>& recipes, bool degraded = false);

/// A key and the values that it is to take.
struct Axis {
  std::string key;
  std::vector<std::string> values;  // YAML
};

/// "KEY=v1,v2,...": commas inside brackets belong to a value, so that lists can be values. Throws Error.
Axis parse_axis(const std::string& word);

/// A variant that has a name and sets several keys.
struct Variant {
  std::string name;
  std::vector<std::string> overrides;
};

/// "NAME: KEY=VALUE KEY=VALUE ...": spaces inside brackets belong to a value. A name has letters, digits and . _ -
/// Throws Error.
Variant parse_variant(const std::string& word);

/// The base as it is, as first arm, and an arm for each value of each axis, the other axes as in the base; with `grid`
/// for each combination of values; then an arm for each variant. What is equal to an arm that is there already is left
/// out. Every arm is compared with the base. Throws Error if an arm differs from the base in nothing that its recipe
/// reads.
Experiment vary(const BaseConfig& base, const std::vector<Axis>& axes, bool grid = false,
                const std::vector<Variant>& variants = {});

}  // namespace gt
