// Blocks whose threads stand in rows, a row to a pixel: its elements are moved 16 bytes a thread where sizes and
// addresses allow, else one by one, and what belongs to the channels is summed over the rows.
#pragma once

#include "core/bf16.h"
#include "core/launch.cuh"

#if GT_CUDA

namespace gt {

/// N elements at an address that is a multiple of their size; copied as a whole they take one instruction up to 16
/// bytes.
template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  T v[N];

  static __device__ const Pack& at(const T* p) { return *reinterpret_cast<const Pack*>(p); }
  static __device__ Pack& at(T* p) { return *reinterpret_cast<Pack*>(p); }
};

/// Elements of T in 16 bytes.
template <class T>
inline constexpr int vector_size = 16 / sizeof(T);

/// Whether all the addresses are multiples of 16 (null is).
template <class... T>
GT_HD bool aligned16(const T*... pointers) {
  return ((reinterpret_cast<uintptr_t>(pointers) | ...) & 15) == 0;
}

/// Calls f.operator()<W>() with the elements that a thread is to move at once: 16 bytes of them, or one.
template <class T, class F>
void visit_width(bool whole, F&& f) {
  if (whole)
    f.template operator()<vector_size<T>>();
  else
    f.template operator()<1>();
}

/// The least power of two that is at least n, but `most`, a power of two, at the most.
inline int power_of_two(int64_t n, int most) {
  int power = 1;
  while (power < most && power < n) power *= 2;
  return power;
}

/// Items of a block where n of them, a unit at least, are to fill any device: about 1024 blocks of `least` units or
/// more, up to `most`, so that the blocks' partial sums stay few. Depends on n alone, as must the order of a sum.
inline int64_t items_per_block(int64_t n, int64_t unit, int least, int most) {
  const int64_t units = n / 1024 / unit;
  return unit * (units < least ? least : units > most ? most : units);
}

/// Sum over the warp's segment of `lanes` (a power of two up to the warp) that the thread is in, in each of its lanes.
/// All lanes of the warp must call it.
template <class T>
__device__ T segment_sum(T v, int lanes) {
  for (int d = lanes / 2; d > 0; d /= 2) v += __shfl_xor_sync(full_mask, v, d);
  return v;
}

/// The block's `threads` stand in rows of `lanes`, a power of two: sums v over the rows, by a tree, into the first
/// row's v. All threads must call it.
template <int threads, int N>
__device__ void sum_rows(double (&v)[N], int lanes) {
  GT_SHARED(double, shared, [N][threads]);
  const int thread = int(threadIdx.x);
  for (int n = 0; n < N; ++n) shared[n][thread] = v[n];
  for (int half = threads / 2; half >= lanes; half /= 2) {
    __syncthreads();
    if (thread < half)
      for (int n = 0; n < N; ++n) shared[n][thread] += shared[n][thread + half];
  }
  for (int n = 0; n < N; ++n) v[n] = shared[n][thread];
  __syncthreads();  // shared may be used again
}

}  // namespace gt

#endif
