// The report of nvcc's assembler, ptxas, on the kernels of a build.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "core/kernel_info.h"

namespace gt {

/// A function's name with its template arguments, without its result and its parameters.
std::string without_parameters(std::string name);

/// Registers and static shared memory of each kernel, for one architecture.
class PtxasReport {
 public:
  /// Reads the files *.cu.o.ptxas below `build`, which tests/keep_ptxas_report writes. Throws Error if there are none,
  /// or none for the architecture, such as "sm_90".
  PtxasReport(const std::string& build, const std::string& arch);

  /// What the report says of the kernel with this kernel_name(). Parameters are not compared, as compilers write
  /// dependent types differently. Nothing if the report does not name the kernel, or if it names several with different
  /// figures: kernels of two files may have one name.
  std::optional<KernelResources> find(const std::string& kernel) const;

 private:
  void read(const std::string& path, const std::string& arch);

  std::map<std::string, std::optional<KernelResources>> kernels_;  // without parameters; empty if the figures differ
};

}  // namespace gt
