// Maximum over windows of 3 x 3 pixels, two apart, with one pixel of padding that never is the maximum:
//   y(b,r,p,c) = max over i, j in {0,1,2} of x(b,2r+i-1,2p+j-1,c) inside the image
//   dx(b,u,v,c) = sum of dy(b,r,p,c) over the windows whose first maximum, row by row, is (u,v). NaN counts as largest.
// x (B,H,W,C) with H and W even -> y (B,H/2,W/2,C).
//
// Saved: the index 3i + j of the maximum, a byte an output. With n outputs of s bytes, forward reads 4ns bytes and
// writes n(s + 1); backward reads n(s + 1) and writes 4ns. Forward takes 8n comparisons. Backward gathers: a pixel of x
// is in at most 4 windows, and sums their gradients in one order, 5n additions at most.
//
// CUDA: one launch each way; a thread takes 16 bytes of one pixel's channels. x and y may be bf16.
#include <algorithm>
#include <array>
#include <limits>
#include <tuple>
#include <vector>

#include "core/autograd.h"
#include "core/launch.cuh"
#include "core/parallel.h"
#include "kernels/common/op_helpers.h"
#include "kernels/cuda/partition.cuh"
#include "kernels/cuda/vector.cuh"
#include "kernels/ops.h"

namespace gt {
namespace {

// ---- Maths ----------------------------------------------------------------------------------------------------------

/// The pixels of an input of `height` x `width` pixels, which are even, and of its output.
struct Windows {
  int64_t images, height, width, channels;

  GT_HD int64_t out_height() const { return height / 2; }
  GT_HD int64_t out_width() const { return width / 2; }
};

/// The maximum of a window's pixels so far, and the tap it is at.
template <class T>
struct Maximum {
  T value = -std::numeric_limits<T>::infinity();
  int tap = 4;  // the middle, which is inside: for a window of -infinity

  /// Takes v if it is larger. The first of equal values and the first NaN stay. All choices are of values, so that a
  /// loop over it is vectorised.
  GT_HD void add(T v, int at) {
    const int tap_of_nan = value == value ? at : tap, tap_of_number = v > value ? at : tap;
    const T larger = v > value ? v : value;
    tap = v == v ? tap_of_number : tap_of_nan;
    value = v == v ? larger : v;
  }
};

/// Where a tap 3i + j of the window of output (r,p) is in the input: elements from the beginning of the image; -1 for
/// outside.
GT_HD inline int64_t offset_of_tap(const Windows& n, int64_t r, int64_t p, int tap) {
  const int64_t u = 2 * r + tap / 3 - 1, v = 2 * p + tap % 3 - 1;
  return u >= 0 && u < n.height && v >= 0 && v < n.width ? (u * n.width + v) * n.channels : -1;
}

/// A window that an input pixel is in.
struct Membership {
  int tap;         // the pixel's place in the window; -1: there is no such window
  int64_t offset;  // of the window's output: elements from the beginning of the image
};

/// The k-th of the windows, at most 4, that input pixel (u,v) is in.
GT_HD inline Membership window_of(const Windows& n, int64_t u, int64_t v, int k) {
  const int64_t r = u / 2 + k / 2, p = v / 2 + k % 2;
  if (2 * r > u + 1 || 2 * p > v + 1 || r >= n.out_height() || p >= n.out_width()) return {-1, 0};
  return {int(3 * (u - 2 * r + 1) + v - 2 * p + 1), (r * n.out_width() + p) * n.channels};
}

// ---- CPU ------------------------------------------------------------------------------------------------------------

namespace cpu {

constexpr int64_t block = 1 << 10;  // outputs

// Loops over floats and bytes together use short vectors. So indices are converted in loops of their own.
constexpr int64_t max_run = 64;  // channels at a time

/// Channels [begin, begin + n) of one pixel of the output, from the 9 pixels of its window; n is at most max_run.
template <class T>
void pool_run(int64_t begin, int64_t n, const std::array<const T*, 9>& taps, T* y, uint8_t* index) {
  int32_t at[max_run];
  const auto pool = [=, places = &at[0]](auto... x) {  // by value: nothing is read again after a store
#pragma omp simd
    for (int64_t c = begin; c < begin + n; ++c) {
      Maximum<T> maximum;
      int tap = 0;
      (maximum.add(x[c], tap++), ...);
      y[c] = maximum.value;
      places[c - begin] = maximum.tap;
    }
  };
  std::apply(pool, taps);
#pragma omp simd
  for (int64_t c = 0; c < n; ++c) index[begin + c] = uint8_t(at[c]);
}

template <class T>
void max_pool3x3_forward(const Windows& n, const T* x, T* y, uint8_t* index) {
  const int64_t columns = n.out_width();
  const std::vector<T> outside(size_t(n.channels), -std::numeric_limits<T>::infinity());
  parallel_for(n.images * n.out_height(), 1 + block / (columns * n.channels), [&](int64_t begin, int64_t end) {
    for (int64_t pixel = begin * columns; pixel < end * columns; ++pixel) {
      const int64_t row = pixel / columns, b = row / n.out_height();
      const T* const image = x + b * n.height * n.width * n.channels;
      std::array<const T*, 9> taps;
      for (int tap = 0; tap < 9; ++tap) {
        const int64_t offset = offset_of_tap(n, row % n.out_height(), pixel % columns, tap);
        taps[size_t(tap)] = offset < 0 ? outside.data() : image + offset;
      }
      for (int64_t c = 0; c < n.channels; c += max_run)
        pool_run(c, std::min(max_run, n.channels - c), taps, y + pixel * n.channels, index + pixel * n.channels);
    }
  });
}

/// sum += dy where the index is `tap`, for n channels, at most max_run.
template <class T>
void add_run(int64_t n, int tap, const uint8_t* index, const T* dy, T* sum) {
  int32_t at[max_run];
#pragma omp simd
  for (int64_t c = 0; c < n; ++c) at[c] = index[c];
#pragma omp simd
  for (int64_t c = 0; c < n; ++c) sum[c] += at[c] == tap ? dy[c] : T(0);
}

template <class T>
void max_pool3x3_backward(const Windows& n, const T* dy, const uint8_t* index, T* dx) {
  parallel_for(n.images * n.height, 1 + block / (n.width * n.channels), [=](int64_t begin, int64_t end) {
    for (int64_t pixel = begin * n.width; pixel < end * n.width; ++pixel) {
      const int64_t row = pixel / n.width, first = row / n.height * n.out_height() * n.out_width() * n.channels;
      T* const sum = dx + pixel * n.channels;
      std::fill_n(sum, n.channels, T(0));
      for (int k = 0; k < 4; ++k) {
        const Membership in = window_of(n, row % n.height, pixel % n.width, k);
        const int64_t from = first + in.offset;
        for (int64_t c = 0; c < n.channels && in.tap >= 0; c += max_run)
          add_run(std::min(max_run, n.channels - c), in.tap, index + from + c, dy + from + c, sum + c);
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
    max_pool3x3_forward_kernel(Windows n, RowPartition partition, const T* x, T* y, uint8_t* index) {
  using C = compute_t<T>;
  const int64_t row = partition.row(), column = partition.column(), height = n.out_height();
  if (column >= n.out_width()) return;
  const int64_t image = row / height * n.height * n.width * n.channels;
  const int64_t to = (row * n.out_width() + column) * n.channels;
  for (int64_t c = partition.lane() * N; c < n.channels; c += partition.lanes * N) {
    Maximum<C> maxima[N];
    for (int tap = 0; tap < 9; ++tap) {
      const int64_t offset = offset_of_tap(n, row % height, column, tap);
      if (offset < 0) continue;
      const auto values = load<N>(x + image + offset + c);
      for (int k = 0; k < N; ++k) maxima[k].add(C(values.v[k]), tap);
    }
    Vector<T, N> largest;
    Vector<uint8_t, N> indices;
    for (int k = 0; k < N; ++k) largest.v[k] = T(maxima[k].value), indices.v[k] = uint8_t(maxima[k].tap);
    store(y + to + c, largest);
    store(index + to + c, indices);
  }
}

template <int N, class T>
__global__ void __launch_bounds__(RowPartition::threads)
    max_pool3x3_backward_kernel(Windows n, RowPartition partition, const T* dy, const uint8_t* index, T* dx) {
  using C = compute_t<T>;
  const int64_t row = partition.row(), column = partition.column();
  if (column >= n.width) return;
  const int64_t image = row / n.height * n.out_height() * n.out_width() * n.channels;
  for (int64_t c = partition.lane() * N; c < n.channels; c += partition.lanes * N) {
    C sums[N] = {};
    for (int w = 0; w < 4; ++w) {
      const Membership in = window_of(n, row % n.height, column, w);
      if (in.tap < 0) continue;
      const auto gradient = load<N>(dy + image + in.offset + c);
      const auto indices = load<N>(index + image + in.offset + c);
      for (int k = 0; k < N; ++k)
        if (indices.v[k] == in.tap) sums[k] += C(gradient.v[k]);
    }
    Vector<T, N> total;
    for (int k = 0; k < N; ++k) total.v[k] = T(sums[k]);
    store(dx + (row * n.width + column) * n.channels + c, total);
  }
}

namespace cuda {

template <class T>
void max_pool3x3_forward(const Windows& n, const T* x, T* y, uint8_t* index) {
  with_vectors<T>(n.channels, [&]<int N>() {
    const RowPartition partition(n.out_width(), n.channels / N);
    launch({partition.grid(n.images * n.out_height()), partition.threads}, max_pool3x3_forward_kernel<N, T>, n,
           partition, x, y, index);
  });
}

template <class T>
void max_pool3x3_backward(const Windows& n, const T* dy, const uint8_t* index, T* dx) {
  with_vectors<T>(n.channels, [&]<int N>() {
    const RowPartition partition(n.width, n.channels / N);
    launch({partition.grid(n.images * n.height), partition.threads}, max_pool3x3_backward_kernel<N, T>, n, partition,
           dy, index, dx);
  });
}

}  // namespace cuda
#endif

}  // namespace

// ---- The op ---------------------------------------------------------------------------------------------------------

Tensor max_pool3x3(const Tensor& x) {
  GT_CHECK(x.rank() == 4 && x.dim(1) % 2 == 0 && x.dim(2) % 2 == 0 && x.size() > 0,
           "max_pool3x3: expected x (B,H,W,C) with H and W even, not empty, got ", x.shape());
  const Windows n{x.dim(0), x.dim(1), x.dim(2), x.dim(3)};
  const Shape half = {n.images, n.out_height(), n.out_width(), n.channels};
  Tensor y(half, x.dtype(), x.device()), index(half, DType::u8, x.device());
  visit_activation(x.dtype(), [&]<class T>() {
    GT_DISPATCH_ACTIVATION(T, x.device(), max_pool3x3_forward, n, operand<T>(x), operand<T>(y),
                           operand<uint8_t>(index));
  });
  return record("max_pool3x3", y, {x}, [=, shape = x.shape()](const Tensor& dy) -> Tensors {
    Tensor dx(shape, dy.dtype(), dy.device());
    visit_activation(dx.dtype(), [&]<class T>() {
      GT_DISPATCH_ACTIVATION(T, dx.device(), max_pool3x3_backward, n, operand<T>(dy), operand<uint8_t>(index),
                             operand<T>(dx));
    });
    return {dx};
  });
}

}  // namespace gt
