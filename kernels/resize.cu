// Bilinear resize, pixel centres at (i + 0.5) / n: x (B,H,W,C) -> y (B,H',W',C).
//
//   y = Ry x Rx^T      dx = Ry^T dy Rx
//
// R has two weights a row: output i of n' reads its axis of n inputs at s = max(0, (i + 0.5) n / n' - 0.5), between
// inputs floor(s) and floor(s) + 1 (the last one repeated). Rows go first: forward blends two whole rows into one,
// backward sums the few output rows that read an input row; an input row's gradient is made by one thread, in order.
//
// Saved: nothing. Forward writes y and reads two rows of x per row of y, in 3 FLOPs per element of a blended row and 3
// per element of y; backward writes dx and reads each row of dy twice, in 2 and 4.
#include <algorithm>
#include <vector>

#include "core/parallel.h"
#include "kernels/op.h"
#include "kernels/ops.h"

namespace gt {
namespace {

// ---- Maths ----------------------------------------------------------------------------------------------------------

/// An output's value is (1 - weight) x[lower] + weight x[upper].
struct Tap {
  int64_t lower, upper;
  double weight;

  /// Weight of an input.
  GT_HD double of(int64_t input) const { return (lower == input ? 1 - weight : 0) + (upper == input ? weight : 0); }
};

GT_HD inline Tap tap(int64_t output, int64_t inputs, int64_t outputs) {
  const double s = (double(output) + 0.5) * double(inputs) / double(outputs) - 0.5;
  const double inside = s > 0 ? s : 0;
  const int64_t floor = int64_t(inside), lower = floor < inputs ? floor : inputs - 1;
  return {lower, lower + 1 < inputs ? lower + 1 : lower, inside - double(lower)};
}

struct Resize {
  int64_t images, height, width, channels, out_height, out_width;
};

// ---- CPU ------------------------------------------------------------------------------------------------------------

namespace cpu {

std::vector<Tap> taps(int64_t inputs, int64_t outputs) {
  std::vector<Tap> list;
  for (int64_t i = 0; i < outputs; ++i) list.push_back(tap(i, inputs, outputs));
  return list;
}

template <class T>
void resize_forward(const Resize& r, const T* x, T* y) {
  const std::vector<Tap> rows = taps(r.height, r.out_height), columns = taps(r.width, r.out_width);
  const int64_t size = r.width * r.channels;
  parallel_for(r.images * r.out_height, 8, [&](int64_t begin, int64_t end) {
    std::vector<T> blend(static_cast<size_t>(size));
    for (int64_t k = begin; k < end; ++k) {
      const Tap& row = rows[size_t(k % r.out_height)];
      const T* lower = x + (k / r.out_height * r.height + row.lower) * size;
      const T* upper = x + (k / r.out_height * r.height + row.upper) * size;
      const T v = T(row.weight);
      T* from = blend.data();
#pragma omp simd
      for (int64_t i = 0; i < size; ++i) from[i] = lower[i] + v * (upper[i] - lower[i]);
      T* out = y + k * r.out_width * r.channels;
      for (const Tap& column : columns) {
        const T *a = from + column.lower * r.channels, *b = from + column.upper * r.channels;
        const T w = T(column.weight);
        for (int64_t c = 0; c < r.channels; ++c) *out++ = a[c] + w * (b[c] - a[c]);
      }
    }
  });
}

template <class T>
void resize_backward(const Resize& r, const T* dy, T* dx) {
  const std::vector<Tap> rows = taps(r.height, r.out_height), columns = taps(r.width, r.out_width);
  const int64_t size = r.out_width * r.channels;
  parallel_for(r.images * r.height, 8, [&](int64_t begin, int64_t end) {
    std::vector<T> blend(static_cast<size_t>(size));
    for (int64_t k = begin; k < end; ++k) {
      const int64_t input = k % r.height;
      std::fill(blend.begin(), blend.end(), T(0));
      T* sum = blend.data();
      auto row = std::partition_point(rows.begin(), rows.end(), [=](const Tap& t) { return t.upper < input; });
      for (; row != rows.end() && row->lower <= input; ++row) {  // the output rows that read this one
        const T* from = dy + (k / r.height * r.out_height + (row - rows.begin())) * size;
        const T v = T(row->of(input));
#pragma omp simd
        for (int64_t i = 0; i < size; ++i) sum[i] += v * from[i];
      }
      T* out = dx + k * r.width * r.channels;
      std::fill_n(out, r.width * r.channels, T(0));
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

#if GT_CUDA
namespace cuda = cpu;  // its CUDA bodies are not written yet
#endif

}  // namespace

// ---- The op ---------------------------------------------------------------------------------------------------------

Tensor resize_bilinear(const Tensor& x, int64_t height, int64_t width) {
  GT_CHECK(x.rank() == 4 && x.dim(1) > 0 && x.dim(2) > 0, "resize_bilinear: expected x (B,H,W,C), got ", x.shape());
  GT_CHECK(height > 0 && width > 0, "resize_bilinear: expected a size of at least 1x1, got ", height, "x", width);
  const Resize r{x.dim(0), x.dim(1), x.dim(2), x.dim(3), height, width};
  const Tensor y({r.images, height, width, r.channels}, x.dtype(), x.device());
  visit_float(x.dtype(), [&]<class T>() { GT_DISPATCH(x.device(), resize_forward, r, x.data<T>(), y.data<T>()); });
  return record("resize_bilinear", y, {x}, [r, shape = x.shape()](const Tensor& dy) -> Tensors {
    const Tensor dx(shape, dy.dtype(), dy.device());
    visit_float(dy.dtype(),
                [&]<class T>() { GT_DISPATCH(dy.device(), resize_backward, r, dy.data<T>(), dx.data<T>()); });
    return {dx};
  });
}

}  // namespace gt
