#include "models/recipes.h"

#include "models/full.h"
#include "models/gazemedseg.h"
#include "models/gradtrack.h"

namespace gt {

const std::vector<Recipe>& recipe_table() {
  static const std::vector<Recipe> table = {gradtrack_recipe(), gazemedseg_recipe(), full_recipe()};
  return table;
}

KeyDefaults own_defaults(const Recipe& recipe) { return {str_cat("default of recipe ", recipe.name), recipe.defaults}; }

const Recipe& recipe_of(const Config& config) {
  for (const Recipe& recipe : recipe_table())
    if (recipe.name == config.recipe) return recipe;
  std::string names;
  for (const Recipe& recipe : recipe_table()) names += (names.empty() ? "" : " or ") + std::string(recipe.name);
  fail("recipe '", config.recipe, "': expected ", names);
}

std::string default_text(const config::KeyInfo& key) {
  std::string text = key.value;
  for (const Recipe& recipe : recipe_table())
    for (const auto& [own, value] : recipe.defaults)
      if (own == key.path) text += str_cat(", ", recipe.name, ": ", value);
  return text;
}

std::vector<std::string> used_defaults(const Config& config, const ConfigNotes& notes) {
  std::vector<std::string> used;
  const Recipe& recipe = recipe_of(config);
  for (const auto& [key, value] : recipe.defaults)
    if (notes.origin(key) == own_defaults(recipe).source) used.push_back(key + "=" + value);
  return used;
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
