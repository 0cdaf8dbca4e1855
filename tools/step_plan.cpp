#include "tools/step_plan.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <tuple>

#include "core/check.h"
#include "core/io.h"
#include "models/plan.h"
#include "tools/run_config.h"

#if GT_CUDA && !GT_EMULATE
#include "kernels/libraries/cudnn.h"
#include "kernels/libraries/cudnn_devices.h"
#endif

namespace gt {
namespace {

using Json = nlohmann::ordered_json;

Device device_of(const std::string& word) {
  const bool built = cuda_status().state != CudaState::not_built;
  if (word == "cuda" && !built) fail("--device cuda: ", cuda_status().reason);
  return word != "cpu" && built ? Device::cuda : Device::cpu;
}

/// A note on workspaces of libraries that the plan does not include; "" if it includes all.
const char* unknown_workspace(Device device) {
  if (device == Device::cpu) return "";
  return GT_EMULATE ? "excludes the workspaces of cuDNN and cuBLASLt, because this program was built without them"
                    : "excludes the workspace of cuBLASLt";
}

double mib(int64_t bytes) { return double(bytes) / (1 << 20); }

/// The ops, and other parts of the step that launch work, sorted by decreasing bytes.
std::vector<Profile::Total> work_of(const StepPlan& plan) {
  std::vector<Profile::Total> work;
  for (const Profile::Total& t : plan.profile->totals(true))
    if (t.op || t.kernels + t.library_calls + t.copies > 0) work.push_back(t);
  std::sort(work.begin(), work.end(), [](const Profile::Total& a, const Profile::Total& b) {
    return std::tie(b.bytes, a.name, a.label) < std::tie(a.bytes, b.name, b.label);
  });
  return work;
}

std::string name_of(const std::string& name, const std::string& label, bool op) {
  if (!op) return "(" + name + ", outside ops)";
  return label.empty() ? name : name + "  " + label;
}

void print_memory(const StepPlan& plan, Device device) {
  const auto row = [](const char* name, int64_t bytes, const std::string& what) {
    std::printf("%-24s %10.1f  %s\n", name, mib(bytes), what.c_str());
  };
  const std::vector<ProfiledRange>& ranges = plan.profile->ranges();
  const ProfiledRange& most =
      *std::max_element(ranges.begin(), ranges.end(),
                        [](const ProfiledRange& a, const ProfiledRange& b) { return a.workspace() < b.workspace(); });
  const ProfiledRange& peak = plan.peak_op();
  std::printf("%-24s %10s\n", "memory", "MiB");
  row("parameters", plan.parameters, "");
  row("optimiser", plan.optimizer, "");
  row("batch", plan.batch(), "images, supervision and losses at the start of the forward pass");
  row("activations", plan.activations(), "saved by the forward pass for the backward pass");
  row("gradients", plan.gradients(), "of the parameters, at the end of the backward pass");
  row("workspace", most.workspace(), "at most, in " + name_of(most.name, most.label, most.op));
  row("peak", plan.peak(),
      str_cat("in the ", plan.part_of(peak), peak.op ? " pass, in " + name_of(peak.name, peak.label, true) : ""));
  if (*unknown_workspace(device)) std::printf("%s\n", unknown_workspace(device));
}

void print_work(const std::vector<Profile::Total>& work) {
  size_t width = 2;
  for (const Profile::Total& t : work) width = std::max(width, name_of(t.name, t.label, t.op).size());
  const auto row = [&](const std::string& name, const Profile::Total& t) {
    std::printf("%-*s %6lld %10.2f %10.3f %8lld %6lld %6lld %10.2f\n", int(width), name.c_str(), (long long)t.calls,
                mib(int64_t(t.bytes)), 1e-9 * t.flops, (long long)t.kernels, (long long)t.library_calls,
                (long long)t.copies, mib(t.workspace));
  };
  std::printf("\n%-*s %6s %10s %10s %8s %6s %6s %10s\n", int(width), "op", "calls", "MiB moved", "GFLOP", "kernels",
              "calls", "copies", "workspace");
  Profile::Total all;
  for (const Profile::Total& t : work) {
    row(name_of(t.name, t.label, t.op), t);
    all += t;
  }
  row("all", all);
  std::printf("\nMiB moved counts each operand of an op once. Workspace is the largest of all calls, MiB.\n");
}

Json to_json(const Config& config, Device device, const StepPlan& plan, const std::vector<Profile::Total>& work) {
  Json json = {{"recipe", config.recipe},
               {"device", to_string(device)},
               {"precision", config.precision},
               {"size", config.data.size},
               {"batch", config.train.batch},
               {"accumulate", config.train.accumulate},
               {"memory",
                {{"parameters", plan.parameters},
                 {"optimizer", plan.optimizer},
                 {"batch", plan.batch()},
                 {"activations", plan.activations()},
                 {"gradients", plan.gradients()},
                 {"peak", plan.peak()},
                 {"peak_in", name_of(plan.peak_op().name, plan.peak_op().label, plan.peak_op().op)}}},
               {"ops", Json::array()}};
  for (const Profile::Total& t : work)
    json["ops"].push_back({{"op", t.name},
                           {"size", t.label},
                           {"body", t.op},
                           {"calls", t.calls},
                           {"bytes", t.bytes},
                           {"flops", t.flops},
                           {"kernels", t.kernels},
                           {"library_calls", t.library_calls},
                           {"copies", t.copies},
                           {"workspace", t.workspace}});
  return json;
}

}  // namespace

void print_step_plan(const StepPlanOptions& options) {
  const Config config = load_config_with_warnings(options.config, options.overrides);
  const Device device = device_of(options.device);
#if GT_CUDA && !GT_EMULATE
  cudnn::set_planned_device(cudnn::description_of(options.gpu));
#endif
  if (!options.scaling.ranks.empty()) return print_scaling(options.scaling, config, device);
  const StepPlan plan = plan_step(config, device);
  const std::vector<Profile::Total> work = work_of(plan);
  const std::string accumulated = config.train.accumulate == 1 ? "" : str_cat(config.train.accumulate, " batches of ");
  std::printf("one step: recipe %s, %lld pixels, batch %s%lld, %s on %s\n\n", config.recipe.c_str(),
              (long long)config.data.size, accumulated.c_str(), (long long)config.train.batch, config.precision.c_str(),
              to_string(device));
  print_memory(plan, device);
  print_work(work);
  if (options.json.empty()) return;
  write_file(options.json, to_json(config, device, plan, work).dump(1) + "\n");
}

}  // namespace gt
