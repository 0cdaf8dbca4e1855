// Prints memory and work of a training step, for `gradtrack info --plan`.
#pragma once

#include <string>
#include <vector>

#include "tools/scaling.h"

namespace gt {

/// Options of `gradtrack info --plan`.
struct StepPlanOptions {
  std::string config;                  // configuration file
  std::vector<std::string> overrides;  // "KEY=VALUE"
  std::string device = "auto";         // auto is cuda if the program was built with it, even without a GPU
  std::string gpu = "h200";            // GPU for whose plans cuDNN reports workspaces
  std::string json;                    // JSON file to write, "" for none
  ScalingOptions scaling;              // over processes
};

/// Prints memory, work and launches of one training step on stdout. Throws Error if training would.
void print_step_plan(const StepPlanOptions& options);

}  // namespace gt
