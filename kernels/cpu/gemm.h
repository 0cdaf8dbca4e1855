// Matrix product on the CPU, by Eigen. Apart from gemm.cu because nvcc does not take Eigen without warnings.
#pragma once

#include <cstdint>

namespace gt {

/// y (m,n) = op(a) op(b); a is (m,k), or (k,m) if transposed, b is (k,n), or (n,k) if transposed. All row-major.
template <class T>
void multiply(int64_t m, int64_t n, int64_t k, const T* a, bool transpose_a, const T* b, bool transpose_b, T* y);

}  // namespace gt
