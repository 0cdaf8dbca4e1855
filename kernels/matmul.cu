// Matrix product y = op(a) op(b), op the identity or the transpose: (M,K) (K,N) -> (M,N).
//   d op(a) = dy op(b)^T,   d op(b) = op(a)^T dy; where a (or b) came transposed, so does its gradient.
// Saved for backward: a and b.
// Forward: 2 M N K FLOPs, reads a and b, writes y. Backward: as many FLOPs for each of da and db, each of which reads
// two of the matrices and writes the third.
#include "core/autograd.h"
#include "kernels/common/numerics.h"
#include "kernels/cpu/gemm.h"
#include "kernels/libraries/cublas.h"
#include "kernels/ops.h"

namespace gt {
namespace {

// ---- CPU ------------------------------------------------------------------------------------------------------------

namespace cpu {

template <class T>
void matmul(int64_t m, int64_t n, int64_t k, const T* a, bool transpose_a, const T* b, bool transpose_b, T* y) {
  multiply(m, n, k, a, transpose_a, b, transpose_b, y);
}

}  // namespace cpu

// ---- CUDA -----------------------------------------------------------------------------------------------------------

#if GT_CUDA
namespace cuda {

template <class T>
void matmul(int64_t m, int64_t n, int64_t k, const T* a, bool transpose_a, const T* b, bool transpose_b, T* y) {
  const bool rounded = std::is_same_v<T, float> && tf32();
  cublas::multiply({m, n, k, transpose_a, transpose_b, dtype_of<T>(), rounded}, a, b, y);
}

}  // namespace cuda
#endif

// ---- The op ---------------------------------------------------------------------------------------------------------

/// The product, unrecorded; shapes fit.
Tensor product(const Tensor& a, const Tensor& b, bool transpose_a, bool transpose_b) {
  const int64_t m = a.dim(transpose_a ? 1 : 0), k = a.dim(transpose_a ? 0 : 1), n = b.dim(transpose_b ? 0 : 1);
  const Tensor y({m, n}, a.dtype(), a.device());
  visit_activation(a.dtype(), [&]<class T>() {
    GT_DISPATCH_ACTIVATION(T, a.device(), matmul, m, n, k, a.data<T>(), transpose_a, b.data<T>(), transpose_b,
                           y.data<T>());
  });
  return y;
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b, bool transpose_a, bool transpose_b) {
  GT_CHECK(a.rank() == 2 && b.rank() == 2 && a.dim(transpose_a ? 0 : 1) == b.dim(transpose_b ? 1 : 0) &&
               a.dtype() == b.dtype() && a.device() == b.device(),
           "matmul: expected (M,K) and (K,N) of one type and device, got ", a.dtype(), a.shape(),
           transpose_a ? " transposed" : "", " on ", a.device(), " and ", b.dtype(), b.shape(),
           transpose_b ? " transposed" : "", " on ", b.device());
  const bool a_needs = a.requires_grad(), b_needs = b.requires_grad();
  return record("matmul", product(a, b, transpose_a, transpose_b), {a, b},
                [=, a = a.detach(), b = b.detach()](const Tensor& dy) -> Tensors {
                  Tensor da, db;
                  if (a_needs)
                    da = transpose_a ? product(b, dy, transpose_b, true) : product(dy, b, false, !transpose_b);
                  if (b_needs)
                    db = transpose_b ? product(dy, a, true, transpose_a) : product(a, dy, !transpose_a, false);
                  return {da, db};
                });
}

}  // namespace gt
