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
  double total = 0;
  std::vector<double> terms;  // before weighting, in the order of Model::loss_terms()
};

class TrainingStep {
 public:
  /// `fixations`: the maximum over batches of the fixations of a batch. The losses of up to `history` steps are kept
  /// until they are taken.
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
  Tensor losses_;        // (1 + terms) of the last step: the total, then the terms
  Tensor history_;       // (history, 1 + terms)
  int64_t pending_ = 0;  // steps in history_ that have not been taken
  bool warm_ = false;    // after the first step, when libraries have made their plans
  CudaGraph graph_;
};

}  // namespace gt
