// The inner loops of correlation, in GCC's vector extensions. A tile of P pixels x V vectors of output channels stays
// in registers over the whole reduction. A step takes one broadcast input a pixel and V weight vectors. The weight
// gradient reduces over pixels, and its tile is input channels x kernel columns x V vectors of output channels.
// convolution.cpp says how operands are packed.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <utility>

#include "kernels/cpu/vector.h"

namespace gt::tiles {

using namespace simd;

// ---- Micro-kernels --------------------------------------------------------------------------------------------------
// GCC keeps an array in registers only if every loop over it is unrolled.

constexpr int block = 16;  // input channels that are contiguous in packed rows

/// The accumulators, in units of `vectors`, that fit into registers with `vectors` vectors of the streamed operand and
/// one broadcast.
constexpr int tile_limit(int vectors) { return (registers - vectors - 1) / vectors; }

/// A part of the reduction: `count` neighbouring channels of packed input.
struct Segment {
  int64_t offset, count;
};

/// y[p] = start[p] + sum over segments and their channels c of x[offset + 16 p + c] * (the next V vectors of w).
template <class T, int P, int V>
void tile(const T* x, const Segment* segment, const Segment* end, const T* w, const T* start, int64_t start_pixel, T* y,
          int64_t y_pixel) {
  constexpr int L = lanes<T>;
  Vector<T> sum[P][V];
#pragma GCC unroll 32
  for (int p = 0; p < P; ++p)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) sum[p][v] = load(start + p * start_pixel + v * L);
  for (; segment != end; ++segment) {
    const T* xs = x + segment->offset;
    for (int64_t c = 0; c < segment->count; ++c, w += V * L) {
      Vector<T> weight[V];
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) weight[v] = load(w + v * L);
#pragma GCC unroll 32
      for (int p = 0; p < P; ++p) {
        const T value = xs[c + block * p];
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) sum[p][v] += value * weight[v];
      }
    }
  }
#pragma GCC unroll 32
  for (int p = 0; p < P; ++p)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) store(y + p * y_pixel + v * L, sum[p][v]);
}

/// dw[c][j] += sum over rows and pixels p of x[16 (p + j) + c] * dy[p], for C channels c, J kernel columns j and V
/// vectors.
template <class T, int J, int C, int V>
void gradient_tile(const T* x, int64_t x_row, const T* dy, int64_t rows, int64_t width, T* dw, int64_t dw_channel) {
  constexpr int L = lanes<T>;
  Vector<T> sum[C][J][V];
#pragma GCC unroll 32
  for (int c = 0; c < C; ++c)
#pragma GCC unroll 4
    for (int j = 0; j < J; ++j)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sum[c][j][v] = Vector<T>{};
  for (int64_t r = 0; r < rows; ++r) {
    const T* xp = x + r * x_row;
    for (int64_t p = 0; p < width; ++p, xp += block, dy += V * L) {
      Vector<T> gradient[V];
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) gradient[v] = load(dy + v * L);
#pragma GCC unroll 32
      for (int c = 0; c < C; ++c)
#pragma GCC unroll 4
        for (int j = 0; j < J; ++j) {
          const T value = xp[block * j + c];
#pragma GCC unroll 4
          for (int v = 0; v < V; ++v) sum[c][j][v] += value * gradient[v];
        }
    }
  }
#pragma GCC unroll 32
  for (int c = 0; c < C; ++c)
#pragma GCC unroll 4
    for (int j = 0; j < J; ++j)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        T* to = dw + c * dw_channel + (j * V + v) * L;
        store(to, load(to) + sum[c][j][v]);
      }
}

/// The micro-kernels tile() for 1, 2, .. pixels and gradient_tile() for 1, 2, .. channels.
template <class T, int V, int... I>
constexpr auto make_tiles(std::integer_sequence<int, I...>) {
  return std::array{&tile<T, I + 1, V>...};
}
template <class T, int V>
constexpr auto forward_tiles = make_tiles<T, V>(std::make_integer_sequence<int, tile_limit(V)>());

template <class T, int J, int V, int... I>
constexpr auto make_gradient_tiles(std::integer_sequence<int, I...>) {
  return std::array{&gradient_tile<T, J, I + 1, V>...};
}
template <class T, int J, int V>
constexpr auto gradient_tiles =
    make_gradient_tiles<T, J, V>(std::make_integer_sequence<int, std::min(block, std::max(1, tile_limit(V) / J))>());

}  // namespace gt::tiles
