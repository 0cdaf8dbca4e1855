// gradtrack compare
#include <algorithm>
#include <cstring>
#include <memory>

#include "gaze/dataset.h"
#include "models/recipes.h"
#include "tools/commands.h"
#include "tools/experiment.h"

namespace gt {
namespace {

struct Options : ExperimentOptions {
  std::vector<std::string> recipes = Config::recipe_names();
  bool degrade = false, same_settings = false;
  bool curve = false;
  AnnotationTimes times;
};

/// The number of training images of an experiment.
int64_t training_images(const BaseConfig& base) {
  const DataOptions data = base.with({}).data;
  const int64_t listed = int64_t(split_names(data, "train").size());
  return data.images > 0 ? std::min(data.images, listed) : listed;
}

void compare(const Options& o) {
  if (o.curve) {
    const std::vector<std::string> what = {"--curve", "--gaze-seconds", str_cat(o.times.gaze), "--mask-seconds",
                                           str_cat(o.times.mask)};
    return run_experiment(compare_annotation_times(o.base, training_images(o.base), o.times), o, "compare", what);
  }
  std::string recipes;
  for (const std::string& recipe : o.recipes) recipes += (recipes.empty() ? "" : ",") + recipe;
  std::vector<std::string> what = {"--recipes", recipes};
  if (o.degrade) what.push_back("--degrade");
  if (o.same_settings) what.push_back("--same-settings");
  run_experiment(compare_recipes(o.base, o.recipes, o.degrade, o.same_settings), o, "compare", what);
}

}  // namespace

void add_compare_command(CLI::App& app) {
  auto* command = app.add_subcommand("compare", "Train recipes with several seeds and compare their scores");
  auto o = std::make_shared<Options>();
  add_experiment_options(*command, *o);
  std::string names, about;
  for (const Recipe& recipe : recipe_table()) {
    names += (names.empty() ? "" : ",") + std::string(recipe.name);
    about += str_cat("  ", recipe.name, std::string(12 - std::min<size_t>(11, std::strlen(recipe.name)), ' '),
                     recipe.about, "\n");
  }
  auto* curve = command->add_flag("--curve", o->curve,
                                  "compare hours of annotation instead: gaze of some images, masks of some, both");
  command->add_option("--gaze-seconds", o->times.gaze, "time that gaze takes for an image")
      ->check(CLI::Range(0.01, 1e5))
      ->capture_default_str()
      ->type_name("S")
      ->needs(curve);
  command->add_option("--mask-seconds", o->times.mask, "time that drawing a mask takes")
      ->check(CLI::Range(0.01, 1e5))
      ->capture_default_str()
      ->type_name("S")
      ->needs(curve);
  command->add_option("--recipes", o->recipes, "recipes to compare")
      ->excludes(curve)
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("a,b,...")
      ->default_str(names);
  command
      ->add_flag("--degrade", o->degrade,
                 "also train on degraded gaze: position noise of 2, 5, 10 % of the image, offset of 5 %, half of the "
                 "fixations")
      ->excludes(curve);
  command
      ->add_flag("--same-settings", o->same_settings,
                 "train all recipes with the configuration's loss and optimiser, also those with defaults of their own")
      ->excludes(curve);
  command->footer(
      "Trains each recipe with the seeds 1 .. N and evaluates every run. Each run is a folder\n"
      "OUT/RECIPE/seedN with the files of gradtrack train and the output in log.txt. Writes all scores to\n"
      "OUT/compare.json and a page to OUT/report.html. Ctrl-C saves the runs; the same command then\n"
      "continues. Finished runs are not trained again. docs/comparing.md defines the statistics.\n\n"
      "Recipes:\n" +
      about +
      "\n"
      "Examples:\n"
      "  gradtrack compare configs/kvasir_small.yaml data.root=kvasir --seeds 3 --jobs 2\n"
      "  gradtrack compare configs/kvasir_small.yaml --recipes gradtrack,full --split val --out runs/upper_bound\n"
      "  gradtrack compare configs/kvasir_small.yaml data.root=kvasir --curve --seeds 2 --split val --out runs/hours");
  command->callback([o] { compare(*o); });
}

}  // namespace gt
