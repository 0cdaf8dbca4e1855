// Memory, work and launches of a training step, determined by a dry run (core/dry_run.h) that computes nothing.
#pragma once

#include <memory>

#include "core/profile.h"
#include "models/model.h"

namespace gt {

/// The memory and the profile of one training step. With train.accumulate it has several batches, whose ranges
/// "forward" and "backward" follow each other; what is said of a pass is that of the first batch. Sizes are bytes of
/// the program's buffers on the step's device. They do not include what a driver or a library allocates internally.
struct StepPlan {
  int64_t parameters = 0, optimizer = 0;  // bytes that exist during the whole training
  int64_t bytes_before = 0;               // bytes that existed before the model was made
  std::unique_ptr<Profile> profile;       // ranges "step", "forward", "backward", "update", and the ops in them

  /// Bytes of the batches, the augmented images and the losses when the forward pass begins.
  int64_t batch() const { return range("forward").live_before - bytes_before - parameters - optimizer; }
  /// Bytes of activations that the forward pass saves for the backward pass.
  int64_t activations() const { return range("forward").live_after - range("forward").live_before; }
  /// Bytes of the parameters' gradients, which the update frees.
  int64_t gradients() const { return range("update").live_before - range("update").live_after; }
  /// Bytes at the peak of the step.
  int64_t peak() const { return range("step").max_live - bytes_before; }
  /// The op during which memory peaks, or the range "step" if it is outside of ops.
  const ProfiledRange& peak_op() const;
  /// The part of the step that contains an op: "forward", "backward", "update", or "step" outside of these.
  const char* part_of(const ProfiledRange& op) const;

 private:
  const ProfiledRange& range(const char* name) const;
};

/// Plans a step with a batch of blank images, each with `fixations` fixations and with the masks that the recipe needs.
/// Only the tracks, which are small, have sizes that depend on the data. The step is not recorded as a CUDA graph.
/// Throws Error if training with this configuration would.
StepPlan plan_step(const Config& config, Device device, int64_t fixations = 40);

/// The plan of plan_step(), measured by running the step.
StepPlan measure_step(const Config& config, Device device, int64_t fixations = 40);

}  // namespace gt
