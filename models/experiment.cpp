#include "models/experiment.h"

#include <algorithm>
#include <cctype>
#include <cmath>

#include "models/recipes.h"

namespace gt {
namespace {

/// A way of degrading gaze.
struct Degradation {
  const char* name;     // appended to the name of the arm
  const char* setting;  // "KEY=VALUE" below data.degrade
  const char* words;    // for reports
};
constexpr Degradation degradations[] = {{"noise2", "position_noise=0.02", "noise 2 %"},
                                        {"noise5", "position_noise=0.05", "noise 5 %"},
                                        {"noise10", "position_noise=0.1", "noise 10 %"},
                                        {"offset5", "offset=0.05", "offset 5 %"},
                                        {"drop50", "drop=0.5", "half lost"}};

/// Joins words to the name of a folder. Letters, digits and . _ = - are kept; each run of other characters becomes one
/// _.
std::string folder_name(const std::vector<std::string>& words) {
  std::string name;
  for (const std::string& word : words) {
    if (!name.empty()) name += "_";
    for (const char c : word) {
      if (std::isalnum(uint8_t(c)) != 0 || std::string("._=-").find(c) != std::string::npos)
        name += c;
      else if (!name.ends_with('_') && !name.ends_with('='))
        name += '_';
    }
    if (name.ends_with('_')) name.pop_back();
  }
  return name;
}

Arm make_arm(const BaseConfig& base, const std::string& name, const std::vector<std::string>& overrides) {
  ConfigNotes notes;
  Arm arm{name, overrides, base.with(overrides, &notes)};
  arm.defaults = used_defaults(arm.config, notes);
  return arm;
}

/// The values that `config` has of the keys for which a recipe has a default of its own: "KEY=VALUE".
std::vector<std::string> settings_of_recipes(const Config& config) {
  std::vector<std::string> settings;
  for (const config::KeyInfo& key : list_keys(config)) {
    const auto is_key = [&](const auto& own) { return own.first == key.path; };
    const auto has_own = [&](const Recipe& r) { return std::any_of(r.defaults.begin(), r.defaults.end(), is_key); };
    if (std::any_of(recipe_table().begin(), recipe_table().end(), has_own))
      settings.push_back(key.path + "=" + key.value);
  }
  return settings;
}

/// Splits a word at the separators that are not inside brackets. Throws Error, beginning with `where`.
std::vector<std::string> split_outside_brackets(const std::string& word, char separator, const std::string& where) {
  std::vector<std::string> parts = {""};
  int depth = 0;
  for (const char c : word) {
    depth += c == '[' || c == '{' ? 1 : c == ']' || c == '}' ? -1 : 0;
    if (depth < 0) break;
    if (c == separator && depth == 0)
      parts.emplace_back();
    else
      parts.back() += c;
  }
  if (depth != 0) fail(where, ": expected matching brackets");
  return parts;
}

/// Throws Error, beginning with `where`, if "KEY=VALUE" sets the seed.
void require_no_seed(const std::string& word, const std::string& where) {
  if (word.starts_with("seed=")) fail(where, ": the seed cannot be set here; --seeds N trains with the seeds 1 to N");
}

void require_no_seed(const BaseConfig& base) {
  for (const std::string& word : base.overrides) require_no_seed(word, "command line '" + word + "'");
}

/// The overrides of each arm: one value of one axis, or with `grid` one value of every axis.
std::vector<std::vector<std::string>> combine_values(const std::vector<ConfigAxis>& axes, bool grid) {
  std::vector<std::vector<std::string>> combinations;
  if (grid && !axes.empty()) combinations = {{}};
  for (const ConfigAxis& axis : axes) {
    std::vector<std::vector<std::string>> longer;
    for (const std::string& value : axis.values)
      for (std::vector<std::string> overrides : grid ? combinations : std::vector<std::vector<std::string>>{{}}) {
        overrides.push_back(axis.key + "=" + value);
        longer.push_back(overrides);
      }
    if (grid) combinations.clear();
    combinations.insert(combinations.end(), longer.begin(), longer.end());
  }
  return combinations;
}

}  // namespace

Config BaseConfig::with(const std::vector<std::string>& more, ConfigNotes* notes) const {
  std::vector<std::string> all = overrides;
  all.insert(all.end(), more.begin(), more.end());
  return load_config(path, all, notes);
}

std::vector<std::string> Experiment::own_settings(size_t arm) const {
  std::vector<std::string> settings;
  for (const std::string& setting : arms[arm].defaults) {
    const auto differs = [&](const Arm& other) {
      const std::vector<std::string> values = settings_of_recipes(other.config);
      return other.config.recipe != arms[arm].config.recipe &&
             std::find(values.begin(), values.end(), setting) == values.end();
    };
    if (std::any_of(arms.begin(), arms.end(), differs)) settings.push_back(setting);
  }
  return settings;
}

Experiment compare_recipes(const BaseConfig& base, const std::vector<std::string>& recipes, bool degraded,
                           bool same_settings) {
  require_no_seed(base);
  Experiment experiment{base, {}, {}};
  const std::vector<std::string> same = same_settings ? settings_of_recipes(base.with({})) : std::vector<std::string>();
  const auto overrides_of = [&](const std::string& recipe, std::vector<std::string> more = {}) {
    more.insert(more.begin(), same.begin(), same.end());
    more.insert(more.begin(), "recipe=" + recipe);
    return more;
  };
  for (const std::string& recipe : recipes) {
    for (const Arm& arm : experiment.arms)
      if (arm.name == recipe) fail("--recipes: recipe '", recipe, "' is given twice");
    experiment.arms.push_back(make_arm(base, recipe, overrides_of(recipe)));
  }
  for (size_t i = 0; i < recipes.size(); ++i)
    for (size_t k = i + 1; k < recipes.size(); ++k) experiment.pairs.emplace_back(i, k);
  if (!degraded) return experiment;
  for (size_t i = 0; i < recipes.size(); ++i) {
    if (!data_needs(experiment.arms[i].config).gaze) continue;
    for (const Degradation& d : degradations) {
      experiment.pairs.emplace_back(experiment.arms.size(), i);
      experiment.arms.push_back(
          make_arm(base, recipes[i] + "-" + d.name, overrides_of(recipes[i], {str_cat("data.degrade.", d.setting)})));
      experiment.arms.back().degradation = d.words;
    }
  }
  return experiment;
}

namespace {

/// An arm with its cost. A recipe's key must not be set among `overrides`.
Arm timed_arm(const BaseConfig& base, const std::string& name, const std::string& annotation, double seconds,
              std::vector<std::string> overrides) {
  overrides.insert(overrides.begin(), annotation == "masks" ? "recipe=full" : "recipe=gradtrack");
  Arm arm = make_arm(base, name, overrides);
  arm.hours = seconds / 3600;
  arm.annotation = annotation;
  return arm;
}

}  // namespace

Experiment compare_annotation_times(const BaseConfig& base, int64_t images, const AnnotationTimes& times) {
  require_no_seed(base);
  if (images < 100) fail("--curve: expected at least 100 training images, found ", images);
  Experiment experiment{base, {}, {}};
  const auto add = [&](const Arm& arm) {
    experiment.arms.push_back(arm);
    return experiment.arms.size() - 1;
  };
  const auto masks_of = [&](int64_t count) {
    return add(timed_arm(base, str_cat("masks_", count), "masks", double(count) * times.mask,
                         {str_cat("data.images=", count)}));
  };
  size_t all_gaze = 0;
  for (const double share : {0.15, 0.3, 0.6, 1.0}) {
    const int64_t count = int64_t(std::lround(share * double(images)));
    all_gaze = add(
        timed_arm(base, str_cat("gaze_", count), "gaze", double(count) * times.gaze, {str_cat("data.images=", count)}));
    const int64_t drawn = std::clamp<int64_t>(std::lround(double(count) * times.gaze / times.mask), 1, images);
    experiment.pairs.emplace_back(all_gaze, masks_of(drawn));
  }
  for (const double share : {0.25, 0.5, 1.0}) masks_of(int64_t(std::lround(share * double(images))));
  for (const int seconds : {3, 5, 10}) {
    const double each = std::min(times.gaze, double(seconds));
    const size_t cut = add(timed_arm(base, str_cat("gaze_", seconds, "s"), "first seconds of gaze",
                                     double(images) * each, {str_cat("data.degrade.seconds=", seconds)}));
    experiment.pairs.emplace_back(cut, all_gaze);
  }
  for (const double share : {0.03, 0.06, 0.12}) {
    const int64_t drawn = std::lround(share * double(images));
    const double seconds = double(images - drawn) * times.gaze + double(drawn) * times.mask;
    const size_t mixed = add(
        timed_arm(base, str_cat("gaze_and_masks_", drawn), "gaze and masks", seconds, {str_cat("data.masks=", drawn)}));
    experiment.pairs.emplace_back(mixed, all_gaze);
  }
  return experiment;
}

ConfigAxis parse_axis(const std::string& word) {
  const std::string where = "--axis '" + word + "'";
  const size_t equals = word.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == word.size())
    fail(where, ": expected KEY=v1,v2,..., such as maps.mix=0,0.5,1");
  require_no_seed(word, where);
  const ConfigAxis axis{word.substr(0, equals), split_outside_brackets(word.substr(equals + 1), ',', where)};
  for (const std::string& value : axis.values)
    if (value.empty()) fail(where, ": expected a value between commas, got an empty one");
  return axis;
}

ConfigVariant parse_variant(const std::string& word) {
  const std::string where = "--arm '" + word + "'";
  const size_t colon = word.find(": ");
  if (colon == std::string::npos || colon == 0)
    fail(where, ": expected 'NAME: KEY=VALUE KEY=VALUE ...', such as 'narrow: maps.spread_exponent=0 maps.mix=1'");
  ConfigVariant variant{word.substr(0, colon), {}};
  if (variant.name != folder_name({variant.name}) || variant.name == "base" || variant.name.starts_with('.'))
    fail(where, ": expected a name other than 'base' of letters, digits and . _ - characters, got '", variant.name,
         "'");
  for (const std::string& set : split_outside_brackets(word.substr(colon + 2), ' ', where)) {
    if (set.empty()) continue;
    const size_t equals = set.find('=');
    if (equals == std::string::npos || equals == 0) fail(where, ": expected KEY=VALUE, got '", set, "'");
    require_no_seed(set, where);
    variant.overrides.push_back(set);
  }
  if (variant.overrides.empty()) fail(where, ": expected at least one KEY=VALUE after the name");
  return variant;
}

Experiment compare_variants(const BaseConfig& base, const std::vector<ConfigAxis>& axes, bool grid,
                            const std::vector<ConfigVariant>& variants) {
  require_no_seed(base);
  Experiment experiment{base, {make_arm(base, "base", {})}, {}};
  const auto add = [&](const Arm& arm) {
    const auto same = [&](const Arm& other) { return first_difference(other.config, arm.config).empty(); };
    if (std::any_of(experiment.arms.begin(), experiment.arms.end(), same)) return;
    if (first_difference(result_config(experiment.arms[0].config), result_config(arm.config)).empty())
      fail("variant '", arm.name, "': recipe ", arm.config.recipe,
           " reads none of the keys that it changes, so it equals the base");
    for (const Arm& other : experiment.arms)
      if (other.name == arm.name) fail("two variants have the same folder '", arm.name, "'; rename one");
    experiment.pairs.emplace_back(experiment.arms.size(), 0);
    experiment.arms.push_back(arm);
  };
  for (const std::vector<std::string>& overrides : combine_values(axes, grid))
    add(make_arm(base, folder_name(overrides), overrides));
  for (const ConfigVariant& variant : variants) add(make_arm(base, variant.name, variant.overrides));
  return experiment;
}

}  // namespace gt
