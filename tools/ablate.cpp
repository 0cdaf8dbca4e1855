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
  std::vector<ConfigAxis> axes;
  std::vector<std::string> what;
  for (const std::string& word : o.axes) {
    axes.push_back(parse_axis(word));
    what.insert(what.end(), {"--axis", word});
  }
  if (o.grid) what.push_back("--grid");
  std::vector<ConfigVariant> variants;
  for (const std::string& word : o.arms) {
    variants.push_back(parse_variant(word));
    what.insert(what.end(), {"--arm", word});
  }
  run_experiment(compare_variants(o.base, axes, o.grid, variants), o, "ablate", what);
}

}  // namespace

void add_ablate_command(CLI::App& app) {
  auto* command = app.add_subcommand("ablate", "Train variants of a configuration and compare them with it");
  auto o = std::make_shared<Options>();
  add_experiment_options(*command, *o);
  auto* what = command->add_option_group("Variants", "give at least one of these options; each can be repeated");
  what->require_option(1, 0);
  what->add_option("--axis", o->axes, "a key and the values to try for it")
      ->allow_extra_args(false)
      ->type_name("KEY=v1,v2,...");
  what->add_option("--arm", o->arms, "a named variant that sets several keys")
      ->allow_extra_args(false)
      ->type_name("'NAME: KEY=VALUE ...'");
  command->add_flag("--grid", o->grid, "try every combination of the axes' values instead of one axis at a time");
  command->footer(
      "Trains the unchanged configuration, called base, and each variant with the seeds 1 .. N. Evaluates\n"
      "every run and compares each variant with the base. Files, interruption and continuing are those of\n"
      "gradtrack compare. docs/comparing.md defines the statistics.\n\n"
      "Examples:\n"
      "  gradtrack ablate configs/kvasir_small.yaml data.root=kvasir --axis maps.mix=0,0.5,1\n"
      "  gradtrack ablate configs/kvasir_small.yaml --axis 'maps.keep=[1,1,1,1],[0.25,0.5,0.75,1]' --axis "
      "maps.spread_exponent=0,1\n"
      "  gradtrack ablate configs/kvasir_small.yaml --arm 'plain: pseudo.refine=none pseudo.foreground=0.65 "
      "pseudo.background=0.65'");
  command->callback([o] { ablate(*o); });
}

}  // namespace gt
