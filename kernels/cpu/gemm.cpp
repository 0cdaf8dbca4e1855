#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // a false warning of GCC 12 on its AVX-512 intrinsics
#define EIGEN_DONT_PARALLELIZE                          // Eigen's blocks would depend on the number of threads
#include "kernels/cpu/gemm.h"

#include <Eigen/Core>
#include <algorithm>

#include "core/parallel.h"

namespace gt {
namespace {

constexpr int64_t block = 1 << 18;  // multiplications; at least 64 rows of y

}  // namespace

template <class T>
void multiply(int64_t m, int64_t n, int64_t k, const T* a, bool transpose_a, const T* b, bool transpose_b, T* y) {
  using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Rows = Eigen::Map<Matrix>;
  using ConstRows = Eigen::Map<const Matrix>;
  const ConstRows a_(a, transpose_a ? k : m, transpose_a ? m : k), b_(b, transpose_b ? n : k, transpose_b ? k : n);
  Rows y_(y, m, n);
  const int64_t block_rows = std::max<int64_t>(64, block / (n * k + 1));
  parallel_for(m, block_rows, [&](int64_t begin, int64_t end) {
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

template void multiply(int64_t, int64_t, int64_t, const float*, bool, const float*, bool, float*);
template void multiply(int64_t, int64_t, int64_t, const double*, bool, const double*, bool, double*);

}  // namespace gt
