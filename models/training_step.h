// One training step on the model's device: augmentation, gaze maps, losses, gradients, update. With train.accumulate
// the gradients of several batches come before the update. On CUDA the host does not wait for the device. With
// train.cuda_graph, the second step is recorded as a CUDA graph, which later steps replay.
#pragma once

#include <optional>
#include <vector>

#include "core/cuda_graph.h"
#include "core/upload.h"
#include "layers/gradient_sum.h"
#include "models/model.h"

namespace gt {

/// The losses of one step as numbers, means over its batches, and the norm of its gradient.
struct StepLosses {
  double total = 0;
  std::vector<double> terms;  // before weighting, in the order of Model::loss_terms()
  double gradient_norm = 0;   // before clipping, of the whole batch; 0 without optimizer.clip
};

/// The largest number of fixations that a batch can have, from the number in each sample (not empty). Each epoch has
/// every sample once, but a batch that begins in one epoch and ends in another can hold a sample of both.
int64_t max_fixations(std::vector<int64_t> of_samples, int64_t batch);

/// Runs training steps of a model with an optimiser. Both must outlive it.
class TrainingStep {
 public:
  /// `fixations` is the largest number of fixations in a batch. The losses of at most `history` steps are stored until
  /// take_losses() returns them.
  TrainingStep(const Model& model, Optimizer& optimizer, const Config& config, int64_t fixations, int64_t history);

  /// From now on steps also update the average of the weights, which `averaged` predicts with. Both must outlive this.
  void keep_average(WeightAverage& average, const Model& averaged) { average_ = &average, averaged_ = &averaged; }

  /// From now on the batches are the parts that this process has, and their gradients are summed over the processes.
  /// `gradients` must outlive this.
  void share_batches(const BatchShare& share, GradientSum& gradients);

  /// One update with learning rate lr by the mean gradient of train.accumulate batches, with or without the losses of
  /// Track Attention. Throws Error if the losses of `history` steps are already stored.
  void run(const std::vector<Batch>& batches, double lr, bool attention_supervised = true);

  /// Number of steps whose losses are stored.
  int64_t pending() const { return pending_; }

  /// Returns and clears the stored losses, oldest first. They are those of this process's parts; the norms of gradients
  /// are those of the whole batches. Waits for the device.
  std::vector<StepLosses> take_losses();

 private:
  void upload(const std::vector<Batch>& batches);
  void compute();
  Tensor differentiate(const Batch& batch, bool last);
  void update();

  const Model& model_;
  Optimizer& optimizer_;
  WeightAverage* average_ = nullptr;
  const Model* averaged_ = nullptr;
  BatchShare share_;
  GradientSum* gradients_ = nullptr;
  const int64_t accumulate_;
  const int64_t fixations_;
  bool replays_;
  std::vector<PackedUpload> uploads_;  // of each batch
  std::vector<Batch> inputs_;          // on the device; every step uses these tensors
  Tensor losses_;                      // total and terms of the last step and, with optimizer.clip, the gradient's norm
  Tensor history_;                     // (history, values of losses_)
  int64_t pending_ = 0;                // steps stored in history_
  bool attention_supervised_ = true;   // in the recorded step
  bool warm_ = false;                  // the first step is done, so libraries have their plans
  CudaGraph graph_;
};

}  // namespace gt
