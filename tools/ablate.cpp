// gradtrack ablate
#include <memory>

#include "tools/commands.h"
#include "tools/experiment.h"

namespace gt {
namespace {

struct Options : ExperimentOptions {
  std::vector<std::string> axes, arms;
  bool grid = false;
};

void ablate(const Options& o) {
  std::vector<Axis> axes;
  std::vector<std::string> what;
  for (const std::string& word : o.axes) {
    axes.push_back(parse_axis(word));
    what.insert(what.end(), {"--axis", word});
  }
  if (o.grid) what.push_back("--grid");
  std::vector<Variant> variants;
  for (const std::string& word : o.arms) {
    variants.push_back(parse_variant(word));
    what.insert(what.end(), {"--arm", word});
  }
  run_experiment(vary(o.base, axes, o.grid, variants), o, "ablate", what);
}

}  // namespace

void add_ablate_command(CLI::App& app) {
  auto* command = app.add_subcommand("ablate", "Train variants of a configuration and compare each with it");
  auto o = std::make_shared<Options>();
  add_experiment_options(*command, *o);
  auto* what = command->add_option_group("what varies", "at least one of these, each as often as you like");
  what->require_option(1, 0);
  what->add_option("--axis", o->axes, "a key and the values it is to take")
      ->allow_extra_args(false)
      ->type_name("KEY=v1,v2,...");
  what->add_option("--arm", o->arms, "a variant by name, and the keys that it sets together")
      ->allow_extra_args(false)
      ->type_name("'NAME: KEY=VALUE ...'");
  command->add_flag("--grid", o->grid, "every combination of the axes' values, not one axis at a time");
  command->footer(
      "Examples:\n  gradtrack ablate configs/kvasir_small.yaml data.root=kvasir --axis maps.mix=0,0.5,1\n"
      "  gradtrack ablate configs/kvasir_small.yaml --axis 'maps.keep=[1,1,1,1],[0.25,0.5,0.75,1]' --axis "
      "maps.spread_exponent=0,1\n"
      "  gradtrack ablate configs/kvasir_small.yaml --arm 'plain: pseudo.refine=none pseudo.foreground=0.65 "
      "pseudo.background=0.65'\n\n"
      "The configuration as it is comes first, as `base`, and each variant is compared with it. Folders, Ctrl-C and\n"
      "going on are as with `gradtrack compare`; docs/comparing.md says what is computed.");
  command->callback([o] { ablate(*o); });
}

}  // namespace gt
