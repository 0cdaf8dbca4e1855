// Division of each map by its maximum m: s (B,..) -> y = s / m, or y = 0 if m is not above 0.
//   ds_i = (dy_i - [i is the first maximum] sum_j dy_j y_j) / m
//
// Saved: y, and for each map m and the index of its first maximum. With elements of s bytes, forward moves 3s an
// element and takes 2 FLOPs, backward 3s and 3.
//
// CUDA: two launches each way, over chunks of each map. Forward first finds the maximum of each chunk; then every block
// finds the map's maximum from these, and divides. Backward first writes dy / m and sums each chunk; then it adds the
// sums and corrects the element of the maximum.
#include <cstdint>

#include "core/launch.cuh"
#include "core/parallel.h"
#include "kernels/common/op_helpers.h"
#include "kernels/cpu/reduce.h"
#include "kernels/cuda/partition.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/vector.cuh"
#include "kernels/ops.h"

namespace gt {
namespace {

// ---- Maths ----------------------------------------------------------------------------------------------------------

/// v / m, or 0 if m is not above 0.
template <class T>
GT_HD inline T divided(T v, T m) {
  return m > 0 ? v / m : T(0);
}

// ---- CPU ------------------------------------------------------------------------------------------------------------

namespace cpu {

template <class T>
void normalize_max_forward(int64_t maps, int64_t size, const T* s, T* y, T* maximum, int32_t* index) {
  parallel_for(maps, 1, [=](int64_t b, int64_t) {
    const T* from = s + b * size;
    const Largest<T> largest = find_largest(size, from);
    maximum[b] = largest.value;
    index[b] = int32_t(largest.index);
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) y[b * size + i] = divided(from[i], largest.value);
  });
}

template <class T>
void normalize_max_backward(int64_t maps, int64_t size, const T* y, const T* maximum, const int32_t* index, const T* dy,
                            T* ds) {
  parallel_for(maps, 1, [=](int64_t b, int64_t) {
    const T m = maximum[b];
    const T *dy_map = dy + b * size, *y_map = y + b * size;
    T* ds_map = ds + b * size;
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) ds_map[i] = divided(dy_map[i], m);
    const double through_maximum =
        ordered_sum<double>(size, [=](int64_t i) { return double(dy_map[i]) * double(y_map[i]); });
    if (m > 0) ds_map[index[b]] -= T(through_maximum / double(m));
  });
}

}  // namespace cpu

// ---- CUDA -----------------------------------------------------------------------------------------------------------

#if GT_CUDA
using namespace gpu;

constexpr int threads = 256;

/// The running thread's first N elements in the running chunk. Its next ones are N threads further.
template <int N>
__device__ int64_t first_element(const ChunkPartition& partition) {
  return partition.begin() + int64_t(threadIdx.x) * N;
}

template <int N, class T>
__global__ void __launch_bounds__(threads)
    maxima_kernel(ChunkPartition partition, const T* s, T* values, int32_t* indices) {
  s += partition.array() * partition.size;
  ArgMax<T> max = ArgMax<T>::none();
#pragma unroll 4
  for (int64_t i = first_element<N>(partition); i < partition.end(); i += threads * N) {
    const auto v = load<N>(s + i);
    for (int j = 0; j < N; ++j)
      if (v.v[j] > max.value) max = {v.v[j], int32_t(i + j)};
  }
  max = block_reduce<threads>(max, Max{});
  if (threadIdx.x == 0) values[blockIdx.x] = max.value, indices[blockIdx.x] = max.index;
}

template <int N, class T>
__global__ void __launch_bounds__(threads)
    divide_kernel(ChunkPartition partition, const T* values, const int32_t* indices, const T* s, T* y, T* maximum,
                  int32_t* index) {
  const int64_t map = partition.array(), first = map * partition.blocks;
  ArgMax<T> max = ArgMax<T>::none();
  for (unsigned b = threadIdx.x; b < partition.blocks; b += threads)
    max = Max{}(max, ArgMax<T>{values[first + b], indices[first + b]});
  max = block_reduce<threads>(max, Max{});
  if (partition.block() == 0 && threadIdx.x == 0) maximum[map] = max.value, index[map] = max.index;
  s += map * partition.size, y += map * partition.size;
#pragma unroll 4
  for (int64_t i = first_element<N>(partition); i < partition.end(); i += threads * N) {
    auto v = load<N>(s + i);
    for (int j = 0; j < N; ++j) v.v[j] = divided(v.v[j], max.value);
    store(y + i, v);
  }
}

template <int N, class T>
__global__ void __launch_bounds__(threads)
    gradient_kernel(ChunkPartition partition, const T* y, const T* maximum, const T* dy, T* ds, double* sums) {
  const int64_t map = partition.array();
  const T m = maximum[map];
  y += map * partition.size, dy += map * partition.size, ds += map * partition.size;
  double sum = 0;
#pragma unroll 4
  for (int64_t i = first_element<N>(partition); i < partition.end(); i += threads * N) {
    auto g = load<N>(dy + i);
    const auto v = load<N>(y + i);
    for (int j = 0; j < N; ++j) {
      sum += double(g.v[j]) * double(v.v[j]);
      g.v[j] = divided(g.v[j], m);
    }
    store(ds + i, g);
  }
  sum = block_reduce<threads>(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

/// Adds the gradient through a map's maximum; `sum` is that of dy y.
template <class T>
struct AddMaximumGradient {
  int64_t size;
  const T* maximum;
  const int32_t* index;
  T* ds;

  __device__ void operator()(int64_t map, double sum) const {
    if (maximum[map] > 0) ds[map * size + index[map]] -= T(sum / double(maximum[map]));
  }
};
namespace cuda {

template <class T>
void normalize_max_forward(int64_t maps, int64_t size, const T* s, T* y, T* maximum, int32_t* index) {
  const ChunkPartition partition(size);
  Tensor values({maps, partition.blocks}, dtype_of<T>(), Device::cuda),
      indices({maps, partition.blocks}, DType::i32, Device::cuda);
  with_vectors<T>(size, [&]<int N>() {
    const unsigned blocks = partition.grid(maps);
    launch({blocks, threads}, maxima_kernel<N, T>, partition, s, values.data<T>(), indices.data<int32_t>());
    launch({blocks, threads}, divide_kernel<N, T>, partition, values.data<T>(), indices.data<int32_t>(), s, y, maximum,
           index);
  });
}

template <class T>
void normalize_max_backward(int64_t maps, int64_t size, const T* y, const T* maximum, const int32_t* index, const T* dy,
                            T* ds) {
  const ChunkPartition partition(size);
  Tensor sums({maps, partition.blocks}, DType::f64, Device::cuda);
  with_vectors<T>(size, [&]<int N>() {
    const unsigned blocks = partition.grid(maps);
    launch({blocks, threads}, gradient_kernel<N, T>, partition, y, maximum, dy, ds, sums.data<double>());
    reduce_rows(maps, partition.blocks, sums.data<double>(), AddMaximumGradient<T>{size, maximum, index, ds});
  });
}

}  // namespace cuda
#endif

}  // namespace

// ---- The op ---------------------------------------------------------------------------------------------------------

Tensor normalize_max(const Tensor& s) {
  GT_CHECK(s.rank() >= 1 && s.dim(0) >= 1, "normalize_max: expected maps (B,..) with B at least 1, got ", s.shape());
  const int64_t maps = s.dim(0), size = s.size() / maps;
  GT_CHECK(size <= INT32_MAX, "normalize_max: expected maps of at most 2^31 - 1 elements, got ", s.shape());
  Tensor y(s.shape(), s.dtype(), s.device()), maximum({maps}, s.dtype(), s.device());
  Tensor index({maps}, DType::i32, s.device());
  visit_float(s.dtype(), [&]<class T>() {
    GT_DISPATCH(s.device(), normalize_max_forward, maps, size, operand<T>(s), operand<T>(y), operand<T>(maximum),
                operand<int32_t>(index));
  });
  return record("normalize_max", y, {s}, [=, y = y.detach()](const Tensor& dy) -> Tensors {
    Tensor ds(y.shape(), y.dtype(), y.device());
    visit_float(dy.dtype(), [&]<class T>() {
      GT_DISPATCH(dy.device(), normalize_max_backward, maps, size, operand<T>(y), operand<T>(maximum),
                  operand<int32_t>(index), operand<T>(dy), operand<T>(ds));
    });
    return {ds};
  });
}

}  // namespace gt
