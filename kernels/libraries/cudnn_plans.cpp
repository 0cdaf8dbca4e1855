#include "kernels/libraries/cudnn_plans.h"

#if GT_CUDA && !GT_EMULATE

#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "core/dry_run.h"

namespace gt::cudnn {
namespace {

/// The engine configurations that cuDNN proposes, the best first. Often there are none, which is no error to cuDNN.
std::vector<Descriptor> proposals(const Descriptor& graph, cudnnBackendHeurMode_t mode, const Target& target) {
  Descriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, "heuristics");
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, {graph}).set(CUDNN_ATTR_ENGINEHEUR_MODE, {mode});
  if (target.device != nullptr) heuristics.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, {*target.device});
  heuristics.finalize();
  int64_t count = 0;
  check(cudnnBackendGetAttribute(heuristics.raw(), CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0,
                                 &count, nullptr),
        "heuristics");
  std::vector<Descriptor> configurations;
  std::vector<cudnnBackendDescriptor_t> raws;
  for (int64_t i = 0; i < count; ++i) {
    configurations.emplace_back(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, "engine configuration");
    raws.push_back(configurations.back().raw());
  }
  check(cudnnBackendGetAttribute(heuristics.raw(), CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, count,
                                 &count, raws.data()),
        "heuristics");
  configurations.erase(configurations.begin() + count, configurations.end());
  return configurations;
}

Descriptor engine_of(const Descriptor& configuration) {
  const Descriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR, "engine");
  int64_t count = 0;
  cudnnBackendDescriptor_t raw = engine.raw();
  check(cudnnBackendGetAttribute(configuration.raw(), CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                                 &count, &raw),
        "engine");
  GT_CHECK(count == 1, "cuDNN: a configuration has ", count, " engines, expected one");
  return engine;
}

/// Whether an engine is deterministic, sums in f32, and in f32 uses no rounding or transform that loses digits.
bool is_accepted(const Descriptor& engine, const Convolution& c) {
  cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
  int64_t count = 0;
  check(cudnnBackendGetAttribute(engine.raw(), CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                 CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &count, notes),
        "engine");
  std::set<cudnnBackendNumericalNote_t> refused = {CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC,
                                                   CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION};
  if (c.dtype == DType::f32 && !c.tf32)
    refused.insert({CUDNN_NUMERICAL_NOTE_TENSOR_CORE, CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS,
                    CUDNN_NUMERICAL_NOTE_FFT, CUDNN_NUMERICAL_NOTE_WINOGRAD});
  for (int64_t i = 0; i < count; ++i)
    if (refused.contains(notes[i])) return false;
  return true;
}

/// The plan for one proposal. Null if the engine is not accepted, or if it does not support the graph or takes too much
/// workspace, which goes to `why`.
std::shared_ptr<const Plan> plan_of(const Descriptor& configuration, const Convolution& c, Pass pass,
                                    const Target& target, std::string& why) {
  try {
    const Descriptor engine = engine_of(configuration);
    if (!is_accepted(engine, c)) return nullptr;
    Descriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, "plan");
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, {configuration});
    if (target.handle != nullptr) plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, {target.handle});
    if (target.device != nullptr) plan.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, {*target.device});
    plan.finalize();
    const PlanFacts facts = {engine.integer(CUDNN_ATTR_ENGINE_GLOBAL_INDEX),
                             plan.integer(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE), pass == Pass::forward_with_bias};
    if (facts.workspace > c.max_workspace) {
      why = str_cat("engine ", facts.engine, " takes ", facts.workspace, " bytes of workspace, expected at most ",
                    c.max_workspace, " (cudnn_workspace, or the free memory)");
      return nullptr;
    }
    return std::make_shared<const Plan>(Plan{plan, facts});
  } catch (const NotSupported& e) {
    why = e.what();
    return nullptr;
  }
}

}  // namespace

void each_plan(const Convolution& c, Pass pass, const Target& target, std::string& why,
               const std::function<bool(std::shared_ptr<const Plan>)>& take) {
  for (const cudnnBackendHeurMode_t mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK}) {
    if (mode == CUDNN_HEUR_MODE_FALLBACK && pass == Pass::forward_with_bias) break;
    std::vector<Descriptor> all;
    try {
      all = proposals(graph(c, pass, target), mode, target);
    } catch (const NotSupported& e) {  // no engine of this mode does
      why = e.what();
    }
    for (const Descriptor& configuration : all)
      if (auto plan = plan_of(configuration, c, pass, target, why); plan != nullptr && take(plan)) return;
  }
}

namespace {

/// Null if there is none.
std::shared_ptr<const Plan> first_plan(const Convolution& c, Pass pass, const Target& target, std::string& why) {
  std::shared_ptr<const Plan> first;
  each_plan(c, pass, target, why, [&](std::shared_ptr<const Plan> plan) {
    first = std::move(plan);
    return true;
  });
  return first;
}

}  // namespace

std::shared_ptr<const Plan> make_plan(const Convolution& c, Pass pass, const Target& target) {
  std::string why = "no engine does it deterministically and in the precision asked for";
  if (pass == Pass::forward_with_bias) {
    if (auto plan = first_plan(c, pass, target, why)) return plan;
    pass = Pass::forward;
  }
  auto plan = first_plan(c, pass, target, why);
  if (plan == nullptr) fail("cuDNN has no plan for the ", name(pass), " of ", c, ": ", why);
  return plan;
}

namespace {

/// Describes the device of dry runs; empty for this machine's.
std::string& planned_device() {
  static auto& description = *new std::string;
  return description;
}

}  // namespace

void set_planned_device(const std::string& description) { planned_device() = description; }

std::shared_ptr<const Plan>& cached_plan(const Convolution& c, Pass pass) {
  // Never freed: at exit the driver may be gone first.
  static auto& plans = *new std::map<std::tuple<std::string, Convolution, Pass>, std::shared_ptr<const Plan>>;
  const std::string device = dry_run() ? planned_device() : "";
  std::shared_ptr<const Plan>& plan = plans[{device, c, pass}];
  if (plan == nullptr) plan = make_plan(c, pass, target_of(device));
  return plan;
}

PlanFacts find_plan(const Convolution& c, Pass pass, const std::string& device) {
  return make_plan(c, pass, target_of(device))->facts;
}

}  // namespace gt::cudnn

#endif
