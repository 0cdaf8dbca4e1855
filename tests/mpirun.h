// How tests start several processes.
#pragma once

#include <string>

namespace gt {

/// The start of a command that runs in `count` processes on this machine.
inline std::string mpirun(int count) {
  // Containers run as root, with fewer processors than processes, and do not let processes read each other's memory.
  // Open MPI leaks memory at its end, which AddressSanitizer would report.
  return "ASAN_OPTIONS=detect_leaks=0 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 "
         "OMPI_MCA_btl_vader_single_copy_mechanism=none "
         "OMPI_MCA_rmaps_base_oversubscribe=1 mpirun --bind-to none -np " +
         std::to_string(count) + " ";
}

}  // namespace gt
