// gradtrack ablate
#include <memory>

#include "tools/commands.h"
#include "tools/experiment.h"

namespace gt {
namespace {

struct Options : ExperimentOptions {
  std::vector<std::string> axes;
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
  run_experiment(vary(o.base, axes, o.grid), o, "ablate", what);
}

}  // namespace

void add_ablate_command(CLI::App& app) {
  auto* command = app.add_subcommand("ablate", "Train variants of a configuration and compare each with it");
  auto o = std::make_shared<Options>();
  add_experiment_options(*command, *o);
  command->add_option("--axis", o->axes, "a key and the values it is to take; may be given several times")
      ->required()
      ->allow_extra_args(false)
      ->type_name("KEY=v1,v2,...");
  command->add_flag("--grid", o->grid, "every combination of the axes' values, not one axis at a time");
  command->footer(
      "Examples:\n  gradtrack ablate configs/kvasir_small.yaml data.root=kvasir --axis maps.mix=0,0.5,1\n"
      "  gradtrack ablate configs/kvasir_small.yaml --axis 'maps.keep=[1,1,1,1],[0.25,0.5,0.75,1]' --axis "
      "maps.follow=0,1\n\n"
      "The configuration as it is comes first, as `base`, and each variant is compared with it. Folders, Ctrl-C and\n"
      "going on are as with `gradtrack compare`; docs/comparing.md says what is computed.");
  command->callback([o] { ablate(*o); });
}

}  // namespace gt
