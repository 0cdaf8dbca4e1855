// Sums, and small tensors broadcast to large ones. With x seen as (P,C), P pixels of C channels:
//
//   sum, mean      y   = sum_pc x_pc (/ PC)    dx_pc = dy (/ PC)
//   sum_last       y_p = sum_c x_pc            dx_pc = dy_p
//   add_channels   y_pc = x_pc + b_c           dx_pc = dy_pc        db_c = sum_p dy_pc
//   mul_channels   y_pc = x_pc g_c             dx_pc = dy_pc g_c    dg_c = sum_p dy_pc x_pc
//   mul_pixels     y_pc = x_pc a_p             dx_pc = dy_pc a_p    da_p = sum_c dy_pc x_pc
//
// Saved: the factors of products. Each pass reads or writes each of its large tensors once and takes one or two FLOPs
// an element. Sums are in double. On CUDA a pass is one launch, a sum over pixels two: the second adds the partial sums
// of the first one's blocks.
#include <algorithm>
#include <array>
#include <vector>

#include "core/launch.cuh"
#include "core/parallel.h"
#include "kernels/common/op_helpers.h"
#include "kernels/cpu/image_loops.h"
#include "kernels/cpu/reduce.h"
#include "kernels/cuda/partition.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/vector.cuh"
#include "kernels/ops.h"

namespace gt {
namespace {

// ---- Maths ----------------------------------------------------------------------------------------------------------

struct Sum {
  template <class T>
  GT_HD T operator()(T a, T b) const {
    return a + b;
  }
};

struct Product {
  template <class T>
  GT_HD T operator()(T a, T b) const {
    return a * b;
  }
};

// ---- CPU ------------------------------------------------------------------------------------------------------------

namespace cpu {

constexpr int64_t block = 1 << 14;  // elements

/// sum_i x_i a_i over n elements; a null a counts as 1.
template <class T>
double inner(const T* x, const T* a, int64_t n) {
  if (a == nullptr) return ordered_sum<double>(n, [=](int64_t i) { return x[i]; });
  return ordered_sum<double>(n, [=](int64_t i) { return double(x[i]) * double(a[i]); });
}

template <class T>
void sum_forward(int64_t n, const T* x, double factor, T* y) {
  const auto part = [=](int64_t begin, int64_t end) { return inner<T>(x + begin, nullptr, end - begin); };
  *y = T(factor * parallel_sum<double>(n, block, part));
}

template <class T>
void sum_backward(int64_t n, const T* dy, double factor, T* dx) {
  parallel_for(n, block, [&](int64_t begin, int64_t end) { std::fill(dx + begin, dx + end, T(factor * double(*dy))); });
}

/// y_p = sum_c x_pc a_pc; a null a counts as 1.
template <class T>
void sum_channels(const ImageShape& s, const T* x, const T* a, T* y) {
  for_pixels(s, [=, n = s.channels](int64_t p) { y[p] = T(inner(x + p * n, a == nullptr ? a : a + p * n, n)); });
}

/// y_pc = a_p x_pc; a null x counts as 1.
template <class T>
void spread_pixels(const ImageShape& s, const T* a, const T* x, T* y) {
  for_pixels(s, [=](int64_t p) {
    const T factor = a[p];
    const int64_t first = p * s.channels;
#pragma omp simd
    for (int64_t i = first; i < first + s.channels; ++i) y[i] = x == nullptr ? factor : factor * x[i];
  });
}

/// y_c = sum_p x_pc a_pc; a null a counts as 1.
template <class T>
void sum_pixels(const ImageShape& s, const T* x, const T* a, T* y) {
  const std::vector<double> sums = reduce_pixels<1>(s, [=](int64_t) {
    return [=](int64_t i, int64_t) { return std::array{a == nullptr ? double(x[i]) : double(x[i]) * double(a[i])}; };
  });
  std::copy(sums.begin(), sums.end(), y);
}

/// y_pc = f(x_pc, b_c).
template <class F, class T>
void across_channels(const F& f, const ImageShape& s, const T* x, const T* b, T* y) {
  const std::vector<T> tile = tiled<T>(s, b);
  const T* second = tile.data();
  for_blocks(s, [&](int64_t, int64_t, int64_t begin, int64_t end) {
    map_tiles(s, begin, end, y, [=](int64_t i, int64_t j) { return f(x[i], second[j]); });
  });
}

}  // namespace cpu

// ---- CUDA -----------------------------------------------------------------------------------------------------------

#if GT_CUDA
using namespace gpu;

/// partial (blocks): the sum of each chunk of x.
template <class T>
__global__ void __launch_bounds__(reduce_threads) sum_kernel(ChunkPartition partition, const T* x, double* partial) {
  constexpr int N = vector_length<T>;
  const int64_t end = partition.end();
  double sum = 0;
#pragma unroll 4
  for (int64_t i = partition.begin() + int64_t(threadIdx.x) * N; i + N <= end; i += reduce_threads * N) {
    const auto v = load<N>(x + i);
    for (int j = 0; j < N; ++j) sum += double(v.v[j]);
  }
  const int64_t tail = end - end % N + threadIdx.x;  // of the last chunk
  if (tail < end) sum += double(x[tail]);
  sum = block_reduce<reduce_threads>(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

template <class T>
struct StoreScaled {
  double factor;
  T* y;
  __device__ void operator()(int64_t, double sum) const { *y = T(factor * sum); }
};

template <class T>
__global__ void __launch_bounds__(256) sum_backward_kernel(int64_t n, const T* dy, double factor, T* dx) {
  constexpr int N = vector_length<T>;
  const int64_t i = (int64_t(blockIdx.x) * 256 + threadIdx.x) * N;
  const T value = T(factor * double(*dy));
  Vector<T, N> all;
  for (int j = 0; j < N; ++j) all.v[j] = value;
  if (i + N <= n)
    store(dx + i, all);
  else
    for (int64_t tail = i; tail < n; ++tail) dx[tail] = value;
}

/// y_p = sum_c x_pc a_pc; a null a counts as 1. `lanes` threads of a warp, a power of two, share a pixel.
template <int N, class T>
__global__ void __launch_bounds__(256)
    sum_channels_kernel(int64_t pixels, int64_t channels, int lanes, const T* x, const T* a, T* y) {
  const int64_t p = int64_t(blockIdx.x) * (256 / lanes) + threadIdx.x / lanes;
  const int lane = int(threadIdx.x) % lanes;
  double sum = 0;
  if (p < pixels)
    for (int64_t c = lane * N; c < channels; c += lanes * N) {
      const auto v = load<N>(x + p * channels + c);
      if (a == nullptr) {
        for (int j = 0; j < N; ++j) sum += double(v.v[j]);
      } else {
        const auto w = load<N>(a + p * channels + c);
        for (int j = 0; j < N; ++j) sum += double(v.v[j]) * double(w.v[j]);
      }
    }
  sum = subwarp_reduce(sum, lanes);
  if (lane == 0 && p < pixels) y[p] = T(sum);
}

template <int N, class T>
__global__ void __launch_bounds__(RowPartition::threads)
    spread_pixels_kernel(int64_t pixels, int64_t channels, RowPartition partition, const T* a, const T* x, T* y) {
  const int64_t p = partition.column();
  if (p >= pixels) return;
  const T factor = a[p];
  for (int64_t c = partition.first_vector() * N; c < channels; c += partition.vector_step() * N) {
    Vector<T, N> v;
    if (x != nullptr) v = load<N>(x + p * channels + c);
    for (int j = 0; j < N; ++j) v.v[j] = x == nullptr ? factor : Product{}(factor, v.v[j]);
    store(y + p * channels + c, v);
  }
}

template <int N, class F, class T>
__global__ void __launch_bounds__(RowPartition::threads)
    across_channels_kernel(F f, int64_t pixels, int64_t channels, RowPartition partition, const T* x, const T* b,
                           T* y) {
  const int64_t p = partition.column();
  if (p >= pixels) return;
  for (int64_t c = partition.first_vector() * N; c < channels; c += partition.vector_step() * N) {
    auto v = load<N>(x + p * channels + c);
    const auto second = load<N>(b + c);
    for (int j = 0; j < N; ++j) v.v[j] = f(v.v[j], second.v[j]);
    store(y + p * channels + c, v);
  }
}

template <class T>
struct ProductOfElements {
  const T *x, *a;
  __device__ double operator()(int64_t i) const { return double(x[i]) * double(a[i]); }
};
namespace cuda {

template <class T>
void sum_forward(int64_t n, const T* x, double factor, T* y) {
  const ChunkPartition partition(n);
  Tensor partial({partition.blocks}, DType::f64, Device::cuda);
  launch({partition.grid(1), reduce_threads}, sum_kernel<T>, partition, x, partial.data<double>());
  reduce_rows(1, partition.blocks, partial.data<double>(), StoreScaled<T>{factor, y});
}

template <class T>
void sum_backward(int64_t n, const T* dy, double factor, T* dx) {
  launch({blocks_for(n, 256 * vector_length<T>), 256}, sum_backward_kernel<T>, n, dy, factor, dx);
}

template <class T>
void sum_channels(const ImageShape& s, const T* x, const T* a, T* y) {
  with_vectors<T>(s.channels, [&]<int N>() {
    const int lanes = next_power_of_two((s.channels + N - 1) / N, warp_size);
    launch({blocks_for(s.pixels, 256 / lanes), 256}, sum_channels_kernel<N, T>, s.pixels, s.channels, lanes, x, a, y);
  });
}

template <class T>
void spread_pixels(const ImageShape& s, const T* a, const T* x, T* y) {
  with_vectors<T>(s.channels, [&]<int N>() {
    const RowPartition partition(s.pixels, s.channels / N);
    launch({partition.grid_of_row(s.channels / N), partition.threads}, spread_pixels_kernel<N, T>, s.pixels, s.channels,
           partition, a, x, y);
  });
}

template <class T>
void sum_pixels(const ImageShape& s, const T* x, const T* a, T* y) {
  if (a == nullptr)
    gpu::reduce_pixels(s, ElementOf<T>{x}, y);
  else
    gpu::reduce_pixels(s, ProductOfElements<T>{x, a}, y);
}

template <class F, class T>
void across_channels(const F& f, const ImageShape& s, const T* x, const T* b, T* y) {
  with_vectors<T>(s.channels, [&]<int N>() {
    const RowPartition partition(s.pixels, s.channels / N);
    launch({partition.grid_of_row(s.channels / N), partition.threads}, across_channels_kernel<N, F, T>, f, s.pixels,
           s.channels, partition, x, b, y);
  });
}

}  // namespace cuda
#endif

// ---- The ops --------------------------------------------------------------------------------------------------------

/// The factor of a sum or broadcast without factors.
template <class T>
constexpr const T* none = nullptr;

/// The shape of x (..,C) as one image. Throws Error unless C is at least 1.
ImageShape channels_of(const char* name, const Tensor& x) {
  GT_CHECK(x.rank() >= 1 && x.dim(-1) >= 1, name, ": expected x (..,C) with C at least 1, got ", x.shape());
  return {1, x.size() / x.dim(-1), x.dim(-1)};
}

Shape without_last(const Shape& shape) { return Shape(shape.begin(), shape.end() - 1); }

void check_second(const char* name, const Tensor& x, const Tensor& b, const Shape& expected) {
  GT_CHECK(b.shape() == expected && b.dtype() == x.dtype() && b.device() == x.device(), name, ": x is ", x.dtype(),
           x.shape(), " on ", x.device(), ", the second tensor is ", b.dtype(), b.shape(), " on ", b.device());
}

Tensor scaled_sum(const char* name, const Tensor& x, double factor) {
  Tensor y({}, x.dtype(), x.device());
  visit_float(x.dtype(),
              [&]<class T>() { GT_DISPATCH(x.device(), sum_forward, x.size(), operand<T>(x), factor, operand<T>(y)); });
  return record(name, y, {x}, [factor, shape = x.shape()](const Tensor& dy) -> Tensors {
    Tensor dx(shape, dy.dtype(), dy.device());
    visit_float(dy.dtype(), [&]<class T>() {
      GT_DISPATCH(dy.device(), sum_backward, dx.size(), operand<T>(dy), factor, operand<T>(dx));
    });
    return {dx};
  });
}

}  // namespace

Tensor sum(const Tensor& x) { return scaled_sum("sum", x, 1); }

Tensor mean(const Tensor& x) {
  GT_CHECK(x.size() > 0, "mean: x is ", x.shape(), ", expected at least one element");
  return scaled_sum("mean", x, 1 / double(x.size()));
}

Tensor sum_last(const Tensor& x) {
  const ImageShape s = channels_of("sum_last", x);
  Tensor y(without_last(x.shape()), x.dtype(), x.device());
  visit_float(x.dtype(),
              [&]<class T>() { GT_DISPATCH(x.device(), sum_channels, s, operand<T>(x), none<T>, operand<T>(y)); });
  return record("sum_last", y, {x}, [s, shape = x.shape()](const Tensor& dy) -> Tensors {
    Tensor dx(shape, dy.dtype(), dy.device());
    visit_float(dy.dtype(), [&]<class T>() {
      GT_DISPATCH(dy.device(), spread_pixels, s, operand<T>(dy), none<T>, operand<T>(dx));
    });
    return {dx};
  });
}

Tensor add_channels(const Tensor& x, const Tensor& b) {
  const ImageShape s = channels_of("add_channels", x);
  check_second("add_channels", x, b, {s.channels});
  Tensor y(x.shape(), x.dtype(), x.device());
  visit_float(x.dtype(), [&]<class T>() {
    GT_DISPATCH(x.device(), across_channels, Sum{}, s, operand<T>(x), operand<T>(b), operand<T>(y));
  });
  return record("add_channels", y, {x, b}, [s, b_needs = b.requires_grad()](const Tensor& dy) -> Tensors {
    if (!b_needs) return {dy, {}};
    Tensor db({s.channels}, dy.dtype(), dy.device());
    visit_float(dy.dtype(),
                [&]<class T>() { GT_DISPATCH(dy.device(), sum_pixels, s, operand<T>(dy), none<T>, operand<T>(db)); });
    return {dy, db};
  });
}

Tensor mul_channels(const Tensor& x, const Tensor& g) {
  const ImageShape s = channels_of("mul_channels", x);
  check_second("mul_channels", x, g, {s.channels});
  Tensor y(x.shape(), x.dtype(), x.device());
  visit_float(x.dtype(), [&]<class T>() {
    GT_DISPATCH(x.device(), across_channels, Product{}, s, operand<T>(x), operand<T>(g), operand<T>(y));
  });
  const bool x_needs = x.requires_grad(), g_needs = g.requires_grad();
  return record("mul_channels", y, {x, g}, [=, x = x.detach(), g = g.detach()](const Tensor& dy) -> Tensors {
    Tensor dx = empty_gradient(x, x_needs), dg = empty_gradient(g, g_needs);
    visit_float(dy.dtype(), [&]<class T>() {
      if (x_needs)
        GT_DISPATCH(dy.device(), across_channels, Product{}, s, operand<T>(dy), operand<T>(g), operand<T>(dx));
      if (g_needs) GT_DISPATCH(dy.device(), sum_pixels, s, operand<T>(dy), operand<T>(x), operand<T>(dg));
    });
    return {dx, dg};
  });
}

Tensor mul_pixels(const Tensor& x, const Tensor& a) {
  const ImageShape s = channels_of("mul_pixels", x);
  check_second("mul_pixels", x, a, without_last(x.shape()));
  Tensor y(x.shape(), x.dtype(), x.device());
  visit_float(x.dtype(), [&]<class T>() {
    GT_DISPATCH(x.device(), spread_pixels, s, operand<T>(a), operand<T>(x), operand<T>(y));
  });
  const bool x_needs = x.requires_grad(), a_needs = a.requires_grad();
  return record("mul_pixels", y, {x, a}, [=, x = x.detach(), a = a.detach()](const Tensor& dy) -> Tensors {
    Tensor dx = empty_gradient(x, x_needs), da = empty_gradient(a, a_needs);
    visit_float(dy.dtype(), [&]<class T>() {
      if (x_needs) GT_DISPATCH(dy.device(), spread_pixels, s, operand<T>(a), operand<T>(dy), operand<T>(dx));
      if (a_needs) GT_DISPATCH(dy.device(), sum_channels, s, operand<T>(dy), operand<T>(x), operand<T>(da));
    });
    return {dx, da};
  });
}

}  // namespace gt
