// The passes of an op that are timed.
#pragma once

#include <functional>

#include "kernels/cases/op_case.h"

namespace gt {

/// Whether one of the inputs is differentiable.
bool has_gradients(const Tensors& inputs);

/// A call of the op alone.
std::function<void()> forward_pass(const std::function<Tensors(const Tensors&)>& op, const Tensors& inputs);

/// Forward, then backward from all outputs at once, through a node that gives each output a gradient of ones.
std::function<void()> both_passes(const std::function<Tensors(const Tensors&)>& op, const Tensors& inputs);

/// The sizes of a row as text: "8x224x224x64".
std::string size_label(const Sizes& sizes);

/// Sizes from such text, of as many numbers as `like` has. Throws Error, naming the row, for other text.
Sizes read_sizes(const std::string& text, const Sizes& like, const std::string& row);

}  // namespace gt
