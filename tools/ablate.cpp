// gradtrack ablate
#include <memory>

#include "tools/commands.h"
#include "tools/experiment.h"

namespace gt {
namespace {

struct Options : ExperimentOptions {
  VariantOptions variants;
};

void ablate(const Options& o) {
  std::vector<std::string> what;
  for (const std::string& word : o.variants.axes) what.insert(what.end(), {"--axis", word});
  if (o.variants.grid) what.push_back("--grid");
  for (const std::string& word : o.variants.arms) what.insert(what.end(), {"--arm", word});
  run_experiment(experiment_of(o.base, o.variants), o, "ablate", what);
}

}  // namespace

void add_ablate_command(CLI::App& app) {
  auto* command = app.add_subcommand("ablate", "Train variants of a configuration and compare them with it");
  auto o = std::make_shared<Options>();
  add_experiment_options(*command, *o);
  add_variant_options(*command, o->variants, true);
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
