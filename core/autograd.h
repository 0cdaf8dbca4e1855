// Reverse-mode differentiation.
//
// An op computes its outputs and calls record(). A Node then holds a function from the gradients of the outputs (dy) to
// the gradients of the inputs (dx), and an edge for each input. The tensors that this function captures are what the op
// saves. They must be detached, or the graph would own itself. An edge leads to the node that computed the input, or to
// the leaf. It does not keep the elements of an input that an op computed.
//
// Nodes are numbered in the order of creation, so that every consumer of a node has a larger number. backward() takes
// the largest number first from a heap. All gradients of a node's outputs are then complete when the node is reached.
// Neither backward() nor freeing a graph recurses. Each node frees what it saved as soon as it has been used.
#pragma once

#include <functional>

#include "core/tensor.h"

namespace gt {

/// dy has an entry per output, undefined if no gradient reached that output. The result has an entry per input,
/// undefined for an input without a gradient.
using Backward = std::function<Tensors(const Tensors& dy)>;

/// Records `outputs` as the results of op `name` on `inputs`, and returns them. Records nothing if no input requires a
/// gradient or while NoGrad is alive.
Tensors record(const char* name, Tensors outputs, Tensors inputs, Backward backward);

/// Records an op of one output.
Tensor record(const char* name, Tensor output, Tensors inputs, std::function<Tensors(const Tensor& dy)> backward);

/// Adds d(output)/d(leaf), multiplied by `seed`, to the gradient of every leaf that requires one. `seed` has the shape
/// of `output` and defaults to 1 for one element. A graph can be used once. Throws Error with the op's name if a
/// gradient differs from its tensor in shape, type or device. `complete`, if given, is called once for each such leaf:
/// as soon as its gradient is complete or, if none reached it, at the end.
void backward(const Tensor& output, const Tensor& seed = {},
              const std::function<void(const Tensor& leaf)>& complete = nullptr);

/// An input of an op as it was recorded.
struct RecordedInput {
  bool defined;
  Shape shape;
  bool requires_grad;
  Tensor leaf;  // the input itself, if it is a leaf that requires a gradient
};

/// An op as it was recorded.
struct RecordedOp {
  const char* name;
  std::vector<RecordedInput> inputs;
};

/// The ops that `output` depends on, in the order in which they ran.
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

/// Whether record() would record an op on these inputs now.
bool will_record(const Tensors& inputs);

}  // namespace gt
