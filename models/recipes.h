// The table of recipes. A recipe defines network, supervision and loss. It has one file and one row in recipes.cpp.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gaze/metrics.h"
#include "models/model.h"

namespace gt {

/// Published Dice scores of a recipe on the test splits, with the full-size protocol and recorded gaze. A mean of 0
/// means that nothing was published, a standard deviation of 0 that none was given.
struct PublishedDice {
  MeanStd kvasir_seg, nci_isbi;
};

/// One row of the table of recipes.
struct Recipe {
  const char* name;   // the value of the key `recipe`
  const char* about;  // one line for help texts
  /// Makes the network. `dtype` is the dtype of its parameters.
  std::unique_ptr<Model> (*make)(const Config& config, DType dtype, Device device);
  /// The parts of a data set that training reads, apart from pseudo masks.
  DataNeeds (*needs)(const Config& config);
  /// The thresholds of its pseudo masks, one mask each. Empty if no pseudo masks are computed before training.
  std::vector<double> (*pseudo_thresholds)(const Config& config);
  /// How the pseudo masks are computed. May load a teacher network. Null if the recipe never has any.
  PseudoMasks (*pseudo_masks)(const Config& config);
  /// The keys that the recipe does not read, such as "loss.lambda" or, for all keys below it, "maps".
  std::vector<std::string> (*ignored_keys)(const Config& config);
  PublishedDice published;
  /// Defaults of its own, in place of those in models/config.h: dotted keys with their values, such as {"loss.bce",
  /// "1"}. They hold where neither a file nor the command line sets the key.
  std::vector<std::pair<std::string, std::string>> defaults = {};
};

/// The table of all recipes.
const std::vector<Recipe>& recipe_table();

/// The row of config.recipe. Throws Error, with the known names, if there is none.
const Recipe& recipe_of(const Config& config);

/// The defaults of its own that a recipe has, for read_config().
KeyDefaults own_defaults(const Recipe& recipe);

/// The default of a key as text, with those that recipes have of their own: "0.5, gazemedseg: 0".
std::string default_text(const config::KeyInfo& key);

/// The defaults of its own that config.recipe uses: "KEY=VALUE" of each key that, by `notes`, nothing sets.
std::vector<std::string> used_defaults(const Config& config, const ConfigNotes& notes);

/// Makes the network of config.recipe. Its initial values depend on config.seed, not on the device.
std::unique_ptr<Model> make_model(const Config& config, DType dtype = DType::f32, Device device = Device::cpu);

/// The parts of a data set that the recipe of `config` reads, including pseudo masks.
DataNeeds data_needs(const Config& config);

}  // namespace gt
