// What tensors and the engine do to single elements, on the tensors' device and outside the graph.
#pragma once

#include "core/tensor.h"

namespace gt {

void fill_elements(const Tensor& t, double value);
/// to = from, converted; one shape and device.
void convert_elements(const Tensor& from, const Tensor& to);
/// sum += x; one shape, type (of real numbers) and device.
void add_elements(const Tensor& sum, const Tensor& x);

}  // namespace gt
