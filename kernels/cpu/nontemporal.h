// Writing tensors that no cache holds. A plain store first reads the line that it overwrites, so an op that makes a
// large tensor by plain stores moves half as many bytes again as it must; stores past the caches do not.
#pragma once

#include <algorithm>
#include <cstdint>

#if defined(__AVX__)
#include <immintrin.h>
#endif

namespace gt {

/// Whether a tensor of `size` elements is written past the caches: by the time it is read they would have lost its
/// beginning anyway, and what is read while it is written stays in them.
template <class T>
constexpr bool streams(int64_t size) {
  return size * int64_t(sizeof(T)) >= int64_t(32) << 20;
}

/// y[i] = x[i], past the caches where the processor can and y is aligned.
template <class T>
inline void stream(int64_t n, const T* __restrict x, T* __restrict y) {
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

/// y[i] = f(i) for i in [0, n), past the caches if so said.
template <class T, class F>
inline void map_elements(int64_t n, bool past_caches, T* y, const F& f) {
  if (!past_caches) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) y[i] = f(i);
    return;
  }
  constexpr int64_t room = 512;
  alignas(64) T values[room];
  for (int64_t first = 0; first < n; first += room) {
    const int64_t count = std::min(room, n - first);
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) values[i] = f(first + i);
    stream(count, values, y + first);
  }
}

}  // namespace gt
