// Which machine measured.
#pragma once

#include <string>

#include "core/device.h"

namespace gt {

/// Facts for a results file; an empty one is not known.
struct Machine {
  std::string cpu;     ///< the processor's model
  std::string gpu;     ///< the CUDA device's name; empty where none is measured
  std::string driver;  ///< nvidia-smi's words on driver, clocks and power
  std::string date;    ///< now, UTC
};

Machine this_machine(bool with_gpu);

}  // namespace gt
