// The peak rates of a device, measured. They give a lower bound of an op's time, from its bytes and its operations.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/device.h"

namespace gt {

/// The unit that multiplies and adds: the cores in f32, or the matrix units by a library's bf16 products.
enum class Unit { f32, bf16_products };

/// Peak rates of a device.
struct Roof {
  double bytes_per_second = 0;          ///< of a copy larger than the caches; bytes read plus bytes written
  double flops_per_second = 0;          ///< of f32 multiply-adds, two operations each
  double bf16_products_per_second = 0;  ///< operations of a large product of bf16 matrices; 0 on the CPU

  /// The lower bound of the time of this work, in seconds.
  double floor(double bytes, double flops, Unit unit) const {
    return std::max(bytes / bytes_per_second,
                    flops / (unit == Unit::f32 ? flops_per_second : bf16_products_per_second));
  }
};

/// Measures the rates, on as many threads as the ops use.
Roof measure_roof(Device device);

// The measured kernels, in roof_cuda.cu. Each call launches one on the stream. They throw Error in a build that does
// not measure CUDA.
namespace cuda {

/// Copies n floats; n must be a multiple of 4.
void copy_floats(const float* from, float* to, int64_t n);

/// Runs multiply-adds on registers. Returns the number of floating-point operations.
double multiply_adds(float* sink);

}  // namespace cuda
}  // namespace gt
