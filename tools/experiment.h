// What `gradtrack compare` and `gradtrack ablate` share: their options, and the work.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "models/experiment.h"

namespace gt {

struct ExperimentOptions {
  BaseConfig base;
  int64_t seeds = 3, jobs = 1;
  std::string out, split = "test", device = "auto";
};

/// Adds CONFIG, key=value ... and the options above to a subcommand.
void add_experiment_options(CLI::App& command, ExperimentOptions& o);

/// Trains and evaluates every arm with every seed under o.out (runs/SUBCOMMAND-<name of the configuration> if that is
/// empty), each a run's folder o.out/ARM/seedN, as far as that is not done already; then writes compare.json and
/// report.html there and prints the tables. `subcommand` is how it was called, e.g. "ablate", and `what` the options of
/// its own. Throws Error if a folder holds a run of another configuration, if it is interrupted, and at the end if a
/// run failed.
void run_experiment(const Experiment& experiment, ExperimentOptions o, const std::string& subcommand,
                    const std::vector<std::string>& what);

}  // namespace gt
