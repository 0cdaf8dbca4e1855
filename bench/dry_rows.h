// Dry runs of the op table's rows on CUDA: bytes, operations and launches. They need no GPU, and their tensors have
// sizes but no values.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "bench/report.h"
#include "core/profile.h"
#include "kernels/cases/op_case.h"

namespace gt {

/// The row's bytes and operations of a pass in f32; 0 if the row does not state them.
Cost cost(const OpCase& c, const Sizes& sizes, const std::string& pass);

/// The types that a row's activations may have on a device.
std::vector<DType> types_of(const OpCase& c, Device device);

/// What a pass does on CUDA.
struct DryWork {
  Profile::Total total;
  std::map<KernelLaunch, int64_t> launches;  ///< of this project's kernels, with the number of times
};

/// Counts a pass, "forward" or "both". The row's operations replace the counted ones if it states them. So do its bytes
/// in f32 if they are more: a dry run counts a buffer once that is read twice.
DryWork work_on_cuda(const OpCase& c, const Sizes& sizes, DType dtype, const std::string& pass);

/// Whether the row has a backward pass.
bool is_differentiable(const OpCase& c);

/// Prints what dry runs count, and writes it to options.json.
void predict(const std::vector<OpCase>& cases, const ReportOptions& options);

}  // namespace gt
