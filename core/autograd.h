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
#include <string>
#include <utility>
#include <vector>

#include "core/tensor.h"

namespace gt {

/// dy has an entry per output, undefined if no gradient reached that output. The result has an entry per input,
/// undefined for an input without a gradient.
using Backward = std::function<Tensors(const Tensors& dy)>;

/// Numbers that an op is called with, such as a slope, under their names.
using Attributes = std::vector<std::pair<const char*, double>>;

/// An op as it is called. Its name and its attributes say what it computes from its inputs.
struct OpCall {
  OpCall(const char* op_name) : name(op_name) {}
  OpCall(const char* op_name, Attributes numbers) : name(op_name), attributes(std::move(numbers)) {}
  const char* name;
  Attributes attributes{};
};

/// Records `outputs` as the results of the op `call` on `inputs`, and returns them. Records nothing if no input
/// requires a gradient or while NoGrad is alive. A Trace lists the op in any case.
Tensors record(const OpCall& call, Tensors outputs, Tensors inputs, Backward backward);

/// Records an op of one output.
Tensor record(const OpCall& call, Tensor output, Tensors inputs, std::function<Tensors(const Tensor& dy)> backward);

/// What a node keeps of a tensor for its backward: the elements or, after recompute_in_backward(), how to compute them
/// again.
class Saved {
 public:
  Saved(const Tensor& t);
  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  Device device() const { return device_; }
  /// The tensor, outside the graph. It is computed again unless somebody has its elements.
  Tensor get() const;

 private:
  Shape shape_;
  DType dtype_;
  Device device_;
  Tensor elements_;  // undefined if they are to be computed
  std::shared_ptr<Recomputation> recomputation_;
};

/// Nodes that save `t` from now on, by Saved, keep `compute` instead of its elements. It must give a tensor like `t`
/// with the same bits, whenever it is called.
void recompute_in_backward(const Tensor& t, std::function<Tensor()> compute);

/// Adds d(output)/d(leaf), multiplied by `seed`, to the gradient of every leaf that requires one. `seed` has the shape
/// of `output` and defaults to 1 for one element. A graph can be used once. Throws Error with the op's name if a
/// gradient differs from its tensor in shape, type or device. `complete`, if given, is called once for each such leaf:
/// as soon as its gradient is complete or, if none reached it, at the end.
void backward(const Tensor& output, const Tensor& seed = {},
              const std::function<void(const Tensor& leaf)>& complete = nullptr);

/// An op that ran, with its tensors.
struct TracedOp {
  const char* name;
  Attributes attributes;
  Tensors inputs, outputs;

  /// Throws Error if there is no such attribute.
  double attribute(const std::string& key) const;
};

/// Lists the ops that this thread runs, with or without a gradient. It keeps their tensors, so that each element has an
/// address of its own: two tensors of one buffer and one shape hold the same values.
class Trace {
 public:
  Trace();  ///< throws Error if this thread has one
  ~Trace();
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  /// In the order in which they ran.
  const std::vector<TracedOp>& ops() const { return ops_; }

 private:
  friend Tensors record(const OpCall&, Tensors, Tensors, Backward);
  std::vector<TracedOp> ops_;
};

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
