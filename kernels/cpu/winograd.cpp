// Winograd's correlation in three steps: transform the input's tiles, multiply at each of the (M+2)^2 points of the
// transformed basis, transform the products back. In transformed data, the point is the outermost dimension; in weights
// it comes after the group of output channels.
#include "kernels/cpu/winograd.h"

#include "kernels/cpu/conv_groups.h"
#include "kernels/cpu/winograd_tiles.h"

namespace gt {
namespace {

using namespace tiles;

constexpr int64_t min_channels = 16;  // with fewer the transforms cost more than they save

// Tiles whose products are computed together, so that their transformed inputs stay in or near the L2 cache.
constexpr int64_t batch_tiles = 30, gradient_batch_tiles = 96;

constexpr int64_t l2_bytes = 7 << 18;  // of the L2 cache, that transformed data may fill

/// The distance in elements from one point to the next. It is a row longer than needed. Otherwise all points would
/// share a few sets of the L1 cache.
constexpr int64_t point_stride(int64_t rows, int64_t width) { return (rows + 1) * width; }

/// The tiles of all images, each of M x M output pixels. They go image after image, row after row.
struct TileGrid {
  TileGrid(const Correlation& n, int m)
      : m(m), rows(ceil_div(n.height, m)), columns(ceil_div(n.width, m)), count(n.images * rows * columns) {}

  struct Position {
    int64_t image, row, column;  // of the first output pixel
  };
  Position position(int64_t tile) const {
    return {tile / (rows * columns), tile / columns % rows * m, tile % columns * m};
  }
  int64_t products() const { return count * (m + 2) * (m + 2); }

  int64_t m, rows, columns, count;
};

/// M, 2 or 4: the one with fewer products, including those of partial tiles at the images' edges.
int tile_side(const Correlation& n) { return TileGrid(n, 2).products() <= TileGrid(n, 4).products() ? 2 : 4; }

// ---- Pixels of a tile -----------------------------------------------------------------------------------------------

/// Loads a vector, or only its first `count` elements, with zeros after them. `count` is at least 1.
template <class T>
Vector<T> load_some(const T* from, int64_t count) {
  if (count >= lanes<T>) return load(from);
  T part[lanes<T>] = {};
  std::copy_n(from, count, part);
  return load(part);
}

/// Stores a vector, or only its first `count` elements.
template <class T>
void store_some(T* to, Vector<T> v, int64_t count) {
  if (count >= lanes<T>) return store(to, v);
  T part[lanes<T>];
  store(part, v);
  std::copy_n(part, count, to);
}

/// Loads N x N pixels from (top, left) of image b, `count` channels of each, with zeros outside the image. The view
/// starts at the first of the channels.
template <class T, int N>
[[gnu::always_inline]] inline void load_tile(const Correlation& n, const PixelView<const T>& view, int64_t b,
                                             int64_t top, int64_t left, int64_t count, Vector<T> (&d)[N][N]) {
  const T* corner = view.at(b, top, left);
  if (top >= 0 && left >= 0 && top + N <= n.height && left + N <= n.width && count >= lanes<T>) {
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i)
#pragma GCC unroll 8
      for (int j = 0; j < N; ++j) d[i][j] = load(corner + i * view.row + j * view.pixel);
    return;
  }
  for (int i = 0; i < N; ++i)
    for (int j = 0; j < N; ++j) {
      const bool inside = top + i >= 0 && top + i < n.height && left + j >= 0 && left + j < n.width && count > 0;
      d[i][j] = inside ? load_some(corner + i * view.row + j * view.pixel, count) : Vector<T>{};
    }
}

/// Stores those of M x M pixels from (top, left) of image b that are inside the image, `count` channels of each.
template <class T, int M>
void store_tile(const Correlation& n, const PixelView<T>& view, int64_t b, int64_t top, int64_t left, int64_t count,
                const Vector<T> (&y)[M][M]) {
  T* corner = view.at(b, top, left);
  for (int i = 0; i < M && top + i < n.height; ++i)
    for (int j = 0; j < M && left + j < n.width; ++j)
      store_some(corner + i * view.row + j * view.pixel, y[i][j], count);
}

// ---- Transforms -----------------------------------------------------------------------------------------------------

/// Transforms the input of `count` tiles to [point][C / 16][tile][16]; of its blocks of channels, only [begin, end).
template <class T, int M>
void transform_input(const Correlation& n, const TileGrid& grid, const PixelView<const T>& x, int64_t first,
                     int64_t count, int64_t begin, int64_t end, T* to) {
  constexpr int N = M + 2;
  const int64_t stride = point_stride(ceil_div(n.in, block) * count, block);
  for (int64_t t = 0; t < count; ++t) {
    const auto [b, row, column] = grid.position(first + t);
    for (int64_t c = begin * block; c < end * block; c += lanes<T>) {
      Vector<T> d[N][N], u[N][N];
      load_tile(n, x.from_channel(c), b, row - 1, column - 1, n.in - c, d);
      transform(d, u, [](auto& from, auto& to) { Winograd<M>::input(from, to); });
      T* out = to + (c / block * count + t) * block + c % block;
#pragma GCC unroll 8
      for (int i = 0; i < N; ++i)
#pragma GCC unroll 8
        for (int j = 0; j < N; ++j) store(out + (i * N + j) * stride, u[i][j]);
    }
  }
}

/// Transforms products [point][tile][V vectors] to `used` channels of y, and adds the bias. y starts at the first of
/// the channels.
template <class T, int M, int V>
void transform_output(const Correlation& n, const TileGrid& grid, const T* products, int64_t first, int64_t count,
                      const T* bias, int64_t used, const PixelView<T>& y) {
  constexpr int N = M + 2;
  constexpr int64_t width = V * lanes<T>;
  for (int64_t t = 0; t < count; ++t) {
    const auto [b, row, column] = grid.position(first + t);
    for (int64_t k = 0; k < std::min(width, used); k += lanes<T>) {
      Vector<T> u[N][N], out[M][M];
#pragma GCC unroll 8
      for (int i = 0; i < N; ++i)
#pragma GCC unroll 8
        for (int j = 0; j < N; ++j) u[i][j] = load(products + (i * N + j) * point_stride(count, width) + t * width + k);
      transform(u, out, [](auto& from, auto& to) { Winograd<M>::output(from, to); });
      const Vector<T> offset = load(bias + k);
#pragma GCC unroll 4
      for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < M; ++j) out[i][j] += offset;
      store_tile(n, y.from_channel(k), b, row, column, used - k, out);
    }
  }
}

/// Transforms the output's gradient to [point][tile][V vectors]. dy starts at the first of the channels, of which it
/// has `used`.
template <class T, int M, int V>
void transform_output_gradient(const Correlation& n, const TileGrid& grid, const PixelView<const T>& dy, int64_t first,
                               int64_t count, int64_t used, T* to) {
  constexpr int N = M + 2;
  constexpr int64_t width = V * lanes<T>;
  for (int64_t t = 0; t < count; ++t) {
    const auto [b, row, column] = grid.position(first + t);
    for (int64_t k = 0; k < width; k += lanes<T>) {
      Vector<T> d[M][M], u[N][N];
      load_tile(n, dy.from_channel(k), b, row, column, used - k, d);
      transform(d, u, [](auto& from, auto& to) { Winograd<M>::output_gradient(from, to); });
#pragma GCC unroll 8
      for (int i = 0; i < N; ++i)
#pragma GCC unroll 8
        for (int j = 0; j < N; ++j) store(to + (i * N + j) * point_stride(count, width) + t * width + k, u[i][j]);
    }
  }
}

/// Transforms a group's weights for the block of input channels from c0 on, to [point][c][channel of the group].
/// Channels beyond the last are zero.
template <class T, int M>
void transform_weights(const Correlation& n, const WeightView<const T>& w, const Group& group, int64_t c0, T* to) {
  constexpr int N = M + 2, L = lanes<T>;
  const int64_t count = std::min<int64_t>(block, n.in - c0), width = group.width<T>();
  for (int64_t k0 = 0; k0 < width; k0 += L) {
    T taps[max_block_vectors * L];
    load_weights({3, c0, count, group.first + k0, std::clamp<int64_t>(n.out - group.first - k0, 0, L)}, w, taps);
    for (int64_t c = 0; c < count; ++c) {
      Vector<T> g[3][3], u[N][N];
      for (int i = 0; i < 3; ++i)
        for (int j = 0; j < 3; ++j) g[i][j] = load(taps + (c * 9 + i * 3 + j) * L);
      transform(g, u, [](auto& from, auto& to) { Winograd<M>::weights(from, to); });
      T* out = to + (c0 + c) * width + k0;
      for (int i = 0; i < N; ++i)
        for (int j = 0; j < N; ++j) store(out + (i * N + j) * point_stride(n.in, width), u[i][j]);
    }
  }
}

/// Transforms all weights to [group][point][c][channel of the group].
template <class T, int M>
void transform_weights(const Correlation& n, const WeightView<const T>& w, const std::vector<Group>& groups, T* to) {
  const int64_t blocks = ceil_div(n.in, block);
  parallel_for(int64_t(groups.size()) * blocks, 1, [&](int64_t item, int64_t) {
    const Group& group = groups[size_t(item / blocks)];
    transform_weights<T, M>(n, w, group, item % blocks * block,
                            to + (M + 2) * (M + 2) * point_stride(n.in, group.first));
  });
}

/// Transforms sums of products [point][c][V vectors] of `channels` input channels, and adds them to the weights'
/// gradient [c][i][j][V vectors].
template <class T, int M, int V>
void add_weight_gradient(int64_t channels, const T* sums, T* dw) {
  constexpr int N = M + 2;
  constexpr int64_t width = V * lanes<T>;
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t k = 0; k < width; k += lanes<T>) {
      Vector<T> u[N][N], g[3][3];
      for (int i = 0; i < N; ++i)
        for (int j = 0; j < N; ++j) u[i][j] = load(sums + (i * N + j) * point_stride(channels, width) + c * width + k);
      transform(u, g, [](auto& from, auto& to) { Winograd<M>::weight_gradient(from, to); });
      for (int i = 0; i < 3; ++i)
        for (int j = 0; j < 3; ++j) {
          T* to = dw + ((c * 3 + i) * 3 + j) * width + k;
          store(to, load(to) + g[i][j]);
        }
    }
}

// ---- Products at each point -----------------------------------------------------------------------------------------

/// sums [c][V vectors] += input [C / 16][tile][16], transposed, times gradient [tile][V vectors].
template <class T, int V>
void add_products(int64_t channels, int64_t count, const T* input, const T* gradient, T* sums) {
  constexpr int64_t width = V * lanes<T>;
  const auto& kernels = gradient_tiles<T, 1, V>;
  for (int64_t c0 = 0; c0 < channels; c0 += block)
    for_parts(std::min<int64_t>(block, channels - c0), int64_t(kernels.size()), [&](int64_t c, int64_t some) {
      kernels[size_t(some - 1)](input + c0 * count + c, 0, gradient, 1, count, sums + (c0 + c) * width, width);
    });
}

// ---- Correlation and weight gradient for tiles of one size ----------------------------------------------------------

/// Multiplies `count` transformed tiles with the transformed weights of a group, and transforms the products to y.
template <class T, int M>
void correlate_group(const Correlation& n, const TileGrid& grid, int64_t first, int64_t count, const Group& group,
                     const T* input, const T* weights, const T* bias, T* products, const PixelView<T>& y) {
  constexpr int64_t points = (M + 2) * (M + 2);
  const int64_t blocks = ceil_div(n.in, block), width = group.width<T>();
  visit_vectors(group.vectors, [&]<int V>() {
    static constexpr T zeros[V * lanes<T>] = {};
    for (int64_t point = 0; point < points; ++point)
      multiply_pixels<T, V>(n.in, count, input + point * point_stride(blocks * count, block),
                            weights + point * point_stride(n.in, width), zeros,
                            products + point * point_stride(count, width));
    transform_output<T, M, V>(n, grid, products, first, count, bias + group.first, n.out - group.first,
                              y.from_channel(group.first));
  });
}

/// The groups of output channels if the input of all tiles and the weights of a group fit into the L2 cache together,
/// but all weights do not. Else none.
template <class T, int M>
std::vector<Group> cached_groups(const Correlation& n, const TileGrid& grid) {
  constexpr int64_t points = (M + 2) * (M + 2), size = int64_t(sizeof(T));
  const int64_t input = points * n.in * grid.count * size, weights = points * n.in * lanes<T> * size;  // of a vector
  if (input + weights * ceil_div(n.out, lanes<T>) <= l2_bytes) return {};
  for (const int vectors : {2, 1})
    if (input + vectors * weights <= l2_bytes) return make_groups<T>(n.out, vectors);
  return {};
}

/// correlate_tiles() for small images of many channels: a group's weights are transformed where they are used.
template <class T, int M>
void correlate_few_tiles(const Correlation& n, const TileGrid& grid, const std::vector<Group>& groups,
                         const PixelView<const T>& x, const WeightView<const T>& w, const T* bias,
                         const PixelView<T>& y) {
  constexpr int64_t points = (M + 2) * (M + 2);
  const int64_t blocks = ceil_div(n.in, block), width = groups[0].width<T>();
  Tensor input({points * point_stride(blocks * grid.count, block)}, dtype_of<T>());
  parallel_for(blocks, 1, [&](int64_t begin, int64_t end) {
    transform_input<T, M>(n, grid, x, 0, grid.count, begin, end, input.data<T>());
  });
  const int64_t weights = points * point_stride(n.in, width);
  Tensor scratch({num_threads(), weights + points * point_stride(grid.count, width)}, dtype_of<T>());
  parallel_for(int64_t(groups.size()), 1, [&](int64_t g, int64_t) {
    T* transformed = scratch.data<T>() + thread_index() * scratch.dim(1);
    for (int64_t c = 0; c < n.in; c += block) transform_weights<T, M>(n, w, groups[size_t(g)], c, transformed);
    correlate_group<T, M>(n, grid, 0, grid.count, groups[size_t(g)], input.data<T>(), transformed, bias,
                          transformed + weights, y);
  });
}

template <class T, int M>
void correlate_tiles(const Correlation& n, const PixelView<const T>& x, const WeightView<const T>& w, const T* bias,
                     const PixelView<T>& y) {
  constexpr int64_t points = (M + 2) * (M + 2);
  const TileGrid grid(n, M);
  const std::vector<Group> groups = make_groups<T>(n.out), cached = cached_groups<T, M>(n, grid);
  Tensor offset = Tensor::zeros({padded_width<T>(groups)}, dtype_of<T>());
  if (bias != nullptr) std::copy_n(bias, n.out, offset.data<T>());
  if (!cached.empty()) return correlate_few_tiles<T, M>(n, grid, cached, x, w, offset.data<T>(), y);
  Tensor weights({points * point_stride(n.in, padded_width<T>(groups))}, dtype_of<T>());
  transform_weights<T, M>(n, w, groups, weights.data<T>());

  // Small images make few batches of tiles. Their output channels are partitioned as well, to occupy more threads.
  const int64_t batches = ceil_div(grid.count, batch_tiles);
  const int64_t parts = std::clamp<int64_t>(16 / batches, 1, int64_t(groups.size()));
  const int64_t blocks = ceil_div(n.in, block), input = points * point_stride(blocks * batch_tiles, block);
  const int64_t max_products = point_stride(batch_tiles, groups[0].width<T>());
  Tensor scratch({num_threads(), input + points * max_products}, dtype_of<T>());
  parallel_for(parts * batches, 1, [&](int64_t item, int64_t) {
    const int64_t part = item / batches, batch = item % batches;
    const int64_t first = grid.count * batch / batches, count = grid.count * (batch + 1) / batches - first;
    T* transformed = scratch.data<T>() + thread_index() * scratch.dim(1);
    transform_input<T, M>(n, grid, x, first, count, 0, blocks, transformed);
    const int64_t all = int64_t(groups.size());
    for (int64_t g = all * part / parts; g < all * (part + 1) / parts; ++g) {
      const Group& group = groups[size_t(g)];
      correlate_group<T, M>(n, grid, first, count, group, transformed,
                            weights.data<T>() + points * point_stride(n.in, group.first), offset.data<T>(),
                            transformed + input, y);
    }
  });
}

template <class T, int M>
void weight_gradient_tiles(const Correlation& n, const PixelView<const T>& x, const PixelView<const T>& dy,
                           const WeightView<T>& dw, T* dbias) {
  // Points are pairs of interpolation points. At the pair (1,1), a tile's transformed gradient is the sum of its
  // pixels, from which the bias's gradient follows.
  constexpr int64_t points = (M + 2) * (M + 2), sum_point = M + 3;
  const TileGrid grid(n, M);
  const int64_t vectors = make_groups<T>(n.out)[0].vectors, max_width = vectors * lanes<T>;
  const int64_t blocks = ceil_div(n.in, block), input = points * point_stride(blocks * gradient_batch_tiles, block);
  const int64_t gradient = points * point_stride(gradient_batch_tiles, max_width);
  Tensor scratch({num_threads(), input + gradient + points * point_stride(n.in, max_width)}, dtype_of<T>());
  const int64_t max_chunks = ceil_div(grid.count, gradient_batch_tiles);
  sum_gradient(n, max_chunks, dw, dbias, [&]<int V>(int64_t chunk, int64_t chunks, const Group& group, T* chunk_dw) {
    constexpr int64_t width = V * lanes<T>;
    T* transformed = scratch.data<T>() + thread_index() * scratch.dim(1);
    T *transformed_gradient = transformed + input, *sums = transformed_gradient + gradient;
    const int64_t begin = grid.count * chunk / chunks, end = grid.count * (chunk + 1) / chunks;
    const bool one_batch = end - begin <= gradient_batch_tiles;
    if (!one_batch) std::fill_n(sums, points * point_stride(n.in, width), T(0));
    for_parts(end - begin, gradient_batch_tiles, [&](int64_t first, int64_t count) {
      first += begin;
      transform_input<T, M>(n, grid, x, first, count, 0, blocks, transformed);
      transform_output_gradient<T, M, V>(n, grid, dy.from_channel(group.first), first, count, n.out - group.first,
                                         transformed_gradient);
      // The sums of one batch stay in the caches, a few channels at a time.
      const int64_t channels = one_batch ? block : n.in;
      for (int64_t c = 0; c < n.in; c += channels) {
        const int64_t some = std::min(channels, n.in - c);
        if (one_batch) std::fill_n(sums, points * point_stride(some, width), T(0));
        for (int64_t point = 0; point < points; ++point)
          add_products<T, V>(some, count, transformed + point * point_stride(blocks * count, block) + c * count,
                             transformed_gradient + point * point_stride(count, width),
                             sums + point * point_stride(some, width));
        if (one_batch) add_weight_gradient<T, M, V>(some, sums, chunk_dw + 9 * c * width);
      }
      if (dbias != nullptr)
        add_bias<T, V>(transformed_gradient + sum_point * point_stride(count, width), count,
                       chunk_dw + 9 * n.in * width);
    });
    if (!one_batch) add_weight_gradient<T, M, V>(n.in, sums, chunk_dw);
  });
}

}  // namespace

bool takes_winograd(const Correlation& n) {
  if (n.kernel != 3 || n.numerics.convolution == ConvolutionMethod::direct) return false;
  return n.numerics.convolution == ConvolutionMethod::winograd || std::min(n.in, n.out) >= min_channels;
}

template <class T>
void winograd_correlate(const Correlation& n, const PixelView<const T>& x, const WeightView<const T>& w, const T* bias,
                        const PixelView<T>& y) {
  (tile_side(n) == 2 ? correlate_tiles<T, 2> : correlate_tiles<T, 4>)(n, x, w, bias, y);
}

template <class T>
void winograd_weight_gradient(const Correlation& n, const PixelView<const T>& x, const PixelView<const T>& dy,
                              const WeightView<T>& dw, T* dbias) {
  (tile_side(n) == 2 ? weight_gradient_tiles<T, 2> : weight_gradient_tiles<T, 4>)(n, x, dy, dw, dbias);
}

#define GT_INSTANTIATE(T)                                                                                             \
  template void winograd_correlate<T>(const Correlation&, const PixelView<const T>&, const WeightView<const T>&,      \
                                      const T*, const PixelView<T>&);                                                 \
  template void winograd_weight_gradient<T>(const Correlation&, const PixelView<const T>&, const PixelView<const T>&, \
                                            const WeightView<T>&, T*);
GT_INSTANTIATE(float)
GT_INSTANTIATE(double)

}  // namespace gt
