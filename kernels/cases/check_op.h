// What the rows of op_case.h are put through.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "kernels/cases/op_case.h"

namespace gt {

struct GradCheck {
  double worst = 0;      ///< the largest relative error
  std::string where;     ///< its input and element
  int64_t elements = 0;  ///< number of elements compared
};

/// Gradients of `op` at `inputs` (f64) by backward() against central differences of fourth order, element by element
/// (at most `most` elements of each input, evenly spread). The error of an element is relative to the larger of the two
/// values, but to no less than 1 % of that input's largest gradient, which is what rounding leaves meaningful. Of
/// several steps h the best counts: through a network a large one may step over a kink, a small one drowns in rounding,
/// and a wrong gradient is wrong with each.
GradCheck check_gradients(const std::function<Tensors(const Tensors&)>& op, const Tensors& inputs, Random random,
                          int64_t most = 200, const std::vector<double>& steps = {1e-4, 1e-3});

/// The inputs of a row on a device; what was differentiated still is.
Tensors inputs_of(const OpCase& c, const Sizes& sizes, DType dtype, Device device = Device::cpu);

GradCheck check_gradients(const OpCase& c, const Sizes& sizes, Device device = Device::cpu, int64_t most = 200);

/// The largest finite value of a tensor.
double largest(const Tensor& x);

/// Largest difference of two tensors relative to the largest value of the second, or to `least` if that is larger.
double relative_difference(const Tensor& a, const Tensor& b, double least = 0);

/// What an op's result is at least compared with: a twentieth of the largest of all its results, since a sum whose
/// terms cancel is small and its rounding is not.
double min_scale(const Tensors& results);

/// Outputs and, behind them, the gradients of all inputs under fixed random output gradients.
Tensors run_with_gradients(const std::function<Tensors(const Tensors&)>& op, const Tensors& inputs, Random random);

bool same_bits(const Tensor& a, const Tensor& b);

}  // namespace gt
