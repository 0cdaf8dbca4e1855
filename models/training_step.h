// One step of training on the model's device: augmentation, gaze maps, losses, gradients, update. On CUDA nothing in it
// waits for the device, and after the first step it is recorded as one CUDA graph (train.cuda_graph) and replayed.
#pragma once

#include <optional>
#include <vector>

#include "core/cuda_graph.h"
#include "models/model.h"

namespace gt {

/// Losses of one step, as numbers.
struct StepLosses {
  double total = 0, segmentation = 0;
  std::vector<double> track;  // one per level, coarsest first; empty in recipes without
};

class TrainingStep {
 public:
  /// `fixations` is the most that the tracks of a batch have; losses of `history` steps are kept until they are taken.
  TrainingStep(const Model& model, Optimizer& optimizer, const Config& config, int64_t fixations, int64_t history);

  /// One update at learning rate lr. Throws Error if `history` steps have not been taken.
  void run(const Batch& batch, double lr);

  /// Steps whose losses have not been taken.
  int64_t pending() const { return pending_; }

  /// Losses of the steps since the last call, in order. Waits for the device.
  std::vector<StepLosses> take_losses();

 private:
  void upload(const Batch& batch);
  void compute();

  const Model& model_;
  Optimizer& optimizer_;
  const int64_t fixations_;
  const bool replays_;
  std::vector<Upload> uploads_;
  Batch input_;          // on the device; the same tensors in every step
  Tensor losses_;        // (2 + levels) of the last step: total, segmentation, track ..
  Tensor history_;       // (history, 2 + levels)
  int64_t pending_ = 0;  // steps in history_ that have not been taken
  int64_t levels_ = 0;
  bool warm_ = false;  // a step has run: libraries have made their plans
  CudaGraph graph_;
};

}  // namespace gt
