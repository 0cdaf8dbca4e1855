// Optimisers over a model's parameters, and the learning-rate schedule.
#pragma once

#include <string>

#include "core/config.h"
#include "layers/module.h"

namespace gt {

struct OptimizerOptions {
  std::string kind = "sgd";  // or adamw
  double lr = 1e-2;          // at the first iteration
  double lr_end = 1e-4;      // at the last, on a cosine
  double momentum = 0.9;     // sgd only
  double weight_decay = 4e-4;

  template <class V>
  void visit(V& v) {
    v("kind", kind, OneOf{"sgd", "adamw"}, Help{"the optimiser"});
    v("lr", lr, Range{0, 100}, Help{"learning rate at the first iteration"});
    v("lr_end", lr_end, Range{0, 100}, Help{"and at the last, on half a cosine"});
    v("momentum", momentum, Range{0, 1}, Help{"of sgd"});
    v("weight_decay", weight_decay, Range{0, 100}, Help{"added to the gradient (sgd), or decoupled (adamw)"});
  }
};

/// Learning rate of iteration k of n, counted from 0: lr at k = 0, falling to lr_end on half a cosine.
double cosine_lr(const OptimizerOptions& options, int64_t k, int64_t n);

class Optimizer {
 public:
  Optimizer(const OptimizerOptions& options, const Parameters& parameters);
  /// Counts a step and puts its rates on the parameters' device, where update() reads them.
  void prepare(double lr);
  /// One update from the parameters' gradients, which it clears. A CUDA graph may replay it, prepare() going before.
  void update();
  /// What must be saved to go on exactly: tensors "optimizer.<what>.<parameter>", and the number of steps done.
  NamedTensors state() const;
  void restore(const SafeTensors& file, int64_t steps, const std::string& source);
  int64_t steps() const { return steps_; }

 private:
  OptimizerOptions options_;
  NamedTensors parameters_;
  std::vector<std::pair<std::string, Tensors>> moments_;  // {"velocity"} or {"first_moment", "second_moment"}
  Tensor rates_;                                          // of the step
  int64_t steps_ = 0;
};

}  // namespace gt
