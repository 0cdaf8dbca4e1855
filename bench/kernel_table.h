// The kernels of the op table's rows: registers, shared memory and occupancy.
#pragma once

#include <string>
#include <vector>

#include "kernels/cases/op_case.h"

namespace gt {

/// Prints a row for each kernel, block size and dynamic shared memory that the rows launch on CUDA, found by dry runs.
/// Kernels of libraries are not among them. The figures are the device's, or with `ptxas` (a folder) those of nvcc's
/// report for `arch`. What neither knows is "-", and null in the file `json` (none if empty). Throws Error in a build
/// without CUDA, or if there is no such report.
void print_kernels(const std::vector<OpCase>& cases, const std::string& ptxas, const std::string& arch,
                   const std::string& json);

}  // namespace gt
