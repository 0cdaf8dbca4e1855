// The machine that benchmarks run on.
#pragma once

#include <string>

#include "core/device.h"

namespace gt {

/// Facts for a results file; "" stands for unknown.
struct Machine {
  std::string cpu;     ///< the processor's model
  std::string gpu;     ///< the CUDA device's name; empty if none is measured
  std::string driver;  ///< driver version, clocks, power limit and temperature as nvidia-smi prints them
  std::string date;    ///< now, UTC
};

/// The facts on this machine, and on its CUDA device if `with_gpu`.
Machine this_machine(bool with_gpu);

}  // namespace gt
