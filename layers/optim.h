// Optimisers over a model's parameters, and the learning-rate schedule.
#pragma once

#include <optional>
#include <string>

#include "core/config.h"
#include "core/upload.h"
#include "layers/module.h"

namespace gt {

struct OptimizerOptions {
  std::string kind = "sgd";            // sgd or adamw
  double lr = 1e-2;                    // learning rate at the first iteration
  double lr_end = 1e-4;                // at the last iteration, on a cosine
  std::string schedule = "iteration";  // the learning rate changes after each iteration or epoch
  int64_t warmup = 0;                  // iterations in which the learning rate rises
  double momentum = 0.9;               // sgd only
  bool nesterov = false;               // sgd only
  double weight_decay = 4e-4;
  double clip = 0;  // largest norm of the gradient; 0 for no limit

  template <class V>
  void visit(V& v) {
    v("kind", kind, OneOf{"sgd", "adamw"}, Help{"the optimiser"});
    v("lr", lr, Range{0, 100}, Help{"learning rate at the first iteration"});
    v("lr_end", lr_end, Range{0, 100}, Help{"and at the last, on half a cosine"});
    v("schedule", schedule, OneOf{"iteration", "epoch"}, Help{"when the learning rate changes: after each"});
    v("warmup", warmup, Range{0, 1e9}, Help{"first part, in which the learning rate rises linearly", "iterations"});
    v("momentum", momentum, Range{0, 1}, Help{"of sgd"});
    v("nesterov", nesterov, Help{"sgd: Nesterov's momentum"});
    v("weight_decay", weight_decay, Range{0, 100}, Help{"added to the gradient (sgd), or decoupled (adamw)"});
    v("clip", clip, Range{0, 1e9},
      Help{"largest L2 norm of the whole gradient, which is scaled down to it; 0 for no limit"});
  }
};

/// The learning rate of iteration k of n, counted from 0: lr at k = 0, falling to lr_end on half a cosine. By the
/// schedule "epoch", k and n count the epochs begun instead; an epoch is images / batch iterations, each of which takes
/// `batch` images. In the first `warmup` iterations it is multiplied by (k + 1) / warmup.
double cosine_lr(const OptimizerOptions& options, int64_t k, int64_t n, int64_t batch, int64_t images);

/// An optimiser and its state for the parameters of a model.
class Optimizer {
 public:
  Optimizer(const OptimizerOptions& options, const Parameters& parameters);
  /// Begins a step: counts it, and writes its rates to the parameters' device, where update() reads them.
  void prepare(double lr);
  /// Updates the parameters from their gradients, and clears these. A CUDA graph may replay it after prepare().
  void update();
  /// With options.clip, the L2 norm of the last update's gradients before they were clipped, and the factor that they
  /// were multiplied by: (2) f64 on the parameters' device, which the next update overwrites. Otherwise undefined.
  const Tensor& clip() const { return clip_; }
  /// What must be saved besides steps() to continue exactly: tensors "optimizer.<moment>.<parameter>".
  NamedTensors state() const;
  /// Restores state() from `file` and steps(). Throws Error, naming `source` and the tensor, if one is missing or has
  /// another shape.
  void restore(const SafeTensors& file, int64_t steps, const std::string& source);
  int64_t steps() const { return steps_; }  ///< steps begun

 private:
  OptimizerOptions options_;
  NamedTensors parameters_;
  std::vector<std::pair<std::string, Tensors>> moments_;  // {"velocity"} or {"first_moment", "second_moment"}
  std::optional<Upload> rates_;                           // of the current step
  Tensor clip_;
  int64_t steps_ = 0;
};

/// The moving average of a model's parameters, in the parameters of another model of the same kind.
class WeightAverage {
 public:
  /// Both must outlive this. The averages become the parameters' present values, as by reset().
  WeightAverage(double decay, const Parameters& parameters, Parameters& averages);
  /// Makes the averages the parameters' present values.
  void reset();
  /// Begins a step: counts it, and writes its rate to the device. The first steps' decay is smaller: (1 + t) / (10 + t)
  /// after t steps, if that is below `decay`. The average so forgets the initial values.
  void prepare();
  /// Takes the parameters into the average. A CUDA graph may replay it after prepare().
  void update();
  /// What must be saved besides the number of steps to continue exactly: tensors "average.<parameter>".
  NamedTensors state() const;
  /// Restores state() from `file` after `steps` steps. Throws Error, naming `source` and the tensor, if one is missing
  /// or has another shape.
  void restore(const SafeTensors& file, int64_t steps, const std::string& source);

 private:
  double decay_;
  Tensors parameters_;
  NamedTensors averages_;
  std::optional<Upload> rates_;  // of the current step
  int64_t steps_ = 0;
};

}  // namespace gt
