// The subcommands of `gradtrack`. Each function adds one, with its options, its help and an example.
#pragma once

#include <CLI/CLI.hpp>

namespace gt {

/// Adds `gradtrack train`: trains a network.
void add_train_command(CLI::App& app);
/// Adds `gradtrack eval`: scores a trained network.
void add_eval_command(CLI::App& app);
/// Adds `gradtrack predict`: segments images.
void add_predict_command(CLI::App& app);
/// Adds `gradtrack export`: writes a trained network as ONNX.
void add_export_command(CLI::App& app);
/// Adds `gradtrack export-nnunet`: writes a data set with pseudo masks for nnU-Net.
void add_export_nnunet_command(CLI::App& app);
/// Adds `gradtrack maps`: draws a gaze track and its maps.
void add_maps_command(CLI::App& app);
/// Adds `gradtrack synth`: makes a synthetic data set.
void add_synth_command(CLI::App& app);
/// Adds `gradtrack simulate`: simulates gaze on masks.
void add_simulate_command(CLI::App& app);
/// Adds `gradtrack fixations`: converts gaze files.
void add_fixations_command(CLI::App& app);
/// Adds `gradtrack prepare`: converts public data sets.
void add_prepare_command(CLI::App& app);
/// Adds `gradtrack split`: divides a data set for cross-validation.
void add_split_command(CLI::App& app);
/// Adds `gradtrack pack`: prepares a data set for trainings.
void add_pack_command(CLI::App& app);
/// Adds `gradtrack pseudo`: makes pseudo masks from gaze.
void add_pseudo_command(CLI::App& app);
/// Adds `gradtrack choose`: compares variants of a configuration by their pseudo masks.
void add_choose_command(CLI::App& app);
/// Adds `gradtrack register`: moves gaze tracks to where a network sees their objects.
void add_register_command(CLI::App& app);
/// Adds `gradtrack gradcheck`: checks gradients.
void add_gradcheck_command(CLI::App& app);
/// Adds `gradtrack compare`: compares recipes.
void add_compare_command(CLI::App& app);
/// Adds `gradtrack ablate`: compares variants of a configuration.
void add_ablate_command(CLI::App& app);
/// Adds `gradtrack report`: writes an HTML page on runs.
void add_report_command(CLI::App& app);
/// Adds `gradtrack plans`: lists cuDNN's execution plans.
void add_plans_command(CLI::App& app);
/// Adds `gradtrack info`: describes the build, or plans a training step.
void add_info_command(CLI::App& app);
/// Adds `gradtrack help`: explains the keys of a configuration.
void add_help_command(CLI::App& app);

}  // namespace gt
