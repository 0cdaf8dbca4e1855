// What the device tests share.
#pragma once

#include "core/device.h"
#include "tests/catch.h"

namespace gt {

/// On a machine without a device: says so and is true.
inline bool no_device() {
  if (cuda_status().state == CudaState::device) return false;
  WARN("skipped: no CUDA device: " << cuda_status().reason);
  return true;
}

}  // namespace gt
