#include "models/recipes.h"

#include "models/full.h"
#include "models/gazemedseg.h"
#include "models/gradtrack.h"

namespace gt {

const std::vector<Recipe>& recipe_table() {
  static const std::vector<Recipe> table = {gradtrack_recipe(), gazemedseg_recipe(), full_recipe()};
  return table;
}

const Recipe& recipe_of(const Config& config) {
  for (const Recipe& recipe : recipe_table())
    if (recipe.name == config.recipe) return recipe;
  std::string names;
  for (const Recipe& recipe : recipe_table()) names += (names.empty() ? "" : " or ") + std::string(recipe.name);
  fail("recipe '", config.recipe, "': expected ", names);
}

std::unique_ptr<Model> make_model(const Config& config, DType dtype, Device device) {
  set_blocks_may_wait(config.waiting_blocks == "auto");  // for every model of the program: it changes no bits
  return recipe_of(config).make(config, dtype, device);
}

DataNeeds data_needs(const Config& config) {
  DataNeeds needs = recipe_of(config).needs(config);
  needs.seed = uint64_t(config.seed);
  needs.pseudo = !recipe_of(config).pseudo_thresholds(config).empty();
  return needs;
}

}  // namespace gt
