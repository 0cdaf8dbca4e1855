// What a device can do at most, measured: the floor under the time of an op is what its bytes and its operations take
// at these rates.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/device.h"

namespace gt {

/// What multiplies and adds: the cores, or a library's matrix products of bf16.
enum class Unit { f32, bf16_products };

struct Roof {
  double bytes_per_second = 0;          ///< of a copy well over the caches, read and written bytes both counted
  double flops_per_second = 0;          ///< of f32 multiply-adds, two operations each
  double bf16_products_per_second = 0;  ///< operations of a large product of bf16 matrices; on CUDA alone

  /// The least seconds that this work takes.
  double floor(double bytes, double flops, Unit unit) const {
    return std::max(bytes / bytes_per_second,
                    flops / (unit == Unit::f32 ? flops_per_second : bf16_products_per_second));
  }
};

/// Measured now, on as many threads as the ops use.
Roof measure_roof(Device device);

// Of a CUDA device, in roof_cuda.cu: one run each, on the stream.
namespace cuda {

/// Copies n floats, n a multiple of 4.
void copy_floats(const float* from, float* to, int64_t n);

/// Runs multiply-adds that depend on memory nowhere; the number of floating-point operations.
double multiply_adds(float* sink);

}  // namespace cuda
}  // namespace gt
