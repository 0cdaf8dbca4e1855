// Elementwise functions of tensors and of the autograd engine, on the tensors' device and outside the graph. Operands
// have one shape and device.
#pragma once

#include "core/tensor.h"

namespace gt {

/// x = value
void fill_elements(Tensor& x, double value);
/// y = x, converted to y's element type
void convert_elements(const Tensor& x, Tensor& y);
/// sum += x, for one type of real numbers
void add_elements(Tensor& sum, const Tensor& x);

}  // namespace gt
