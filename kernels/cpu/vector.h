// Vectors of the processor's widest registers, in GCC's vector extensions.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace gt::simd {

#if defined(__AVX512F__)
constexpr int registers = 32, vector_bytes = 64;
#elif defined(__AVX__)
constexpr int registers = 16, vector_bytes = 32;
#else
constexpr int registers = 16, vector_bytes = 16;
#endif

template <class T>
struct VectorOf {
  typedef T type __attribute__((vector_size(vector_bytes)));
};
template <class T>
using Vector = typename VectorOf<T>::type;
template <class T>
constexpr int lanes = vector_bytes / int(sizeof(T));

/// Unaligned access to a vector.
template <class T>
inline Vector<T> load(const T* from) {
  Vector<T> v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

template <class T>
inline void store(T* to, Vector<T> v) {
  std::memcpy(to, &v, sizeof v);
}

/// a[From], b[From], a[From + 1], b[From + 1] and so on: one of the two halves of a and b interleaved.
template <class T, int From>
inline Vector<T> interleave(Vector<T> a, Vector<T> b) {
  using Index = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
  Vector<Index> at = {};
#pragma GCC unroll 16
  for (int i = 0; i < lanes<T>; ++i) at[i] = Index(From + i / 2 + (i % 2) * lanes<T>);
  return __builtin_shuffle(a, b, at);
}

/// out = the transposed matrix x (lanes, lanes).
template <class T>
void transpose(const T* x, int64_t x_row, T* out, int64_t out_row) {
  constexpr int L = lanes<T>;
  Vector<T> rows[L];
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i) rows[i] = load(x + i * x_row);
  for (int step = 1; step < L; step *= 2) {
    Vector<T> shuffled[L];
#pragma GCC unroll 16
    for (int i = 0; i < L / 2; ++i) {
      shuffled[2 * i] = interleave<T, 0>(rows[i], rows[i + L / 2]);
      shuffled[2 * i + 1] = interleave<T, L / 2>(rows[i], rows[i + L / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) rows[i] = shuffled[i];
  }
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i) store(out + i * out_row, rows[i]);
}

}  // namespace gt::simd
