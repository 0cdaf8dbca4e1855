// Reverse-mode differentiation.
//
// An op computes its outputs, then calls record(): a Node keeps the inputs and a lambda from output gradients to input
// gradients; what the lambda captures is what is saved (detached tensors only, else the graph owns itself). Nodes are
// numbered as they are made, so an op's consumers always have larger numbers: backward() takes the largest first from a
// heap, and by the time a node comes up its output gradients are complete. Nothing recurses, neither backward() nor the
// freeing of a graph, and every node with what it saved is freed as soon as it has been used.
#pragma once

#include <functional>

#include "core/tensor.h"

namespace gt {

/// dy has an entry per output, undefined where no gradient came; the result has one per input, undefined for none.
using Backward = std::function<Tensors(const Tensors& dy)>;

/// Makes `outputs` the results of op `name` on `inputs`, unless no input requires a gradient or NoGrad is on.
Tensors record(const char* name, Tensors outputs, Tensors inputs, Backward backward);

/// The same for an op of one output.
Tensor record(const char* name, Tensor output, Tensors inputs, std::function<Tensors(const Tensor& dy)> backward);

/// Adds d(output)/d(leaf), times `seed` (default 1, for a scalar), to the gradient of every leaf that requires one. The
/// graph is used up. Throws Error, naming the op, where a gradient's shape, type or device is not its tensor's.
void backward(const Tensor& output, const Tensor& seed = {});

/// An op as it was recorded.
struct RecordedOp {
  const char* name;
  Tensors inputs;
};

/// The ops that `output` came from, in the order in which they ran.
std::vector<RecordedOp> recorded_ops(const Tensor& output);

/// While one is alive, this thread records nothing.
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool before_;
};

/// Whether an op on these inputs would be recorded now.
bool will_record(const Tensors& inputs);

}  // namespace gt
