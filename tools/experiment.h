// The part that `gradtrack compare` and `gradtrack ablate` share: options, training, evaluation, results.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "models/experiment.h"
#include "tools/slurm.h"

namespace gt {

/// Options of an experiment.
struct ExperimentOptions {
  BaseConfig base;
  int64_t seeds = 3;            // runs per arm, with the seeds 1 to this number
  int64_t jobs = 1;             // runs that are trained at once
  std::string out;              // folder; "" is runs/SUBCOMMAND-<name of the configuration>
  std::string split = "test";   // images of the evaluation
  std::string device = "auto";  // auto, cpu or cuda

  std::string launcher = "local";  // who starts the runs: local (this program) or slurm
  SlurmOptions slurm;
  bool status = false;  // print the state of the runs instead
  // For the jobs that Slurm starts:
  int64_t run = -1;     // the only run to complete; -1 for all
  bool tables = false;  // collect what is finished, without completing runs
};

/// Adds the arguments CONFIG and key=value and the options of `o` to a subcommand. `o` must outlive the parsing.
void add_experiment_options(CLI::App& command, ExperimentOptions& o);

/// Which variants of a configuration there are, as words of the command line.
struct VariantOptions {
  std::vector<std::string> axes, arms;  // see parse_axis() and parse_variant()
  bool grid = false;
};

/// Adds --axis, --arm and --grid to a subcommand. `required`: at least one of the first two. `o` must outlive the
/// parsing.
void add_variant_options(CLI::App& command, VariantOptions& o, bool required);

/// The experiment that compares these variants with the base: see compare_variants(). Throws Error.
Experiment experiment_of(const BaseConfig& base, const VariantOptions& o);

/// Trains and evaluates every arm with every seed in the folder o.out/ARM/seedN. Work that is done already is skipped.
/// With launcher slurm, jobs do this after the call. Then writes compare.json and report.html to o.out and prints the
/// tables. `subcommand` is the name of the subcommand, `arguments` its arguments that are not in `o`; both are
/// recorded. Throws Error if a folder holds a run of another configuration, on interruption, and at the end if a run
/// failed.
void run_experiment(const Experiment& experiment, ExperimentOptions o, const std::string& subcommand,
                    const std::vector<std::string>& arguments);

}  // namespace gt
