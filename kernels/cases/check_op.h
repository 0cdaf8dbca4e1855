// Checks that every row of the table (op_case.h) is put through.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/cases/op_case.h"

namespace gt {

/// The result of a gradient check.
struct GradCheck {
  double worst = 0;       ///< largest relative error
  std::string where;      ///< its input and element, with both values
  int64_t elements = 0;   ///< number of elements, or directions, compared
  std::string differing;  ///< the first gradient whose bits differ in a second run; "" if none does
  /// Largest distance at which differences disagreed with a gradient that smaller steps confirm: a kink is nearer than
  /// this. 0 if no difference did.
  double kink = 0;

  /// Takes the result of further inputs in: the larger error, all elements.
  void add(const GradCheck& other);
};

struct GradCheckOptions {
  int64_t max_elements = 200;                ///< of each input, evenly spread
  std::vector<double> steps = {1e-4, 1e-3};  ///< of the differences; each is tried
  bool directional = false;                  ///< compare one random direction of each input instead of its elements
  uint64_t seed = 0;                         ///< of a row's inputs and of the random gradients of outputs
};

/// Compares the gradients of `op` from backward() with central differences of fourth order, for f64 inputs. An error is
/// relative to the larger of the two values. It is relative at least to 1 % of the input's largest gradient (its norm,
/// along a direction), and to a million times the rounding error of a difference. The smallest error over the steps
/// counts. A large step may cross a kink of a network, and a small one drowns in rounding. A wrong gradient is
/// wrong for all steps. A second run shows whether all gradients have the same bits.
GradCheck check_gradients(const std::function<Tensors(const Tensors&)>& op, const Tensors& inputs, Random random,
                          const GradCheckOptions& options = {});

/// The inputs of a row, of a dtype, on a device. They do not depend on the device.
Tensors inputs_of(const OpCase& c, const Sizes& sizes, DType dtype, Device device = Device::cpu, uint64_t seed = 0);

/// The random numbers that a check of a row draws the gradients of outputs from.
Random projection_of(const OpCase& c, uint64_t seed = 0);

/// check_gradients() for a row at some sizes, on a device.
GradCheck check_gradients(const OpCase& c, const Sizes& sizes, Device device = Device::cpu,
                          const GradCheckOptions& options = {});

/// The largest magnitude of a tensor's finite values.
double largest(const Tensor& x);

/// The largest difference of two tensors, relative to largest(b), or to `min_scale` if that is larger.
double relative_difference(const Tensor& a, const Tensor& b, double min_scale = 0);

/// The `min_scale` for an op's results: a twentieth of the largest of them. A sum whose terms cancel is small, but its
/// rounding error is not.
double min_scale(const Tensors& results);

/// The outputs of `op`, then the gradients of its inputs, for fixed random gradients of the outputs.
Tensors run_with_gradients(const std::function<Tensors(const Tensors&)>& op, const Tensors& inputs, Random random);

/// The gradient of each input that has one, with the input's index, for fixed random gradients of the outputs.
std::vector<std::pair<size_t, Tensor>> input_gradients(const std::function<Tensors(const Tensors&)>& op,
                                                       const Tensors& inputs, Random random);

/// Whether shapes, dtypes and all bits of the elements are equal.
bool same_bits(const Tensor& a, const Tensor& b);

}  // namespace gt
