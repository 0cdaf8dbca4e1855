// Ops as nodes of ONNX. A trace of any forward pass becomes a graph, if the table in onnx_ops.cpp has its ops.
#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/autograd.h"
#include "layers/module.h"
#include "models/onnx_graph.h"

namespace gt {

/// The tensors of a trace that depend on one input. The others are constants.
class Dependents {
 public:
  Dependents(const std::vector<TracedOp>& ops, const Tensor& input);
  bool contains(const Tensor& t) const { return t.defined() && found_.count(key(t)) > 0; }

  /// What identifies the values of a tensor of a trace.
  using Key = std::pair<const void*, std::vector<int64_t>>;
  static Key key(const Tensor& t) { return {t.raw(), t.shape().dims()}; }

 private:
  std::set<Key> found_;
};

/// Appends the ops that lead from `input` to `outputs`, and returns the names of the outputs in the graph. `input` is
/// called `input_name` there. Constants are called by their names in `parameters`, if they are in there. Images
/// (B,H,W,C) are (B,C,H,W) in the graph. Throws Error, naming the op, for one that has no node in ONNX here.
std::vector<std::string> append_ops(OnnxGraph& graph, const std::vector<TracedOp>& ops, const Tensor& input,
                                    const std::string& input_name, const NamedTensors& parameters,
                                    const Tensors& outputs);

}  // namespace gt
