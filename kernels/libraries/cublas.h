// Matrix products by cuBLASLt. In an emulated build they run on the CPU (emulated.cpp).
#pragma once

#if GT_CUDA

#include <compare>
#include <cstdint>

#include "core/tensor.h"

namespace gt::cublas {

/// y (m,n) = op(a) op(b), row-major. a is (m,k), or (k,m) if transposed; b is (k,n), or (n,k) if transposed.
struct Product {
  int64_t m, n, k;
  bool transpose_a, transpose_b;
  DType dtype;  // of a, b and y: f32, f64 or bf16; sums are f32, or f64 for f64
  bool tf32;    // f32 only: inputs may be rounded to TF32
  auto operator<=>(const Product&) const = default;
};

/// Runs on the device, in the order of the project's stream, deterministically. Throws Error if cuBLASLt has no
/// algorithm.
void multiply(const Product& p, const void* a, const void* b, void* y);

}  // namespace gt::cublas

#endif
