// The subcommands of `gradtrack`: each file adds its own, with its options, its help and an example.
#pragma once

#include <CLI/CLI.hpp>

namespace gt {

void add_train_command(CLI::App& app);
void add_eval_command(CLI::App& app);
void add_predict_command(CLI::App& app);
void add_maps_command(CLI::App& app);
void add_synth_command(CLI::App& app);
void add_simulate_command(CLI::App& app);
void add_fixations_command(CLI::App& app);
void add_prepare_command(CLI::App& app);
void add_pseudo_command(CLI::App& app);
void add_gradcheck_command(CLI::App& app);
void add_compare_command(CLI::App& app);
void add_ablate_command(CLI::App& app);
void add_report_command(CLI::App& app);
void add_plans_command(CLI::App& app);
void add_info_command(CLI::App& app);
void add_help_command(CLI::App& app);

}  // namespace gt
