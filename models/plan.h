// What a training step takes, known before it is taken: a dry run (core/dry_run.h) of one step.
#pragma once

#include <memory>

#include "core/profile.h"
#include "models/model.h"

namespace gt {

/// Bytes are those of buffers on the step's device: what the program asks for, to which a driver adds its own.
struct StepPlan {
  int64_t parameters = 0, optimizer = 0;  // held from step to step
  int64_t before = 0;                     // that others held when it began
  std::unique_ptr<Profile> profile;       // of the step: ranges "step", "forward", "backward", "update", and its ops

  /// The batch, its augmented images, and losses: what else is there when the forward pass begins.
  int64_t batch() const { return range("forward").live_before - before - parameters - optimizer; }
  /// What the forward pass leaves for the backward pass.
  int64_t kept() const { return range("forward").live_after - range("forward").live_before; }
  /// Of the parameters: what the update frees.
  int64_t gradients() const { return range("update").live_before - range("update").live_after; }
  /// The most at once, and the op that it is in.
  int64_t peak() const { return range("step").max_live - before; }
  const ProfiledRange& peak_op() const;
  /// The part of the step that an op is in: forward, backward, update, or step.
  const char* part_of(const ProfiledRange& op) const;

 private:
  const ProfiledRange& range(const char* name) const;
};

/// Of a batch of blank images with `fixations` each, as many masks as the recipe wants, and config.train.cuda_graph
/// off. What takes sizes from the data is the tracks alone, which are small. Throws Error as training would.
StepPlan plan_step(const Config& config, Device device, int64_t fixations = 40);

/// The same of a step that is taken.
StepPlan measure_step(const Config& config, Device device, int64_t fixations = 40);

}  // namespace gt
