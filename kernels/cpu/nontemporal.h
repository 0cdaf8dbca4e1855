// Writing tensors that no cache can hold. A plain store first reads the cache line that it overwrites. An op that
// writes a large tensor thus moves half as many bytes again as it must. Non-temporal stores bypass the caches and do
// not.
#pragma once

#include <algorithm>
#include <cstdint>

#if defined(__AVX__)
#include <immintrin.h>
#endif

namespace gt {

/// Whether a tensor of `size` elements is written by non-temporal stores. It is larger than the caches, which would
/// have lost its beginning before it is read; and what is read meanwhile stays in them.
template <class T>
constexpr bool exceeds_caches(int64_t size) {
  return size * int64_t(sizeof(T)) >= int64_t(32) << 20;
}

/// y[i] = x[i] by non-temporal stores. Copies plainly where the processor has none, or y or n is not aligned to them.
template <class T>
inline void store_nontemporal(int64_t n, const T* __restrict x, T* __restrict y) {
#if defined(__AVX__)
  if (uintptr_t(y) % sizeof(__m256i) == 0 && n * sizeof(T) % sizeof(__m256i) == 0) {
    const auto* from = reinterpret_cast<const __m256i*>(x);
    auto* to = reinterpret_cast<__m256i*>(y);
    for (const auto* end = from + n * sizeof(T) / sizeof(__m256i); from < end; ++from, ++to)
      _mm256_stream_si256(to, _mm256_loadu_si256(from));
    return;
  }
#endif
  std::copy_n(x, n, y);
}

/// Asks for the n elements of x, which are read soon. Memory that is read while a tensor is streamed out arrives late
/// otherwise.
template <class T>
inline void prefetch(int64_t n, const T* x) {
#if defined(__GNUC__)
  for (int64_t i = 0; i < n; i += 64 / int64_t(sizeof(T))) __builtin_prefetch(x + i, 0, 2);
#endif
}

/// y[i] = f(i) for i in [0, n), by non-temporal stores if `nontemporal`. f reads element i of `sources`; what lies
/// behind their n elements is read next.
template <class T, class F, class... Sources>
inline void map_elements(int64_t n, bool nontemporal, T* y, const F& f, const Sources*... sources) {
  if (!nontemporal) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) y[i] = f(i);
    return;
  }
  constexpr int64_t capacity = 512;
  alignas(64) T values[capacity];
  for (int64_t first = 0; first < n; first += capacity) {
    const int64_t count = std::min(capacity, n - first);
    (prefetch(count, sources + first + count), ...);
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) values[i] = f(first + i);
    store_nontemporal(count, values, y + first);
  }
}

}  // namespace gt
