// Bilinear resize with pixel centres at (i + 0.5) / n: x (B,H,W,C) -> y (B,H',W',C).
//
//   y = Ry x Rx^T      dx = Ry^T dy Rx
//
// R has two weights in a row. Output i of n' reads its axis of n inputs at s = max(0, (i + 0.5) n / n' - 0.5), between
// inputs floor(s) and floor(s) + 1. The last input is repeated. On the CPU rows come first: forward blends two whole
// rows into one, backward sums the few output rows that read an input row. One thread makes an input row's gradient, in
// order.
//
// Saved: nothing. Forward writes y and reads two rows of x for each row of y. It takes 3 FLOPs an element of a blended
// row and 3 an element of y. Backward writes dx and reads each row of dy twice; it takes 2 and 4.
//
// CUDA: one launch each way; a thread takes 16 bytes of the channels of one pixel that is written. Forward takes 9
// FLOPs an element of y. For an enlargement by f, backward gathers 4 f^2 elements of dy an element of dx, 2 FLOPs each.
// What is read again is in the caches: device memory moves x and y, or dy and dx, once.
#include <algorithm>
#include <vector>

#include "core/launch.cuh"
#include "core/parallel.h"
#include "kernels/common/op_helpers.h"
#include "kernels/cuda/partition.cuh"
#include "kernels/cuda/vector.cuh"
#include "kernels/ops.h"

namespace gt {
namespace {

// ---- Maths ----------------------------------------------------------------------------------------------------------

/// One axis: its numbers of inputs and outputs.
struct Axis {
  int32_t inputs, outputs;
  double step, inverse;  // inputs per output, outputs per input

  Axis(int64_t n_in, int64_t n_out)
      : inputs(int32_t(n_in)), outputs(int32_t(n_out)), step(double(n_in) / double(n_out)), inverse(1 / step) {}
};

/// The inputs of an output, whose value is (1 - weight) x[lower] + weight x[upper].
struct Tap {
  int32_t lower, upper;
  double weight;

  /// The weight of this input; 0 unless it is lower or upper.
  GT_HD double of(int32_t input) const { return (lower == input ? 1 - weight : 0) + (upper == input ? weight : 0); }
};

GT_HD inline Tap tap(int32_t output, const Axis& axis) {
  const double s = (double(output) + 0.5) * axis.step - 0.5;
  const double inside = s > 0 ? s : 0;
  const int32_t floor = int32_t(inside), last = axis.inputs - 1, lower = floor < last ? floor : last;
  return {lower, lower < last ? lower + 1 : last, inside - double(lower)};
}

template <class T>
GT_HD inline T blend(T lower, T upper, T weight) {
  return lower + weight * (upper - lower);
}

/// The outputs [begin, end) that read an input.
struct Readers {
  int32_t begin, end;
};

/// Found by walking from a guess, because lower and upper never fall from one output to the next.
GT_HD inline Readers readers(int32_t input, const Axis& axis) {
  const double guess = (double(input) - 0.5) * axis.inverse;
  int32_t begin = guess <= 0 ? 0 : guess < axis.outputs ? int32_t(guess) : axis.outputs;
  while (begin > 0 && tap(begin - 1, axis).upper >= input) --begin;
  while (begin < axis.outputs && tap(begin, axis).upper < input) ++begin;
  int32_t end = begin;
  while (end < axis.outputs && tap(end, axis).lower <= input) ++end;
  return {begin, end};
}

struct Resize {
  int64_t images, channels;
  Axis rows, columns;
};

// ---- CPU ------------------------------------------------------------------------------------------------------------

namespace cpu {

std::vector<Tap> taps(const Axis& axis) {
  std::vector<Tap> list;
  for (int32_t i = 0; i < axis.outputs; ++i) list.push_back(tap(i, axis));
  return list;
}

template <class T>
void resize_forward(const Resize& r, const T* x, T* y) {
  const std::vector<Tap> rows = taps(r.rows), columns = taps(r.columns);
  const int64_t size = r.columns.inputs * r.channels, outputs = r.rows.outputs;
  parallel_for(r.images * outputs, 8, [&](int64_t begin, int64_t end) {
    std::vector<T> blended(static_cast<size_t>(size));
    for (int64_t k = begin; k < end; ++k) {
      const Tap& row = rows[size_t(k % outputs)];
      const T* lower = x + (k / outputs * r.rows.inputs + row.lower) * size;
      const T* upper = x + (k / outputs * r.rows.inputs + row.upper) * size;
      const T v = T(row.weight);
      T* from = blended.data();
#pragma omp simd
      for (int64_t i = 0; i < size; ++i) from[i] = blend(lower[i], upper[i], v);
      T* out = y + k * r.columns.outputs * r.channels;
      for (const Tap& column : columns) {
        const T *a = from + column.lower * r.channels, *b = from + column.upper * r.channels;
        const T w = T(column.weight);
        for (int64_t c = 0; c < r.channels; ++c) *out++ = blend(a[c], b[c], w);
      }
    }
  });
}

template <class T>
void resize_backward(const Resize& r, const T* dy, T* dx) {
  const std::vector<Tap> columns = taps(r.columns);
  const int64_t size = r.columns.outputs * r.channels, inputs = r.rows.inputs;
  parallel_for(r.images * inputs, 8, [&](int64_t begin, int64_t end) {
    std::vector<T> blended(static_cast<size_t>(size));
    for (int64_t k = begin; k < end; ++k) {
      std::fill(blended.begin(), blended.end(), T(0));
      T* sum = blended.data();
      const int32_t input = int32_t(k % inputs);
      const Readers rows = readers(input, r.rows);
      for (int32_t row = rows.begin; row < rows.end; ++row) {
        const T* from = dy + (k / inputs * r.rows.outputs + row) * size;
        const T v = T(tap(row, r.rows).of(input));
#pragma omp simd
        for (int64_t i = 0; i < size; ++i) sum[i] += v * from[i];
      }
      T* out = dx + k * r.columns.inputs * r.channels;
      std::fill_n(out, r.columns.inputs * r.channels, T(0));
      for (const Tap& column : columns) {
        T *a = out + column.lower * r.channels, *b = out + column.upper * r.channels;
        const T w = T(column.weight);
        for (int64_t c = 0; c < r.channels; ++c, ++sum) {
          const T g = *sum;
          a[c] += (1 - w) * g;
          b[c] += w * g;
        }
      }
    }
  });
}

}  // namespace cpu

// ---- CUDA -----------------------------------------------------------------------------------------------------------

#if GT_CUDA
using namespace gpu;

template <int N, class T>
__global__ void __launch_bounds__(RowPartition::threads)
    resize_forward_kernel(Resize r, RowPartition partition, const T* x, T* y) {
  const int64_t k = partition.row(), output = partition.column();
  if (output >= r.columns.outputs) return;
  const int64_t image = int32_t(k) / r.rows.outputs;
  const Tap row = tap(int32_t(k) % r.rows.outputs, r.rows), column = tap(int32_t(output), r.columns);
  const int64_t size = r.columns.inputs * r.channels;
  const T* lower = x + (image * r.rows.inputs + row.lower) * size;
  const T* upper = x + (image * r.rows.inputs + row.upper) * size;
  const int64_t left = column.lower * r.channels, right = column.upper * r.channels;
  const T v = T(row.weight), w = T(column.weight);
  y += (k * r.columns.outputs + output) * r.channels;
  for (int64_t c = partition.lane() * N; c < r.channels; c += partition.lanes * N) {
    const auto lower_left = load<N>(lower + left + c), lower_right = load<N>(lower + right + c);
    const auto upper_left = load<N>(upper + left + c), upper_right = load<N>(upper + right + c);
    Vector<T, N> value;
    for (int j = 0; j < N; ++j)
      value.v[j] = blend(blend(lower_left.v[j], upper_left.v[j], v), blend(lower_right.v[j], upper_right.v[j], v), w);
    store(y + c, value);
  }
}

template <int N, class T>
__global__ void __launch_bounds__(RowPartition::threads)
    resize_backward_kernel(Resize r, RowPartition partition, const T* dy, T* dx) {
  if (partition.column() >= r.columns.inputs) return;
  const int32_t k = int32_t(partition.row()), row = k % r.rows.inputs, column = int32_t(partition.column());
  const Readers rows = readers(row, r.rows), columns = readers(column, r.columns);
  dy += int64_t(k / r.rows.inputs) * r.rows.outputs * r.columns.outputs * r.channels;
  dx += (int64_t(k) * r.columns.inputs + column) * r.channels;
  for (int64_t c = partition.lane() * N; c < r.channels; c += partition.lanes * N) {
    Vector<T, N> sum{};
    for (int32_t i = rows.begin; i < rows.end; ++i) {
      const T v = T(tap(i, r.rows).of(row));
      const T* from = dy + (int64_t(i) * r.columns.outputs + columns.begin) * r.channels + c;
#pragma unroll 2
      for (int32_t o = columns.begin; o < columns.end; ++o, from += r.channels) {
        const T weight = v * T(tap(o, r.columns).of(column));
        const auto g = load<N>(from);
        for (int j = 0; j < N; ++j) sum.v[j] += weight * g.v[j];
      }
    }
    store(dx + c, sum);
  }
}

namespace cuda {

template <class T>
void resize_forward(const Resize& r, const T* x, T* y) {
  with_vectors<T>(r.channels, [&]<int N>() {
    const RowPartition partition(r.columns.outputs, r.channels / N);
    launch({partition.grid(r.images * r.rows.outputs), partition.threads}, resize_forward_kernel<N, T>, r, partition, x,
           y);
  });
}

template <class T>
void resize_backward(const Resize& r, const T* dy, T* dx) {
  with_vectors<T>(r.channels, [&]<int N>() {
    const RowPartition partition(r.columns.inputs, r.channels / N);
    launch({partition.grid(r.images * r.rows.inputs), partition.threads}, resize_backward_kernel<N, T>, r, partition,
           dy, dx);
  });
}

}  // namespace cuda
#endif

}  // namespace

// ---- The op ---------------------------------------------------------------------------------------------------------

Tensor resize_bilinear(const Tensor& x, int64_t height, int64_t width) {
  GT_CHECK(x.rank() == 4 && x.dim(1) > 0 && x.dim(2) > 0, "resize_bilinear: expected x (B,H,W,C), got ", x.shape());
  GT_CHECK(height > 0 && width > 0, "resize_bilinear: expected a size of at least 1 x 1, got ", height, " x ", width);
  for (const int64_t side : {x.dim(1), x.dim(2), height, width})
    GT_CHECK(side < int64_t(1) << 31, "resize_bilinear: expected sides below 2^31, got ", side);
  const Resize r{x.dim(0), x.dim(3), {x.dim(1), height}, {x.dim(2), width}};
  Tensor y({r.images, height, width, r.channels}, x.dtype(), x.device());
  visit_float(x.dtype(), [&]<class T>() { GT_DISPATCH(x.device(), resize_forward, r, operand<T>(x), operand<T>(y)); });
  return record("resize_bilinear", y, {x}, [r, shape = x.shape()](const Tensor& dy) -> Tensors {
    Tensor dx(shape, dy.dtype(), dy.device());
    visit_float(dy.dtype(),
                [&]<class T>() { GT_DISPATCH(dy.device(), resize_backward, r, operand<T>(dy), operand<T>(dx)); });
    return {dx};
  });
}

}  // namespace gt
