// Checks that every row of the table (op_case.h) is put through.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "kernels/cases/op_case.h"

namespace gt {

/// The result of a gradient check.
struct GradCheck {
  double worst = 0;      ///< largest relative error
  std::string where;     ///< its input and element, with both values
  int64_t elements = 0;  ///< number of elements compared
};

/// Compares the gradients of `op` from backward() with central differences of fourth order. inputs are f64, and at most
/// `max_elements` evenly spread elements of each are compared. An element's error is relative to the larger of its two
/// values, but at least to 1 % of the input's largest gradient, and to a million times what rounding of the outputs
/// does to a difference. Each of `steps` is tried, and the smallest error counts. A large step may cross a kink of a
/// network, and a small one drowns in rounding. A wrong gradient is wrong for all steps.
GradCheck check_gradients(const std::function<Tensors(const Tensors&)>& op, const Tensors& inputs, Random random,
                          int64_t max_elements = 200, const std::vector<double>& steps = {1e-4, 1e-3});

/// The inputs of a row, of a dtype, on a device. They do not depend on the device.
Tensors inputs_of(const OpCase& c, const Sizes& sizes, DType dtype, Device device = Device::cpu);

/// check_gradients() for a row at some sizes, on a device.
GradCheck check_gradients(const OpCase& c, const Sizes& sizes, Device device = Device::cpu, int64_t max_elements = 200);

/// The largest magnitude of a tensor's finite values.
double largest(const Tensor& x);

/// The largest difference of two tensors, relative to largest(b), or to `min_scale` if that is larger.
double relative_difference(const Tensor& a, const Tensor& b, double min_scale = 0);

/// The `min_scale` for an op's results: a twentieth of the largest of them. A sum whose terms cancel is small, but its
/// rounding error is not.
double min_scale(const Tensors& results);

/// The outputs of `op`, then the gradients of its inputs, for fixed random gradients of the outputs.
Tensors run_with_gradients(const std::function<Tensors(const Tensors&)>& op, const Tensors& inputs, Random random);

/// Whether shapes, dtypes and all bits of the elements are equal.
bool same_bits(const Tensor& a, const Tensor& b);

}  // namespace gt
