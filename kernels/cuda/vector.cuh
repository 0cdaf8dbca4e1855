// How CUDA kernels go over elements: 16 bytes at a time where rows are whole vectors, else one element. Over pixels of
// C channels, a fixed group of a block's threads takes a pixel, so neighbours read neighbours and nobody divides by C.
#pragma once

#include <algorithm>
#include <bit>

#include "core/launch.cuh"

#if GT_CUDA

namespace gt {

/// N elements that are loaded and stored as one; they start at a multiple of N.
template <class T, int N>
struct alignas(N * sizeof(T)) Vector {
  T v[N];
};

template <class T>
inline constexpr int vector_length = int(16 / sizeof(T));

template <int N, class T>
__device__ Vector<T, N> load(const T* from) {
  return *reinterpret_cast<const Vector<T, N>*>(from);
}

/// In one access if it is of 16 bytes, which the compiler would sometimes take apart. `to` is device memory, not
/// shared.
template <class T, int N>
__device__ void store(T* to, const Vector<T, N>& vector) {
#if !GT_EMULATE
  if constexpr (sizeof(vector) == 16) {
    const auto [x, y, z, w] = std::bit_cast<uint4>(vector);
    asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(to), "r"(x), "r"(y), "r"(z), "r"(w) : "memory");
    return;
  }
#endif
  *reinterpret_cast<Vector<T, N>*>(to) = vector;
}

/// Starts to copy N elements to shared memory. The thread finds them there after wait_for_copies(), other threads after
/// a barrier behind that.
template <int N, class T>
__device__ void copy_to_shared(T* shared, const T* from) {
#if !GT_EMULATE
  if constexpr (N * sizeof(T) == 16) {
    const auto to = unsigned(__cvta_generic_to_shared(shared));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
    return;
  }
#endif
  *reinterpret_cast<Vector<T, N>*>(shared) = load<N>(from);
}

__device__ inline void wait_for_copies() {
#if !GT_EMULATE
  asm volatile("cp.async.wait_all;" ::: "memory");
#endif
}

/// Calls f.operator()<N>(), N the elements that a thread takes at once where every row has a multiple of `length`.
template <class T, class F>
void with_vectors(int64_t length, F&& f) {
  if (length % vector_length<T> == 0)
    f.template operator()<vector_length<T>>();
  else
    f.template operator()<1>();
}

/// Blocks of 256 threads over rows of `width` pixels, `vectors` vectors each: `lanes` threads to a pixel, at most 128,
/// which go over it in equal rounds; `parts` blocks to a row.
struct PixelTiles {
  static constexpr int threads = 256;
  int lanes;
  unsigned parts;

  PixelTiles(int64_t width, int64_t vectors) {
    const int64_t rounds = std::max<int64_t>(1, (vectors + 127) / 128);
    lanes = int(std::max<int64_t>(1, (vectors + rounds - 1) / rounds));
    parts = std::max(1u, blocks_for(width, threads / lanes));
  }
  unsigned blocks(int64_t rows) const { return blocks_for(rows * int64_t(parts), 1); }
  /// Of one row whose pixels have so many vectors: where they are many, several blocks share a pixel.
  dim3 grid(int64_t vectors) const { return {parts, unsigned(std::clamp<int64_t>(vectors / lanes / 2, 1, 1024))}; }

  /// The running thread's row, its pixel in that row, which is `width` or more if it has none, and its place there.
  __device__ int64_t row() const { return blockIdx.x / parts; }
  __device__ int64_t column() const {
    const int pixels = threads / lanes, pixel = int(threadIdx.x) / lanes;
    return pixel < pixels ? int64_t(blockIdx.x % parts) * pixels + pixel : int64_t(1) << 62;
  }
  __device__ int lane() const { return int(threadIdx.x) % lanes; }
  /// The same among all blocks of grid(), and how many threads share a pixel.
  __device__ int64_t first() const { return lane() + int64_t(blockIdx.y) * lanes; }
  __device__ int64_t step() const { return int64_t(gridDim.y) * lanes; }
};

}  // namespace gt

#endif
