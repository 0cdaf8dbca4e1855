// Matrix products by cuBLASLt. In an emulated build the same function runs on the CPU (libraries_emulated.cpp).
#pragma once

#if GT_CUDA

#include <compare>
#include <cstdint>

#include "core/tensor.h"

namespace gt::cublas {

/// y (m,n) = op(a) op(b), all row-major: a is (m,k), or (k,m) if transposed, b is (k,n), or (n,k) if transposed.
struct Product {
  int64_t m, n, k;
  bool transpose_a, transpose_b;
  DType dtype;  // of a, b and y: f32, f64 or bf16; sums are f32, for f64 f64
  bool tf32;    // f32 only: inputs may be rounded to TF32
  auto operator<=>(const Product&) const = default;
};

/// Runs on the device, in order with all else there; the same bits every time. Throws Error if cuBLASLt has no way to.
void multiply(const Product& p, const void* a, const void* b, void* y);

}  // namespace gt::cublas

#endif
