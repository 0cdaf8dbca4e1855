// Weights between their view and the order in which the inner loops read or write them. Where the view is contiguous
// along channels and taps, or along output channels, whole vectors are moved.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/conv_tiles.h"
#include "kernels/cpu/convolution.h"

namespace gt::tiles {

/// A block of weights: `ins` input channels from `in` on, at most 16, and `outs` output channels from `out` on, at most
/// a vector. Its elements are [c][i][j], a vector of output channels each.
struct WeightBlock {
  int64_t kernel, in, ins, out, outs;

  int64_t taps() const { return kernel * kernel; }
  int64_t vectors() const { return ins * taps(); }
};

constexpr int64_t max_block_vectors = 16 * 9;

/// The address of the first tap of the block's first channels.
template <class W>
auto* first_weight(const WeightBlock& b, const W& w) {
  return w.data + b.out * w.out + b.in * w.in;
}

/// Whether an output channel's weights [c][i][j] are contiguous.
template <class T>
bool contiguous_inputs(const WeightBlock& b, const WeightView<T>& w) {
  return w.in == b.taps() && (b.kernel == 1 || (w.row == b.kernel && w.column == 1));
}

/// f(vector, element, weight) for each weight: its vector, its place in it and its address.
template <class T, class F>
void for_weights_of(const WeightBlock& b, const WeightView<T>& w, int64_t first_vector, const F& f) {
  for (int64_t v = first_vector; v < b.vectors(); ++v) {
    const int64_t c = v / b.taps(), i = v % b.taps() / b.kernel, j = v % b.kernel;
    T* at = first_weight(b, w) + c * w.in + i * w.row + j * w.column;
    for (int64_t k = 0; k < b.outs; ++k) f(v, k, at + k * w.out);
  }
}

/// Reads a block to [c][i][j][vector]. Output channels beyond the last are zero.
template <class T>
void load_weights(const WeightBlock& b, const WeightView<const T>& w, T* to) {
  constexpr int64_t L = lanes<T>;
  const T* from = first_weight(b, w);
  int64_t done = 0;
  if (b.outs == L && contiguous_inputs(b, w)) {
    for (; done + L <= b.vectors(); done += L) transpose(from + done, w.out, to + done * L, L);
  } else if (b.outs == L && b.kernel == 1 && w.out == 1) {
    for (; done < b.ins; ++done) std::copy_n(from + done * w.in, L, to + done * L);
  } else if (b.outs == L && b.kernel == 3 && w.out == 9 && w.row == -3 && w.column == -1) {
    // An input channel's weights [k][tap] are contiguous, the last tap first.
    T rows[L * L] = {}, columns[L * L];
    for (int64_t c = 0; c < b.ins; ++c, done += 9)
      for (int64_t first = 0; first < 9; first += L) {
        const int64_t count = std::min<int64_t>(L, 9 - first);
        for (int64_t k = 0; k < L; ++k) std::copy_n(from + c * w.in + k * 9 - 8 + first, count, rows + k * L);
        transpose(rows, L, columns, L);
        for (int64_t t = 0; t < count; ++t) std::copy_n(columns + t * L, L, to + (c * 9 + 8 - first - t) * L);
      }
  }
  if (b.outs < L) std::fill_n(to, b.vectors() * L, T(0));
  for_weights_of(b, w, done, [=](int64_t v, int64_t k, const T* weight) { to[v * L + k] = *weight; });
}

/// Writes a block from [c][i][j][vector], of which each vector is `stride` elements behind the one before.
template <class T>
void store_weights(const WeightBlock& b, const T* from, int64_t stride, const WeightView<T>& w) {
  constexpr int64_t L = lanes<T>;
  T* to = first_weight(b, w);
  int64_t done = 0;
  if (b.outs == L && contiguous_inputs(b, w)) {
    for (; done + L <= b.vectors(); done += L) transpose(from + done * stride, stride, to + done, w.out);
  } else if (b.outs == L && b.kernel == 1 && w.out == 1) {
    for (; done < b.ins; ++done) std::copy_n(from + done * stride, L, to + done * w.in);
  }
  for_weights_of(b, w, done, [=](int64_t v, int64_t k, T* weight) { *weight = from[v * stride + k]; });
}

}  // namespace gt::tiles
