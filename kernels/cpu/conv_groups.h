// What the direct and the Winograd method share: the partition of work, groups of output channels, and the addition of
// a weight gradient's partial sums.
#pragma once

#include <algorithm>
#include <vector>

#include "core/parallel.h"
#include "kernels/cpu/conv_tiles.h"
#include "kernels/cpu/conv_weights.h"
#include "kernels/cpu/convolution.h"

namespace gt::tiles {

// ---- Partition of work ----------------------------------------------------------------------------------------------

/// a / b, rounded up.
inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// The number of items that are worth a thread, given an item's multiplications. Copying an element takes as long
/// as 16.
inline int64_t grain(int64_t multiplications) { return ceil_div(1 << 18, multiplications); }

/// f(begin, count) for the fewest parts of [0, n) that have at most `max` items, all of nearly equal size.
template <class F>
void for_parts(int64_t n, int64_t max, F&& f) {
  const int64_t parts = ceil_div(n, max);
  for (int64_t i = 0; i < parts; ++i) f(n * i / parts, n * (i + 1) / parts - n * i / parts);
}

// ---- Groups of output channels --------------------------------------------------------------------------------------

/// Neighbouring output channels that a micro-kernel computes at once. Groups follow one another in packed buffers.
struct Group {
  int64_t first;  // output channel
  int vectors;    // 4, 2 or 1; the last vector of the last group may be partly used

  template <class T>
  int64_t width() const {
    return vectors * lanes<T>;
  }
};

/// f.operator()<V>() with V = vectors, which is 4, 2 or 1.
template <class F>
void visit_vectors(int vectors, F&& f) {
  if (vectors == 4)
    f.template operator()<4>();
  else if (vectors == 2)
    f.template operator()<2>();
  else
    f.template operator()<1>();
}

constexpr int max_group = registers == 32 ? 4 : 2;  // vectors

/// Output channels of the largest group with the widest vectors. What decides the order of a sum uses this, so that all
/// widths give the same bits.
template <class T>
constexpr int64_t wide_group = 4 * 64 / int64_t(sizeof(T));

/// The groups of `channels` output channels, of at most `max` vectors each.
template <class T>
std::vector<Group> make_groups(int64_t channels, int max = max_group) {
  std::vector<Group> groups;
  for (int64_t left = ceil_div(channels, lanes<T>), first = 0; left > 0;) {
    const int vectors = left >= 4 && max >= 4 ? 4 : left >= 2 && max >= 2 ? 2 : 1;
    groups.push_back({first, vectors});
    first += vectors * lanes<T>;
    left -= vectors;
  }
  return groups;
}

/// Output channels of all groups, unused ones included.
template <class T>
int64_t padded_width(const std::vector<Group>& groups) {
  return groups.empty() ? 0 : groups.back().first + groups.back().template width<T>();
}

/// Packs weights in the order in which tile() reads them: [group][i][C / 16][j][c][channel of the group]. Channels
/// beyond the last are zero.
template <class T>
void pack_weights(const Correlation& n, const WeightView<const T>& w, const std::vector<Group>& groups, T* packed) {
  const int64_t blocks = ceil_div(n.in, block), taps = n.kernel * n.kernel;
  const int64_t block_items = grain(16 * taps * block * groups[0].width<T>());
  parallel_for(int64_t(groups.size()) * blocks, block_items, [&](int64_t begin, int64_t end) {
    T vectors[max_block_vectors * lanes<T>];
    for (int64_t item = begin; item < end; ++item) {
      const Group& group = groups[size_t(item / blocks)];
      const int64_t c0 = item % blocks * block, count = std::min<int64_t>(block, n.in - c0), width = group.width<T>();
      T* to = packed + group.first * taps * n.in + c0 * n.kernel * width;
      for (int64_t k = 0; k < width; k += lanes<T>) {
        const int64_t used = std::clamp<int64_t>(n.out - group.first - k, 0, lanes<T>);
        load_weights({n.kernel, c0, count, group.first + k, used}, w, vectors);
        for (int64_t c = 0; c < count; ++c)
          for (int64_t ij = 0; ij < taps; ++ij) {
            const int64_t row = ij / n.kernel * n.in * n.kernel + ij % n.kernel * count + c;
            std::copy_n(vectors + (c * taps + ij) * lanes<T>, lanes<T>, to + row * width + k);
          }
      }
    }
  });
}

// ---- Products -------------------------------------------------------------------------------------------------------

/// y [pixel][V vectors] = start [V vectors] + x [C / 16][pixel][16] times weights [c][V vectors]. Pixels of y are
/// y_pixel elements apart.
template <class T, int V>
void multiply_pixels(int64_t channels, int64_t pixels, const T* x, const T* weights, const T* start, T* y,
                     int64_t y_pixel = V * lanes<T>) {
  constexpr int64_t width = V * lanes<T>;
  std::array<Segment, 64> segments;
  for (int64_t c = 0; c < channels; c += block * int64_t(segments.size())) {
    Segment* end = segments.data();
    for (int64_t d = c; d < channels && end < segments.data() + segments.size(); d += block, ++end)
      *end = {d / block * pixels * block, std::min<int64_t>(block, channels - d)};
    for_parts(pixels, tile_limit(V), [&](int64_t p, int64_t some) {
      T* to = y + p * y_pixel;
      forward_tiles<T, V>[size_t(some - 1)](x + p * block, segments.data(), end, weights + c * width,
                                            c == 0 ? start : to, c == 0 ? 0 : y_pixel, to, y_pixel);
    });
  }
}

// ---- Weight gradient ------------------------------------------------------------------------------------------------

/// dbias[k] += sum over pixels of dy [pixel][V vectors].
template <class T, int V>
void add_bias(const T* dy, int64_t pixels, T* dbias) {
  for (int v = 0; v < V; ++v) {
    Vector<T> sum{};
    for (int64_t p = 0; p < pixels; ++p) sum += load(dy + (p * V + v) * lanes<T>);
    store(dbias + v * lanes<T>, load(dbias + v * lanes<T>) + sum);
  }
}

/// Adds the chunks' partial sums [chunk][c][i][j][group] in order, and stores them in dw and, unless it is null, dbias.
/// A chunk has `stride` elements.
template <class T>
void unpack_gradient(const Correlation& n, const Group& group, T* partial, int64_t chunks, int64_t stride,
                     const WeightView<T>& dw, T* dbias) {
  const int64_t taps = n.kernel * n.kernel, width = group.width<T>();
  const int64_t block_items = grain(16 * chunks * taps * width);
  parallel_for(n.in + 1, block_items, [&](int64_t begin, int64_t end) {  // the last "channel" is the bias, with one tap
    T* sum = partial + begin * taps * width;
    const int64_t elements = (std::min(end, n.in) - begin) * taps * width + (end > n.in ? width : 0);
    for (int64_t chunk = 1; chunk < chunks; ++chunk) {
      const T* more = sum + chunk * stride;
      for (int64_t e = 0; e < elements; ++e) sum[e] += more[e];
    }
    for (int64_t k = 0; k < width; k += lanes<T>) {
      const int64_t used = std::clamp<int64_t>(n.out - group.first - k, 0, lanes<T>);
      for (int64_t c = begin; c < std::min(end, n.in); c += block) {
        const int64_t count = std::min<int64_t>(block, std::min(end, n.in) - c);
        store_weights({n.kernel, c, count, group.first + k, used}, sum + (c - begin) * taps * width + k, width, dw);
      }
      if (end > n.in && dbias != nullptr)
        std::copy_n(sum + (n.in - begin) * taps * width + k, used, dbias + group.first + k);
    }
  });
}

/// The weight gradient by groups of output channels and chunks of the pixels. add.operator()<V>(chunk, chunks, group,
/// sums) adds a chunk's part to sums [c][i][j][group], followed by the bias's [group]. There are at most `max_chunks`
/// chunks, and about eight of them for each 64 output channels (32 in double), whatever the width of vectors.
template <class T, class F>
void sum_gradient(const Correlation& n, int64_t max_chunks, const WeightView<T>& dw, T* dbias, F&& add) {
  const std::vector<Group> groups = make_groups<T>(n.out);
  const int64_t count = int64_t(groups.size()), terms = n.kernel * n.kernel * n.in + 1;
  const int64_t stride = padded_width<T>(groups) * terms, wide = ceil_div(n.out, wide_group<T>);
  const int64_t chunks = std::clamp<int64_t>(8 / wide, 1, max_chunks);
  Tensor partial({chunks, stride}, dtype_of<T>());
  parallel_for(chunks * count, 1, [&](int64_t item, int64_t) {
    const int64_t chunk = item / count;
    const Group& group = groups[size_t(item % count)];
    T* sums = partial.data<T>() + chunk * stride + group.first * terms;
    std::fill_n(sums, group.width<T>() * terms, T(0));
    visit_vectors(group.vectors, [&]<int V>() { add.template operator()<V>(chunk, chunks, group, sums); });
  });
  for (const Group& group : groups)
    unpack_gradient(n, group, partial.data<T>() + group.first * terms, chunks, stride, dw, dbias);
}

}  // namespace gt::tiles
