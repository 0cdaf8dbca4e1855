// Results of `gradtrack gradcheck` as text, JSON and JUnit, and gradients as files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/json.h"
#include "kernels/cases/check_op.h"
#include "layers/module.h"

namespace gt {

/// The result of a row over all its seeds.
struct RowResult {
  std::string name;
  size_t sizes = 0;
  GradCheck check;              // the largest error, and the sum of elements
  int64_t runs = 0, wrong = 0;  // seeds, and those with an error above the limit
  double seconds = 0;

  /// ok; FAILED: wrong for every seed; FLAKY: wrong for some; DIFFERS: two runs gave other bits.
  const char* verdict() const;
  /// What is wrong, in one line; "" if nothing is.
  std::string message() const;
};

/// How the rows were checked.
struct GradCheckRun {
  std::string device;
  double limit = 1e-6;
  uint64_t seed = 0;
  int64_t repeat = 1;
  bool fast = false;
  std::vector<double> steps;  // empty: those of each row
};

/// {"limit": ..., ..., "checked": ..., "failed": ..., "rows": [{"name": ..., "verdict": ..., ...}]}
Json gradcheck_json(const GradCheckRun& run, const std::vector<RowResult>& rows);

/// A JUnit test suite with a test case for each row.
std::string gradcheck_junit(const std::vector<RowResult>& rows);

/// Writes gradients to folder/gradients.safetensors.
void write_gradients(const std::string& folder, const NamedTensors& gradients);

/// Prints the gradients of two folders side by side, the worst first. Returns the number of those that differ by more
/// than `limit` of their largest element. Throws Error, naming the file, if a gradient is in one folder only or has
/// another shape there.
int64_t print_gradient_differences(const std::string& a, const std::string& b, double limit);

}  // namespace gt
