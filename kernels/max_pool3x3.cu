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
#include <limits>

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

/// Whether v takes the place of the maximum so far. The first of equal values and the first NaN stay.
template <class T>
GT_HD inline bool is_larger(T v, T maximum) {
  return v > maximum || (v != v && maximum == maximum);
}

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

template <class T>
void max_pool3x3_forward(const Windows& n, const T* x, T* y, uint8_t* index) {
  const int64_t columns = n.out_width();
  parallel_for(n.images * n.out_height(), 1 + block / (columns * n.channels), [=](int64_t begin, int64_t end) {
    for (int64_t pixel = begin * columns; pixel < end * columns; ++pixel) {
      const int64_t row = pixel / columns, b = row / n.out_height();
      const T* const image = x + b * n.height * n.width * n.channels;
      T* const to = y + pixel * n.channels;
      uint8_t* const at = index + pixel * n.channels;
      std::fill_n(to, n.channels, -std::numeric_limits<T>::infinity());
      std::fill_n(at, n.channels, uint8_t(4));  // the middle, which is inside: for a window of -infinity
      for (int tap = 0; tap < 9; ++tap) {
        const int64_t offset = offset_of_tap(n, row % n.out_height(), pixel % columns, tap);
        for (int64_t c = 0; c < n.channels && offset >= 0; ++c) {
          const T v = image[offset + c];
          const bool larger = is_larger(v, to[c]);
          to[c] = larger ? v : to[c];
          at[c] = larger ? uint8_t(tap) : at[c];
        }
      }
    }
  });
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
        for (int64_t c = 0; c < n.channels && in.tap >= 0; ++c)
          sum[c] += index[from + c] == in.tap ? dy[from + c] : T(0);
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
    C maxima[N];
    Vector<uint8_t, N> indices;
    for (int k = 0; k < N; ++k) maxima[k] = -std::numeric_limits<C>::infinity(), indices.v[k] = 4;
    for (int tap = 0; tap < 9; ++tap) {
      const int64_t offset = offset_of_tap(n, row % height, column, tap);
      if (offset < 0) continue;
      const auto values = load<N>(x + image + offset + c);
      for (int k = 0; k < N; ++k)
        if (const C v = C(values.v[k]); is_larger(v, maxima[k])) maxima[k] = v, indices.v[k] = uint8_t(tap);
    }
    Vector<T, N> largest;
    for (int k = 0; k < N; ++k) largest.v[k] = T(maxima[k]);
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
