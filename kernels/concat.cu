// Ops that only move data.
//   reshape   one buffer under another shape, forward and backward.
//   concat    a (P,C1), b (P,C2), bias (C2) -> y (P,C1+C2): the channels of a, then those of b + bias, pixel by pixel.
//             Backward splits dy, and sums b's part over the pixels for dbias (C2).
// The bias is that of a transposed convolution, which cuDNN cannot add. Here it costs a FLOP an element and no bytes.
// Nor can cuDNN write b in its place in y: for pixels that are not contiguous it takes a workspace of b's size and
// copies.
//
// Saved: nothing. concat reads and writes each element once forward and once backward.
//
// CUDA: one launch forward; one backward, two with dbias; 16 bytes at a time if C1 and C2 are whole vectors. a, b and y
// may be bf16.
#include <algorithm>
#include <numeric>
#include <vector>

#include "core/launch.cuh"
#include "kernels/common/op_helpers.h"
#include "kernels/cpu/image_loops.h"
#include "kernels/cuda/pixel_passes.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/vector.cuh"
#include "kernels/ops.h"

namespace gt {
namespace {

struct ConcatShape {
  int64_t pixels, c1, c2;
  int64_t channels() const { return c1 + c2; }
};

// ---- CPU ------------------------------------------------------------------------------------------------------------

namespace cpu {

/// bias may be null.
template <class T>
void concat_forward(const ConcatShape& n, const T* a, const T* b, const T* bias, T* y) {
  for_pixels({1, n.pixels, n.channels()}, [=](int64_t p) {
    T* to = std::copy_n(a + p * n.c1, n.c1, y + p * n.channels());
    const T* from = b + p * n.c2;
    if (bias == nullptr)
      std::copy_n(from, n.c2, to);
    else
      for (int64_t c = 0; c < n.c2; ++c) to[c] = from[c] + bias[c];
  });
}

/// da, db and dbias may be null.
template <class T>
void concat_backward(const ConcatShape& n, const T* dy, T* da, T* db, T* dbias) {
  const ImageShape shape{1, n.pixels, n.channels()};
  std::vector<double> partial(dbias == nullptr ? 0 : size_t(image_blocks(shape) * n.c2));
  for_blocks(shape, [&](int64_t block, int64_t, int64_t begin, int64_t end) {
    for (int64_t p = begin / n.channels(); p < end / n.channels(); ++p) {
      const T *from = dy + p * n.channels(), *of_b = from + n.c1;
      if (da != nullptr) std::copy_n(from, n.c1, da + p * n.c1);
      if (db != nullptr) std::copy_n(of_b, n.c2, db + p * n.c2);
      if (dbias == nullptr) continue;
      double* sums = partial.data() + block * n.c2;
      for (int64_t c = 0; c < n.c2; ++c) sums[c] += double(of_b[c]);
    }
  });
  if (dbias == nullptr) return;
  std::vector<double> sums(size_t(n.c2), 0.0);
  for (size_t i = 0; i < partial.size(); ++i) sums[i % sums.size()] += partial[i];
  std::copy(sums.begin(), sums.end(), dbias);
}

}  // namespace cpu

// ---- CUDA -----------------------------------------------------------------------------------------------------------

#if GT_CUDA
using namespace gpu;

template <int W, class S, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads)
    concat_forward_kernel(ConcatShape n, PixelPartition partition, const S* a, const S* b, const T* bias, S* y) {
  for_channels<W, 4>(partition, n.c1 + n.c2, [=](int64_t, int64_t c) {
    const bool of_a = c < n.c1, add = !of_a && bias != nullptr;
    const int64_t width = of_a ? n.c1 : n.c2;
    const S* const from = of_a ? a + c : b + (c - n.c1);
    Vector<T, W> added{};
    if (add) added = load<W>(bias + (c - n.c1));
    return PixelPass{[=](int64_t p, int64_t) { return load<W>(from + p * width); },
                     [=](int64_t, int64_t i, Vector<S, W> v) {
                       if (add)
                         for (int w = 0; w < W; ++w) v.v[w] = S(T(v.v[w]) + added.v[w]);
                       store(y + i, v);
                     }};
  });
}

/// Splits dy, and sums its channels over the pixels of each block -> partial (blocks,C1+C2).
template <int W, class S, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads, 4)
    concat_backward_kernel(ConcatShape n, PixelPartition partition, const S* dy, S* da, S* db, double* partial) {
  store_partials<1, W, 4, T>(partition, n.c1 + n.c2, partial, [=](int64_t, int64_t c, T(&sums)[1][W]) {
    const bool of_a = c < n.c1;
    const int64_t width = of_a ? n.c1 : n.c2;
    S* const to = of_a ? da : db;
    return PixelPass{[=](int64_t, int64_t i) { return load<W>(dy + i); },
                     [=, &sums, first = of_a ? c : c - n.c1](int64_t p, int64_t, const Vector<S, W>& v) {
                       if (to != nullptr) store(to + p * width + first, v);
                       for (int w = 0; w < W; ++w) sums[0][w] += T(v.v[w]);
                     }};
  });
}

namespace cuda {

/// A thread takes W channels.
PixelPartition partition_pixels(const ConcatShape& n, int W) {
  return PixelPartition(1, n.pixels, next_power_of_two((n.channels() + W - 1) / W, row_threads));
}

/// bias may be null.
template <class S, class T = compute_t<S>>
void concat_forward(const ConcatShape& n, const S* a, const S* b, const T* bias, S* y) {
  with_vectors<S>(std::gcd(n.c1, n.c2), [&]<int W>() {
    const PixelPartition partition = partition_pixels(n, W);
    launch({partition.grid, row_threads}, concat_forward_kernel<W, S>, n, partition, a, b, bias, y);
  });
}

/// da, db and dbias may be null.
template <class S, class T = compute_t<S>>
void concat_backward(const ConcatShape& n, const S* dy, S* da, S* db, T* dbias) {
  with_vectors<S>(std::gcd(n.c1, n.c2), [&]<int W>() {
    const PixelPartition partition = partition_pixels(n, W);
    Tensor partial({partition.blocks, n.channels()}, DType::f64, Device::cuda);
    launch({partition.grid, row_threads}, concat_backward_kernel<W, S>, n, partition, dy, da, db,
           partial.data<double>());
    if (dbias != nullptr)
      reduce_partials(1, partition.blocks, n.c2, n.channels(), partial.data<double>() + n.c1,
                      StoreSums<T>{dbias, n.c2});
  });
}

}  // namespace cuda
#endif

}  // namespace

// ---- The ops --------------------------------------------------------------------------------------------------------

Tensor reshape(const Tensor& x, Shape shape) {
  GT_CHECK(x.size() == shape.size(), "reshape: x is ", x.shape(), ", expected the size of ", shape);
  return record("reshape", x.view(std::move(shape)), {x},
                [before = x.shape()](const Tensor& dy) -> Tensors { return {dy.view(before)}; });
}

Tensor concat(const Tensor& a, const Tensor& b, const Tensor& bias) {
  GT_CHECK(
      a.rank() >= 1 && a.rank() == b.rank() && std::equal(a.shape().begin(), a.shape().end() - 1, b.shape().begin()),
      "concat: expected (..,C1) and (..,C2), got ", a.shape(), " and ", b.shape());
  GT_CHECK(a.dtype() == b.dtype() && a.device() == b.device(), "concat: expected one type and device, got ", a.dtype(),
           " on ", a.device(), " and ", b.dtype(), " on ", b.device());
  const int64_t c1 = a.dim(-1), c2 = b.dim(-1);
  GT_CHECK(c1 + c2 > 0, "concat: expected at least one channel, got ", a.shape(), " and ", b.shape());
  const DType compute = compute_dtype(b.dtype());
  GT_CHECK(!bias.defined() || (bias.shape() == Shape{c2} && bias.dtype() == compute && bias.device() == b.device()),
           "concat: b is ", b.dtype(), b.shape(), " on ", b.device(), ", its bias ", bias.dtype(), bias.shape(), " on ",
           bias.device(), ", expected ", compute, Shape{c2});
  Shape shape = a.shape();
  shape.back() = c1 + c2;
  Tensor y(std::move(shape), a.dtype(), a.device());
  const ConcatShape n{y.size() / (c1 + c2), c1, c2};
  visit_activation(a.dtype(), [&]<class S>() {
    GT_DISPATCH_ACTIVATION(S, a.device(), concat_forward, n, operand<S>(a), operand<S>(b),
                           operand_or_null<compute_t<S>>(bias), operand<S>(y));
  });
  const bool a_needs = a.requires_grad(), b_needs = b.requires_grad(), bias_needs = bias.requires_grad();
  return record("concat", y, {a, b, bias}, [=, a_shape = a.shape(), b_shape = b.shape()](const Tensor& dy) -> Tensors {
    Tensor da = a_needs ? Tensor(a_shape, dy.dtype(), dy.device()) : Tensor{};
    Tensor db = b_needs ? Tensor(b_shape, dy.dtype(), dy.device()) : Tensor{};
    Tensor dbias = bias_needs ? Tensor({n.c2}, compute, dy.device()) : Tensor{};
    visit_activation(dy.dtype(), [&]<class S>() {
      GT_DISPATCH_ACTIVATION(S, dy.device(), concat_backward, n, operand<S>(dy), operand_or_null<S>(da),
                             operand_or_null<S>(db), operand_or_null<compute_t<S>>(dbias));
    });
    return {da, db, dbias};
  });
}

}  // namespace gt
