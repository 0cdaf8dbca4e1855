// Matrix product y = op(a) op(b), each op the identity or the transpose: (M,K) (K,N) -> (M,N).
//   d op(a) = dy op(b)^T,   d op(b) = op(a)^T dy;   da and db are transposed if a and b were.
//
// Saved: a and b. Forward takes 2 M N K FLOPs, reads a and b and writes y. Backward takes as many FLOPs for each of da
// and db, and for each reads two matrices and writes the third.
#include "core/autograd.h"
#include "kernels/common/numerics.h"
#include "kernels/cpu/gemm.h"
#include "kernels/libraries/cublas.h"
#include "kernels/ops.h"

namespace gt {
namespace {

/// y (m,n) = op(a) op(b) with k terms a sum.
struct Product {
  int64_t m, n, k;
  bool transpose_a, transpose_b, tf32;
};

// ---- CPU ------------------------------------------------------------------------------------------------------------

namespace cpu {

template <class T>
void matmul(const Product& p, const T* a, const T* b, T* y) {
  multiply(p.m, p.n, p.k, a, p.transpose_a, b, p.transpose_b, y);
}

}  // namespace cpu

// ---- CUDA -----------------------------------------------------------------------------------------------------------

#if GT_CUDA
namespace cuda {

template <class T>
void matmul(const Product& p, const T* a, const T* b, T* y) {
  const bool tf32 = std::is_same_v<T, float> && p.tf32;
  cublas::multiply({p.m, p.n, p.k, p.transpose_a, p.transpose_b, dtype_of<T>(), tf32}, a, b, y);
}

}  // namespace cuda
#endif

// ---- The op ---------------------------------------------------------------------------------------------------------

/// The product without a record. The shapes must fit.
Tensor product(const Tensor& a, const Tensor& b, bool transpose_a, bool transpose_b, bool tf32) {
  const Product p{a.dim(transpose_a ? 1 : 0),
                  b.dim(transpose_b ? 0 : 1),
                  a.dim(transpose_a ? 0 : 1),
                  transpose_a,
                  transpose_b,
                  tf32};
  Tensor y({p.m, p.n}, a.dtype(), a.device());
  visit_activation(a.dtype(), [&]<class T>() {
    GT_DISPATCH_ACTIVATION(T, a.device(), matmul, p, operand<T>(a), operand<T>(b), operand<T>(y));
  });
  return y;
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b, bool transpose_a, bool transpose_b, const Numerics& numerics) {
  GT_CHECK(a.rank() == 2 && b.rank() == 2 && a.dim(transpose_a ? 0 : 1) == b.dim(transpose_b ? 1 : 0) &&
               a.dtype() == b.dtype() && a.device() == b.device(),
           "matmul: expected (M,K) and (K,N) of one type and device, got ", a.dtype(), a.shape(),
           transpose_a ? " transposed" : "", " on ", a.device(), " and ", b.dtype(), b.shape(),
           transpose_b ? " transposed" : "", " on ", b.device());
  const bool a_needs = a.requires_grad(), b_needs = b.requires_grad();
  return record(
      "matmul", product(a, b, transpose_a, transpose_b, numerics.tf32), {a, b},
      [=, a = a.detach(), b = b.detach(), tf32 = numerics.tf32](const Tensor& dy) -> Tensors {
        Tensor da, db;
        if (a_needs)
          da = transpose_a ? product(b, dy, transpose_b, true, tf32) : product(dy, b, false, !transpose_b, tf32);
        if (b_needs)
          db = transpose_b ? product(dy, a, true, transpose_a, tf32) : product(a, dy, !transpose_a, false, tf32);
        return {da, db};
      });
}

}  // namespace gt
