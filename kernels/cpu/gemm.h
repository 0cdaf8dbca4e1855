// Matrix product on the CPU.
#pragma once

#include <cstdint>

namespace gt {

/// y (m,n) = op(a) op(b), row-major. a is (m,k), or (k,m) if transposed; b is (k,n), or (n,k) if transposed. A sum adds
/// its terms in order, whatever the blocks and the width of vectors.
template <class T>
void multiply(int64_t m, int64_t n, int64_t k, const T* a, bool transpose_a, const T* b, bool transpose_b, T* y);

}  // namespace gt
