// Maximum over blocks of 2 x 2 pixels: y(b,r,p,c) = max over i, j in {0,1} of x(b,2r+i,2p+j,c).
//   dx(b,2r+i,2p+j,c) = dy(b,r,p,c) if (i,j) is the first maximum, row by row, else 0. NaN counts as largest.
// x (B,H,W,C) with H and W even -> y (B,H/2,W/2,C).
//
// Saved: the index 2i + j of the maximum, a byte an output. That is a 16th of x's memory in f32, and backward need not
// read x again, which would double its bytes. With n outputs of s bytes, forward reads 4ns bytes and writes n(s + 1);
// backward reads n(s + 1) and writes 4ns. If x also goes to a skip connection, backward adds that gradient as it
// writes, and reads 4ns more; adding it afterwards would move 12ns. A pass takes 3n comparisons.
//
// CUDA: one launch each way; a thread takes 16 bytes of one output's channels. x and y may be bf16.
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

template <class T>
GT_HD inline T larger(T a, T b) {
  const T max = a > b ? a : b;
  return a == a ? max : a;
}

template <class T>
GT_HD inline T largest(T x0, T x1, T x2, T x3) {
  return larger(larger(x3, x2), larger(x1, x0));
}

/// The index of the first maximum; 3 if the maximum is NaN. Without branches, so that a loop over it is vectorised.
template <class T>
GT_HD inline uint8_t index_of(T maximum, T x0, T x1, T x2) {
  int index = 3;
  index = x2 == maximum ? 2 : index;
  index = x1 == maximum ? 1 : index;
  return uint8_t(x0 == maximum ? 0 : index);
}

// ---- CPU ------------------------------------------------------------------------------------------------------------

namespace cpu {

constexpr int64_t block = 1 << 10;  // outputs

/// One pixel of the output from the upper left one of its four pixels; rows of x have `pitch` elements.
template <class T>
void pool_pixel(int64_t channels, int64_t pitch, const T* x, T* y, uint8_t* index) {
#pragma omp simd simdlen(16)
  for (int64_t c = 0; c < channels; ++c) {
    const T v0 = x[c], v1 = x[c + channels], v2 = x[c + pitch], max = largest(v0, v1, v2, x[c + pitch + channels]);
    y[c] = max;
    index[c] = index_of(max, v0, v1, v2);
  }
}

/// `rows`, of all images, and `width` are those of the output; x has 2 rows of 2 width pixels for each.
template <class T>
void max_pool2x2_forward(int64_t rows, int64_t width, int64_t channels, const T* x, T* y, uint8_t* index) {
  const int64_t pitch = 2 * width * channels;
  parallel_for(rows, 1 + block / (width * channels), [=](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      for (int64_t p = 0; p < width; ++p) {
        const int64_t to = (row * width + p) * channels;
        pool_pixel(channels, pitch, x + 2 * (row * pitch + p * channels), y + to, index + to);
      }
  });
}

/// The gradient of the four pixels of one output pixel, plus `skip`, the gradient from the skip connection.
template <bool has_skip, class T>
void unpool_pixel(int64_t channels, int64_t pitch, const T* dy, const uint8_t* index, const T* skip, T* dx) {
  const auto with_skip = [=](T g, int64_t i) { return has_skip ? g + skip[i] : g; };
#pragma omp simd simdlen(16)
  for (int64_t c = 0; c < channels; ++c) {
    const int at = index[c];
    dx[c] = with_skip(at == 0 ? dy[c] : T(0), c);
    dx[c + channels] = with_skip(at == 1 ? dy[c] : T(0), c + channels);
    dx[c + pitch] = with_skip(at == 2 ? dy[c] : T(0), c + pitch);
    dx[c + pitch + channels] = with_skip(at == 3 ? dy[c] : T(0), c + pitch + channels);
  }
}

/// skip may be null.
template <class T>
void max_pool2x2_backward(int64_t rows, int64_t width, int64_t channels, const T* dy, const uint8_t* index,
                          const T* skip, T* dx) {
  const int64_t pitch = 2 * width * channels;
  parallel_for(rows, 1 + block / (width * channels), [=](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      for (int64_t p = 0; p < width; ++p) {
        const int64_t from = (row * width + p) * channels, to = 2 * (row * pitch + p * channels);
        if (skip == nullptr)
          unpool_pixel<false>(channels, pitch, dy + from, index + from, skip, dx + to);
        else
          unpool_pixel<true>(channels, pitch, dy + from, index + from, skip + to, dx + to);
      }
  });
}

}  // namespace cpu

// ---- CUDA -----------------------------------------------------------------------------------------------------------

#if GT_CUDA
using namespace gpu;

template <int N, class T>
__global__ void __launch_bounds__(RowPartition::threads)
    max_pool2x2_forward_kernel(int64_t width, int64_t channels, RowPartition partition, const T* x, T* y,
                               uint8_t* index) {
  using C = compute_t<T>;
  const int64_t row = partition.row(), column = partition.column(), pitch = 2 * width * channels;
  if (column >= width) return;
  x += row * 2 * pitch + column * 2 * channels;
  const int64_t to = (row * width + column) * channels;
  for (int64_t c = partition.lane() * N; c < channels; c += partition.lanes * N) {
    const auto x0 = load<N>(x + c), x1 = load<N>(x + c + channels);
    const auto x2 = load<N>(x + c + pitch), x3 = load<N>(x + c + pitch + channels);
    Vector<T, N> values;
    Vector<uint8_t, N> indices;
    for (int j = 0; j < N; ++j) {
      const C v0 = C(x0.v[j]), v1 = C(x1.v[j]), v2 = C(x2.v[j]), max = largest(v0, v1, v2, C(x3.v[j]));
      values.v[j] = T(max);
      indices.v[j] = index_of(max, v0, v1, v2);
    }
    store(y + to + c, values);
    store(index + to + c, indices);
  }
}

template <int N, class T>
__global__ void __launch_bounds__(RowPartition::threads)
    max_pool2x2_backward_kernel(int64_t width, int64_t channels, RowPartition partition, const T* dy,
                                const uint8_t* index, const T* skip, T* dx) {
  using C = compute_t<T>;
  const int64_t row = partition.row(), column = partition.column(), pitch = 2 * width * channels;
  if (column >= width) return;
  const int64_t from = (row * width + column) * channels, first = row * 2 * pitch + column * 2 * channels;
  for (int64_t c = partition.lane() * N; c < channels; c += partition.lanes * N) {
    const auto gradient = load<N>(dy + from + c);
    const auto indices = load<N>(index + from + c);
    const auto at = [=](int k) { return first + c + (k / 2) * pitch + (k % 2) * channels; };
    Vector<T, N> parts[4] = {};
    if (skip != nullptr)
      for (int k = 0; k < 4; ++k) parts[k] = load<N>(skip + at(k));
    for (int k = 0; k < 4; ++k) {
      for (int j = 0; j < N; ++j)
        if (indices.v[j] == k) parts[k].v[j] = T(C(parts[k].v[j]) + C(gradient.v[j]));
      store(dx + at(k), parts[k]);
    }
  }
}

namespace cuda {

template <class T>
void max_pool2x2_forward(int64_t rows, int64_t width, int64_t channels, const T* x, T* y, uint8_t* index) {
  with_vectors<T>(channels, [&]<int N>() {
    const RowPartition partition(width, channels / N);
    launch({partition.grid(rows), partition.threads}, max_pool2x2_forward_kernel<N, T>, width, channels, partition, x,
           y, index);
  });
}

/// skip may be null.
template <class T>
void max_pool2x2_backward(int64_t rows, int64_t width, int64_t channels, const T* dy, const uint8_t* index,
                          const T* skip, T* dx) {
  with_vectors<T>(channels, [&]<int N>() {
    const RowPartition partition(width, channels / N);
    launch({partition.grid(rows), partition.threads}, max_pool2x2_backward_kernel<N, T>, width, channels, partition, dy,
           index, skip, dx);
  });
}

}  // namespace cuda
#endif

/// {y}, or {y, x} with `skip`.
Tensors pool(const char* name, const Tensor& x, bool skip) {
  GT_CHECK(x.rank() == 4 && x.dim(1) % 2 == 0 && x.dim(2) % 2 == 0 && x.size() > 0, name,
           ": expected x (B,H,W,C) with H and W even, not empty, got ", x.shape());
  const Shape half = {x.dim(0), x.dim(1) / 2, x.dim(2) / 2, x.dim(3)};
  const int64_t rows = half[0] * half[1], width = half[2], channels = half[3];
  Tensor y(half, x.dtype(), x.device()), index(half, DType::u8, x.device());
  visit_activation(x.dtype(), [&]<class T>() {
    GT_DISPATCH_ACTIVATION(T, x.device(), max_pool2x2_forward, rows, width, channels, operand<T>(x), operand<T>(y),
                           operand<uint8_t>(index));
  });
  Tensors outputs{y};
  if (skip) outputs.push_back(x.detach());
  return record(name, outputs, {x}, [=, shape = x.shape()](const Tensors& dy) -> Tensors {
    const Tensor d_skip = skip ? dy[1] : Tensor{};
    if (!dy[0].defined()) return {d_skip};
    Tensor dx(shape, dy[0].dtype(), dy[0].device());
    visit_activation(dx.dtype(), [&]<class T>() {
      GT_DISPATCH_ACTIVATION(T, dx.device(), max_pool2x2_backward, rows, width, channels, operand<T>(dy[0]),
                             operand<uint8_t>(index), operand_or_null<T>(d_skip), operand<T>(dx));
    });
    return {dx};
  });
}

}  // namespace

// ---- The ops --------------------------------------------------------------------------------------------------------

Tensor max_pool2x2(const Tensor& x) { return pool("max_pool2x2", x, false)[0]; }

Tensors max_pool2x2_and_skip(const Tensor& x) { return pool("max_pool2x2_and_skip", x, true); }

}  // namespace gt
