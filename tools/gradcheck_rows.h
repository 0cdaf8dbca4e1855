// What `gradtrack gradcheck` checks: every op of the table, and whole losses.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "kernels/cases/check_op.h"
#include "layers/module.h"

namespace gt {

/// An op at all its sizes, or the loss of a tiny network, in double.
struct GradCheckRow {
  std::string name;
  size_t sizes = 1;
  /// Compares gradients with differences. The result has the largest error and the sum of elements of all sizes. Empty
  /// options.steps are the row's own.
  std::function<GradCheck(const GradCheckOptions& options)> check;
  /// The gradients of all inputs, or parameters, by backward(), on the CPU. Their names begin with the row's.
  std::function<NamedTensors(uint64_t seed)> gradients;
};

/// All rows, on a device: ops, then networks, whose names begin with "network".
std::vector<GradCheckRow> gradcheck_rows(Device device);

}  // namespace gt
