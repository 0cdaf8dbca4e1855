// Matrix product y = op(a) op(b), op the identity or the transpose: (M,K) (K,N) -> (M,N).
//   d op(a) = dy op(b)^T,   d op(b) = op(a)^T dy; where a (or b) came transposed, so does its gradient.
// Saved for backward: a and b.
// Forward: 2 M N K FLOPs, reads a and b, writes y. Backward: as many FLOPs for each of da and db, each of which reads
// two of the matrices and writes the third.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12 sees it in its own AVX-512 intrinsics
#define EIGEN_DONT_PARALLELIZE                          // its blocks would depend on the number of threads
#include <Eigen/Core>
#include <algorithm>

#include "core/autograd.h"
#include "core/parallel.h"
#include "kernels/ops.h"

namespace gt {
namespace {

// ---- CPU ------------------------------------------------------------------------------------------------------------

namespace cpu {

constexpr int64_t block = 1 << 18;  // multiplications, but no fewer than 64 rows of y

/// y (m,n) = op(a) op(b); a is (m,k), or (k,m) if transposed, b is (k,n), or (n,k) if transposed.
template <class T>
void matmul(int64_t m, int64_t n, int64_t k, const T* a, bool transpose_a, const T* b, bool transpose_b, T* y) {
  using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Rows = Eigen::Map<Matrix>;
  using ConstRows = Eigen::Map<const Matrix>;
  const ConstRows a_(a, transpose_a ? k : m, transpose_a ? m : k), b_(b, transpose_b ? n : k, transpose_b ? k : n);
  Rows y_(y, m, n);
  const int64_t rows_at_once = std::max<int64_t>(64, block / (n * k + 1));
  parallel_for(m, rows_at_once, [&](int64_t begin, int64_t end) {
    auto to = y_.middleRows(begin, end - begin);
    const auto rows = a_.middleRows(transpose_a ? 0 : begin, transpose_a ? k : end - begin);
    const auto columns = a_.middleCols(transpose_a ? begin : 0, transpose_a ? end - begin : k);
    if (transpose_a && transpose_b)
      to.noalias() = columns.transpose() * b_.transpose();
    else if (transpose_a)
      to.noalias() = columns.transpose() * b_;
    else if (transpose_b)
      to.noalias() = rows * b_.transpose();
    else
      to.noalias() = rows * b_;
  });
}

}  // namespace cpu

#if GT_CUDA
namespace cuda = cpu;  // its CUDA bodies are not written yet
#endif

// ---- The op ---------------------------------------------------------------------------------------------------------

/// The product, unrecorded; shapes fit.
Tensor product(const Tensor& a, const Tensor& b, bool transpose_a, bool transpose_b) {
  const int64_t m = a.dim(transpose_a ? 1 : 0), k = a.dim(transpose_a ? 0 : 1), n = b.dim(transpose_b ? 0 : 1);
  const Tensor y({m, n}, a.dtype(), a.device());
  visit_float(a.dtype(), [&]<class T>() {
    GT_DISPATCH(a.device(), matmul, m, n, k, a.data<T>(), transpose_a, b.data<T>(), transpose_b, y.data<T>());
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
