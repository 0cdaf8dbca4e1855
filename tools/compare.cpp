// gradtrack compare
#include <memory>

#include "models/recipes.h"
#include "tools/commands.h"
#include "tools/experiment.h"

namespace gt {
namespace {

struct Options : ExperimentOptions {
  std::vector<std::string> recipes = Config::recipe_names();
  bool degrade = false;
};

void compare(const Options& o) {
  std::string recipes;
  for (const std::string& recipe : o.recipes) recipes += (recipes.empty() ? "" : ",") + recipe;
  std::vector<std::string> what = {"--recipes", recipes};
  if (o.degrade) what.push_back("--degrade");
  run_experiment(compare_recipes(o.base, o.recipes, o.degrade), o, "compare", what);
}

}  // namespace

void add_compare_command(CLI::App& app) {
  auto* command = app.add_subcommand("compare", "Train recipes with several seeds each and compare their scores");
  auto o = std::make_shared<Options>();
  add_experiment_options(*command, *o);
  std::string names, help;
  for (const Recipe& recipe : recipes()) {
    names += (names.empty() ? "" : ",") + std::string(recipe.name);
    help += str_cat(help.empty() ? "" : "; ", recipe.name, ": ", recipe.about);
  }
  command->add_option("--recipes", o->recipes, help)
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("a,b,...")
      ->default_str(names);
  command->add_flag(
      "--degrade", o->degrade,
      "also with worse gaze: position noise 2, 5, 10 % of the image, offset 5 %, half of the fixations lost");
  command->footer(
      "Examples:\n  gradtrack compare configs/kvasir_small.yaml data.root=kvasir --seeds 3 --jobs 2\n"
      "  gradtrack compare configs/kvasir_small.yaml --recipes gradtrack,full --split val --out runs/upper_bound\n\n"
      "Each run is a folder OUT/RECIPE/seedN as `gradtrack train` makes it, with its output in log.txt; they are\n"
      "evaluated, and OUT/compare.json gets all scores. Ctrl-C saves and ends; the same command goes on. What is\n"
      "trained already is not trained again. docs/comparing.md says what is computed.");
  command->callback([o] { compare(*o); });
}

}  // namespace gt
