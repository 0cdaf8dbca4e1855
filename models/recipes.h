// Recipes: ways of training one network, compared in one run. A recipe is its own file and one row in recipes.cpp.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "gaze/metrics.h"
#include "models/model.h"

namespace gt {

/// Dice that was published for a recipe on a test split: full-size protocol, recorded gaze. A standard deviation of 0
/// means that none was given, a mean of 0 that nothing was published.
struct PublishedDice {
  MeanStd kvasir_seg, nci_isbi;
};

struct Recipe {
  const char* name;   // in a configuration
  const char* about;  // one line
  std::unique_ptr<Model> (*make)(const Config& config, DType dtype, Device device);
  /// What it reads of a data set.
  DataNeeds (*needs)(const Config& config);
  /// The thresholds of its pseudo masks, one mask each; empty if it makes none before training.
  std::vector<double> (*pseudo_thresholds)(const Config& config);
  /// How these pseudo masks are made. May load a teacher network.
  PseudoMasks (*pseudo_masks)(const Config& config);
  /// The keys that cannot change its result, such as "maps" or "loss.lambda".
  std::vector<std::string> (*ignored_keys)(const Config& config);
  PublishedDice published;
};

/// All recipes.
const std::vector<Recipe>& recipes();

/// The recipe of config.recipe. Throws Error if there is none of that name.
const Recipe& recipe_of(const Config& config);

/// The network of config.recipe. First values depend on config.seed alone, not on the device.
std::unique_ptr<Model> make_model(const Config& config, DType dtype = DType::f32, Device device = Device::cpu);

/// What the recipe reads of a data set, pseudo masks included.
DataNeeds data_needs(const Config& config);

}  // namespace gt
