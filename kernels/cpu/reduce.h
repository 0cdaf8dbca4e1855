// Reductions that are vectorised. The order of a sum does not depend on the width of vectors: term i goes to partial
// sum i % 16, and the partial sums are added in pairs.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace gt {

/// The N sums of the terms f(i), an array of N values, over i of [0, n). f should be a few operations: GCC unrolls its
/// 64 calls. Larger terms are computed first, in a loop of their own.
template <class T, int N, class F>
[[gnu::always_inline]] inline std::array<T, N> ordered_sums(int64_t n, const F& f) {
  constexpr int64_t width = 16, rows = 4;
  T sum[N][width] = {};
  int64_t i = 0;
  for (; i + rows * width <= n; i += rows * width)
#pragma omp simd
    for (int64_t j = 0; j < width; ++j) {
      const std::array<T, N> a = f(i + j), b = f(i + width + j), c = f(i + 2 * width + j), d = f(i + 3 * width + j);
#pragma GCC unroll 8
      for (int k = 0; k < N; ++k) sum[k][j] += (a[size_t(k)] + b[size_t(k)]) + (c[size_t(k)] + d[size_t(k)]);
    }
  for (; i + width <= n; i += width)
#pragma omp simd
    for (int64_t j = 0; j < width; ++j) {
      const std::array<T, N> a = f(i + j);
#pragma GCC unroll 8
      for (int k = 0; k < N; ++k) sum[k][j] += a[size_t(k)];
    }
  for (int64_t j = 0, rest = n - i; j < rest; ++j) {
    const std::array<T, N> a = f(i + j);
    for (int k = 0; k < N; ++k) sum[k][j] += a[size_t(k)];
  }
  std::array<T, N> total;
  for (int k = 0; k < N; ++k) {
    for (int64_t half = width / 2; half > 0; half /= 2)
#pragma omp simd
      for (int64_t j = 0; j < half; ++j) sum[k][j] += sum[k][j + half];
    total[size_t(k)] = sum[k][0];
  }
  return total;
}

/// The sum of the terms f(i) over i of [0, n).
template <class T, class F>
[[gnu::always_inline]] inline T ordered_sum(int64_t n, const F& f) {
  return ordered_sums<T, 1>(n, [&f](int64_t i) { return std::array<T, 1>{T(f(i))}; })[0];
}

/// The sum of a[i] b[i] over n elements.
template <class T>
[[gnu::always_inline]] inline T dot(const T* a, const T* b, int64_t n) {
  return ordered_sum<T>(n, [=](int64_t i) { return a[i] * b[i]; });
}

/// A largest value and the index of the first element that has it.
template <class T>
struct Largest {
  T value;
  int64_t index;
};

/// The largest of n values, none of which is negative.
template <class T>
Largest<T> find_largest(int64_t n, const T* values) {
  constexpr int64_t part = 256;
  T largest = 0;
  int64_t first = 0;  // of the part that has it
  for (int64_t begin = 0; begin < n; begin += part) {
    T of_part = 0;
#pragma omp simd reduction(max : of_part)
    for (int64_t i = begin; i < std::min(begin + part, n); ++i) of_part = values[i] > of_part ? values[i] : of_part;
    if (of_part > largest) largest = of_part, first = begin;
  }
  return {largest, std::find(values + first, values + n, largest) - values};
}

}  // namespace gt
