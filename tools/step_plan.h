// What a training step takes, for people and as JSON: `gradtrack info --plan`.
#pragma once

#include <string>
#include <vector>

namespace gt {

struct StepPlanOptions {
  std::string config;
  std::vector<std::string> overrides;
  std::string device = "auto";  // auto: cuda if this program was built with it; a GPU need not be there
  std::string gpu = "h200";     // whose workspaces cuDNN is asked for, where the program has cuDNN
  std::string json;             // file to write as well; empty for none
};

/// Prints the memory, the work and the launches of one step. Throws Error as training would.
void print_step_plan(const StepPlanOptions& options);

}  // namespace gt
