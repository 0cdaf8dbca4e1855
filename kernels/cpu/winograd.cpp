#include "kernels/cpu/winograd.h"

#include <omp.h>

#include "kernels/cpu/conv_groups.h"
#include "kernels/cpu/winograd_tiles.h"

namespace gt {
namespace {

using namespace tiles;

// Below this, changing the basis costs more than is saved.
constexpr int64_t fewest_channels = 16;

// Tiles whose products are made together: their inputs, in all places, are at hand in the L2 cache or near it.
constexpr int64_t tiles_at_once = 30, tiles_at_once_in_gradient = 96;

// Elements from one place to the next: a row more than there are, lest all places fall into a few sets of the L1 cache.
constexpr int64_t place_size(int64_t rows, int64_t width) { return (rows + 1) * width; }

/// The tiles of all images, one after another.
struct TileGrid {
  TileGrid(const Correlation& n, int m)
      : m(m), rows(ceil_div(n.height, m)), columns(ceil_div(n.width, m)), count(n.images * rows * columns) {}

  struct Place {
    int64_t image, row, column;  // of the first output pixel
  };
  Place place(int64_t tile) const { return {tile / (rows * columns), tile / columns % rows * m, tile % columns * m}; }
  int64_t products() const { return count * (m + 2) * (m + 2); }

  int64_t m, rows, columns, count;
};

/// The side of the tiles: whichever needs fewer products, the images' edges counted in.
int tile_side(const Correlation& n) { return TileGrid(n, 2).products() <= TileGrid(n, 4).products() ? 2 : 4; }

// ---- Pixels of a tile -----------------------------------------------------------------------------------------------

// `count` elements, at least one, or a whole vector; zeros behind.
template <class T>
Vector<T> load_some(const T* from, int64_t count) {
  if (count >= lanes<T>) return load(from);
  T part[lanes<T>] = {};
  std::copy_n(from, count, part);
  return load(part);
}

template <class T>
void store_some(T* to, Vector<T> v, int64_t count) {
  if (count >= lanes<T>) return store(to, v);
  T part[lanes<T>];
  store(part, v);
  std::copy_n(part, count, to);
}

// N x N pixels from (top, left) of image b, `count` channels of each, zeros outside the image. view starts at the first
// of the channels.
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

// What of M x M pixels from (top, left) is inside the image.
template <class T, int M>
void store_tile(const Correlation& n, const PixelView<T>& view, int64_t b, int64_t top, int64_t left, int64_t count,
                const Vector<T> (&y)[M][M]) {
  T* corner = view.at(b, top, left);
  for (int i = 0; i < M && top + i < n.height; ++i)
    for (int j = 0; j < M && left + j < n.width; ++j)
      store_some(corner + i * view.row + j * view.pixel, y[i][j], count);
}

// ---- Changes of basis -----------------------------------------------------------------------------------------------

// Input of `count` tiles to [place][C / 16][tile][16].
template <class T, int M>
void transform_input(const Correlation& n, const TileGrid& grid, const PixelView<const T>& x, int64_t first,
                     int64_t count, T* to) {
  constexpr int N = M + 2;
  const int64_t blocks = ceil_div(n.in, block), stride = place_size(blocks * count, block);
  for (int64_t t = 0; t < count; ++t) {
    const auto [b, row, column] = grid.place(first + t);
    for (int64_t c = 0; c < blocks * block; c += lanes<T>) {
      Vector<T> d[N][N], u[N][N];
      load_tile(n, x.from_channel(c), b, row - 1, column - 1, n.in - c, d);
      transform(d, u, [](auto& from, auto& changed) { Winograd<M>::input(from, changed); });
      T* place = to + (c / block * count + t) * block + c % block;
#pragma GCC unroll 8
      for (int i = 0; i < N; ++i)
#pragma GCC unroll 8
        for (int j = 0; j < N; ++j) store(place + (i * N + j) * stride, u[i][j]);
    }
  }
}

// Products [place][tile][V vectors] to `used` channels of y, which starts at the first of them, plus the bias.
template <class T, int M, int V>
void transform_output(const Correlation& n, const TileGrid& grid, const T* products, int64_t first, int64_t count,
                      const T* bias, int64_t used, const PixelView<T>& y) {
  constexpr int N = M + 2;
  constexpr int64_t width = V * lanes<T>;
  for (int64_t t = 0; t < count; ++t) {
    const auto [b, row, column] = grid.place(first + t);
    for (int64_t k = 0; k < std::min(width, used); k += lanes<T>) {
      Vector<T> u[N][N], out[M][M];
#pragma GCC unroll 8
      for (int i = 0; i < N; ++i)
#pragma GCC unroll 8
        for (int j = 0; j < N; ++j) u[i][j] = load(products + (i * N + j) * place_size(count, width) + t * width + k);
      transform(u, out, [](auto& from, auto& changed) { Winograd<M>::output(from, changed); });
      const Vector<T> offset = load(bias + k);
#pragma GCC unroll 4
      for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < M; ++j) out[i][j] += offset;
      store_tile(n, y.from_channel(k), b, row, column, used - k, out);
    }
  }
}

// The output's gradient, V vectors of channels of which `used` are there, to [place][tile][V vectors]. dy starts at the
// first of them.
template <class T, int M, int V>
void transform_output_gradient(const Correlation& n, const TileGrid& grid, const PixelView<const T>& dy, int64_t first,
                               int64_t count, int64_t used, T* to) {
  constexpr int N = M + 2;
  constexpr int64_t width = V * lanes<T>;
  for (int64_t t = 0; t < count; ++t) {
    const auto [b, row, column] = grid.place(first + t);
    for (int64_t k = 0; k < width; k += lanes<T>) {
      Vector<T> d[M][M], u[N][N];
      load_tile(n, dy.from_channel(k), b, row, column, used - k, d);
      transform(d, u, [](auto& from, auto& changed) { Winograd<M>::output_gradient(from, changed); });
#pragma GCC unroll 8
      for (int i = 0; i < N; ++i)
#pragma GCC unroll 8
        for (int j = 0; j < N; ++j) store(to + (i * N + j) * place_size(count, width) + t * width + k, u[i][j]);
    }
  }
}

// Weights to [group][place][c][channel of the group], zeros in missing ones.
template <class T, int M>
void transform_weights(const Correlation& n, const WeightView<const T>& w, const std::vector<Group>& groups, T* to) {
  constexpr int N = M + 2, L = lanes<T>;
  const int64_t blocks = ceil_div(n.in, block);
  parallel_for(int64_t(groups.size()) * blocks, 1, [&](int64_t item, int64_t) {
    const Group& group = groups[size_t(item / blocks)];
    const int64_t c0 = item % blocks * block, count = std::min<int64_t>(block, n.in - c0), width = group.width<T>();
    for (int64_t k0 = 0; k0 < width; k0 += L) {
      T taps[9][block][L] = {};
      for (int64_t k = 0; k < std::min<int64_t>(L, n.out - group.first - k0); ++k)
        for (int64_t c = 0; c < count; ++c) {
          const T* from = w.data + (group.first + k0 + k) * w.out + (c0 + c) * w.in;
          for (int64_t i = 0; i < 3; ++i)
            for (int64_t j = 0; j < 3; ++j) taps[i * 3 + j][c][k] = from[i * w.row + j * w.column];
        }
      for (int64_t c = 0; c < count; ++c) {
        Vector<T> g[3][3], u[N][N];
        for (int i = 0; i < 3; ++i)
          for (int j = 0; j < 3; ++j) g[i][j] = load(taps[i * 3 + j][c]);
        transform(g, u, [](auto& from, auto& changed) { Winograd<M>::weights(from, changed); });
        T* place = to + N * N * place_size(n.in, group.first) + (c0 + c) * width + k0;
        for (int i = 0; i < N; ++i)
          for (int j = 0; j < N; ++j) store(place + (i * N + j) * place_size(n.in, width), u[i][j]);
      }
    }
  });
}

// Sums of products [place][c][V vectors] to the weights' gradient [c][i][j][V vectors], to which they are added.
template <class T, int M, int V>
void add_weight_gradient(const Correlation& n, const T* sums, T* dw) {
  constexpr int N = M + 2;
  constexpr int64_t width = V * lanes<T>;
  for (int64_t c = 0; c < n.in; ++c)
    for (int64_t k = 0; k < width; k += lanes<T>) {
      Vector<T> u[N][N], g[3][3];
      for (int i = 0; i < N; ++i)
        for (int j = 0; j < N; ++j) u[i][j] = load(sums + (i * N + j) * place_size(n.in, width) + c * width + k);
      transform(u, g, [](auto& from, auto& changed) { Winograd<M>::weight_gradient(from, changed); });
      for (int i = 0; i < 3; ++i)
        for (int j = 0; j < 3; ++j) {
          T* to = dw + ((c * 3 + i) * 3 + j) * width + k;
          store(to, load(to) + g[i][j]);
        }
    }
}

// ---- Products in each place -----------------------------------------------------------------------------------------

// products [tile][V vectors] = input [C / 16][tile][16] times weights [c][V vectors].
template <class T, int V>
void multiply_tiles(int64_t channels, int64_t count, const T* input, const T* weights, T* products) {
  constexpr int64_t width = V * lanes<T>;
  static constexpr T zeros[width] = {};
  std::array<Segment, 64> segments;
  for (int64_t c = 0; c < channels; c += block * int64_t(segments.size())) {
    Segment* end = segments.data();
    for (int64_t d = c; d < channels && end < segments.data() + segments.size(); d += block, ++end)
      *end = {d / block * count * block, std::min<int64_t>(block, channels - d)};
    for_parts(count, tile_limit(V), [&](int64_t t, int64_t some) {
      T* to = products + t * width;
      forward_tiles<T, V>[size_t(some - 1)](input + t * block, segments.data(), end, weights + c * width,
                                            c == 0 ? zeros : to, c == 0 ? 0 : width, to, width);
    });
  }
}

// sums [c][V vectors] += input [C / 16][tile][16], transposed, times gradient [tile][V vectors].
template <class T, int V>
void add_products(int64_t channels, int64_t count, const T* input, const T* gradient, T* sums) {
  constexpr int64_t width = V * lanes<T>;
  const auto& kernels = gradient_tiles<T, 1, V>;
  for (int64_t c0 = 0; c0 < channels; c0 += block)
    for_parts(std::min<int64_t>(block, channels - c0), int64_t(kernels.size()), [&](int64_t c, int64_t some) {
      kernels[size_t(some - 1)](input + c0 * count + c, 0, gradient, 1, count, sums + (c0 + c) * width, width);
    });
}

// ---- Correlation and weight gradient for one side of the tiles ------------------------------------------------------

template <class T, int M>
void correlate_tiles(const Correlation& n, const PixelView<const T>& x, const WeightView<const T>& w, const T* bias,
                     const PixelView<T>& y) {
  constexpr int64_t places = (M + 2) * (M + 2);
  const TileGrid grid(n, M);
  const std::vector<Group> groups = make_groups<T>(n.out);
  Tensor weights({places * place_size(n.in, padded_width<T>(groups))}, dtype_of<T>());
  transform_weights<T, M>(n, w, groups, weights.data<T>());
  Tensor offset = Tensor::zeros({padded_width<T>(groups)}, dtype_of<T>());
  if (bias != nullptr) std::copy_n(bias, n.out, offset.data<T>());

  // Small maps make few batches of tiles: the output channels are shared out as well then.
  const int64_t batches = ceil_div(grid.count, tiles_at_once);
  const int64_t parts = std::clamp<int64_t>(16 / batches, 1, int64_t(groups.size()));
  const int64_t blocks = ceil_div(n.in, block), input = places * place_size(blocks * tiles_at_once, block);
  const int64_t most = place_size(tiles_at_once, groups[0].width<T>());
  Tensor scratch({num_threads(), input + places * most}, dtype_of<T>());
  parallel_for(parts * batches, 1, [&](int64_t item, int64_t) {
    const int64_t part = item / batches, batch = item % batches;
    const int64_t first = grid.count * batch / batches, count = grid.count * (batch + 1) / batches - first;
    T* changed = scratch.data<T>() + omp_get_thread_num() * scratch.dim(1);
    T* products = changed + input;
    transform_input<T, M>(n, grid, x, first, count, changed);
    const int64_t all = int64_t(groups.size());
    for (int64_t g = all * part / parts; g < all * (part + 1) / parts; ++g) {
      const Group& group = groups[size_t(g)];
      visit_vectors(group.vectors, [&]<int V>() {
        const int64_t width = group.width<T>();
        const T* group_weights = weights.data<T>() + places * place_size(n.in, group.first);
        for (int64_t place = 0; place < places; ++place)
          multiply_tiles<T, V>(n.in, count, changed + place * place_size(blocks * count, block),
                               group_weights + place * place_size(n.in, width),
                               products + place * place_size(count, width));
        transform_output<T, M, V>(n, grid, products, first, count, offset.data<T>() + group.first, n.out - group.first,
                                  y.from_channel(group.first));
      });
    }
  });
}

template <class T, int M>
void weight_gradient_tiles(const Correlation& n, const PixelView<const T>& x, const PixelView<const T>& dy,
                           const WeightView<T>& dw, T* dbias) {
  constexpr int64_t places = (M + 2) * (M + 2), sum_of_tile = M + 3;  // the place of points 1 and 1: all pixels' sum
  const TileGrid grid(n, M);
  const int64_t vectors = make_groups<T>(n.out)[0].vectors, most = vectors * lanes<T>;
  const int64_t blocks = ceil_div(n.in, block), input = places * place_size(blocks * tiles_at_once_in_gradient, block);
  const int64_t gradient = places * place_size(tiles_at_once_in_gradient, most);
  Tensor scratch({num_threads(), input + gradient + places * place_size(n.in, most)}, dtype_of<T>());
  const int64_t worth = ceil_div(grid.count, tiles_at_once_in_gradient);
  sum_gradient(n, worth, dw, dbias, [&]<int V>(int64_t chunk, int64_t chunks, const Group& group, T* dw_of_chunk) {
    constexpr int64_t width = V * lanes<T>;
    T* changed = scratch.data<T>() + omp_get_thread_num() * scratch.dim(1);
    T *changed_gradient = changed + input, *sums = changed_gradient + gradient;
    std::fill_n(sums, places * place_size(n.in, width), T(0));
    const int64_t begin = grid.count * chunk / chunks, end = grid.count * (chunk + 1) / chunks;
    for_parts(end - begin, tiles_at_once_in_gradient, [&](int64_t first, int64_t count) {
      first += begin;
      transform_input<T, M>(n, grid, x, first, count, changed);
      transform_output_gradient<T, M, V>(n, grid, dy.from_channel(group.first), first, count, n.out - group.first,
                                         changed_gradient);
      for (int64_t place = 0; place < places; ++place)
        add_products<T, V>(n.in, count, changed + place * place_size(blocks * count, block),
                           changed_gradient + place * place_size(count, width), sums + place * place_size(n.in, width));
      if (dbias != nullptr)
        add_bias<T, V>(changed_gradient + sum_of_tile * place_size(count, width), count,
                       dw_of_chunk + 9 * n.in * width);
    });
    add_weight_gradient<T, M, V>(n, sums, dw_of_chunk);
  });
}

}  // namespace

bool takes_winograd(const Correlation& n) {
  if (n.kernel != 3 || n.numerics.convolution == ConvolutionMethod::direct) return false;
  return n.numerics.convolution == ConvolutionMethod::winograd || std::min(n.in, n.out) >= fewest_channels;
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
