// Comparison of the plan of a training step with the measured step.
#pragma once

#include "models/plan.h"
#include "tests/catch.h"

namespace gt {

inline Config small_config(const std::string& recipe) {
  Config c;
  c.recipe = recipe;
  c.data.size = 32;
  c.model.features = {8, 8, 16, 16, 24, 8};
  c.model.groups = 4;
  c.model.slope = 0.1;
  c.train.batch = 3;
  return c;
}

/// The ranges that are not inside an op. The emulated libraries have ranges there, and a dry run does not run them.
inline std::vector<ProfiledRange> outer_ranges(const Profile& profile) {
  std::vector<ProfiledRange> outer;
  for (const ProfiledRange& range : profile.ranges())
    if (outer.empty() || !outer.back().op || range.depth <= outer.back().depth) outer.push_back(range);
  return outer;
}

/// Checks that plan and measurement are equal: memory, and the ops with their bytes, FLOPs and launches.
inline void check_plan(const Config& config, Device device) {
  const StepPlan plan = plan_step(config, device), measurement = measure_step(config, device);
  CHECK(plan.parameters == measurement.parameters);
  CHECK(plan.optimizer == measurement.optimizer);
  CHECK(plan.batch() == measurement.batch());
  CHECK(plan.activations() == measurement.activations());
  CHECK(plan.gradients() == measurement.gradients());
  CHECK(plan.peak() == measurement.peak());
  CHECK(plan.gradients() == plan.parameters);
  CHECK(plan.optimizer >= (config.optimizer.kind == "sgd" ? 1 : 2) * plan.parameters);
  CHECK(plan.peak() > plan.parameters + plan.optimizer + plan.batch() + plan.activations());
  const std::vector<ProfiledRange> planned = outer_ranges(*plan.profile), measured = outer_ranges(*measurement.profile);
  REQUIRE(planned.size() > 50);
  REQUIRE(planned.size() == measured.size());
  for (size_t i = 0; i < planned.size(); ++i) {
    const ProfiledRange &p = planned[i], &m = measured[i];
    INFO(p.name << " " << p.label);
    CHECK(p.name == std::string(m.name));
    CHECK(p.label == m.label);
    CHECK(p.bytes == m.bytes);
    CHECK(p.flops == m.flops);
    CHECK(p.kernels == m.kernels);
    CHECK(p.library_calls == m.library_calls);
    CHECK(p.copies == m.copies);
    CHECK(p.workspace() == m.workspace());
    CHECK(p.max_live - plan.bytes_before == m.max_live - measurement.bytes_before);
  }
}

}  // namespace gt
