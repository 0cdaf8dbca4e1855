// Plans of training steps against steps that were taken, on the CPU and on CUDA.
#pragma once

#include "models/plan.h"
#include "tests/catch.h"

namespace gt {

inline Config small_config(const std::string& recipe) {
  Config c;
  c.recipe = recipe;
  c.data.size = 32;
  c.model = {.features = {8, 8, 16, 16, 24, 8}, .groups = 4, .slope = 0.1};
  c.train.batch = 3;
  return c;
}

/// Without those inside of an op: what an emulation does in a library's place, which a dry run does not.
inline std::vector<ProfiledRange> outer_ranges(const Profile& profile) {
  std::vector<ProfiledRange> outer;
  for (const ProfiledRange& range : profile.ranges())
    if (outer.empty() || !outer.back().op || range.depth <= outer.back().depth) outer.push_back(range);
  return outer;
}

/// Byte by byte, launch by launch, op by op.
inline void check_plan(const Config& config, Device device) {
  const StepPlan plan = plan_step(config, device), step = measure_step(config, device);
  CHECK(plan.parameters == step.parameters);
  CHECK(plan.optimizer == step.optimizer);
  CHECK(plan.batch() == step.batch());
  CHECK(plan.kept() == step.kept());
  CHECK(plan.gradients() == step.gradients());
  CHECK(plan.peak() == step.peak());
  CHECK(plan.gradients() == plan.parameters);
  CHECK(plan.optimizer >= (config.optimizer.kind == "sgd" ? 1 : 2) * plan.parameters);
  CHECK(plan.peak() > plan.parameters + plan.optimizer + plan.batch() + plan.kept());
  const std::vector<ProfiledRange> planned = outer_ranges(*plan.profile), taken = outer_ranges(*step.profile);
  REQUIRE(planned.size() == taken.size());
  for (size_t i = 0; i < planned.size(); ++i) {
    const ProfiledRange &p = planned[i], &t = taken[i];
    INFO(p.name << " " << p.label);
    CHECK(p.name == std::string(t.name));
    CHECK(p.label == t.label);
    CHECK(p.bytes == t.bytes);
    CHECK(p.flops == t.flops);
    CHECK(p.kernels == t.kernels);
    CHECK(p.library_calls == t.library_calls);
    CHECK(p.copies == t.copies);
    CHECK(p.workspace() == t.workspace());
    CHECK(p.max_live - plan.before == t.max_live - step.before);
  }
}

}  // namespace gt
