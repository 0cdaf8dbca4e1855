// Access to 16 bytes at a time. Kernels take 16 bytes of each tensor a thread where every row is a whole number of such
// vectors, and one element a thread elsewhere.
#pragma once

#include <bit>

#include "core/launch.cuh"

#if GT_CUDA

namespace gt::gpu {

/// N elements that are loaded and stored as one. They start at a multiple of N.
template <class T, int N>
struct alignas(N * sizeof(T)) Vector {
  T v[N];
};

/// Elements of 16 bytes.
template <class T>
inline constexpr int vector_length = int(16 / sizeof(T));

/// Reads a vector from device or shared memory.
template <int N, class T>
__device__ Vector<T, N> load(const T* from) {
  return *reinterpret_cast<const Vector<T, N>*>(from);
}

/// Writes a vector to device memory; `to` must not be shared memory. 16 bytes are one instruction, which the compiler
/// would sometimes take apart.
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

/// Starts to copy N elements to shared memory. The thread sees them after wait_for_copies(), other threads after a
/// further barrier.
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

/// Waits for the copies that this thread has started.
__device__ inline void wait_for_copies() {
#if !GT_EMULATE
  asm volatile("cp.async.wait_all;" ::: "memory");
#endif
}

/// f.operator()<N>() with N the elements that a thread takes at once from rows of `length` elements: a whole vector if
/// `length` is a multiple of it, else one.
template <class T, class F>
void with_vectors(int64_t length, F&& f) {
  if (length % vector_length<T> == 0)
    f.template operator()<vector_length<T>>();
  else
    f.template operator()<1>();
}

}  // namespace gt::gpu

#endif
