// Direct correlation on packed operands. Input rows become [row][C / 16][W + 2h][16] with a halo of zeros, private to a
// thread and small enough for the L2 cache. Strides are then constant, and edges are no special case. The weights of a
// group of output channels become one stream in the order of the reduction. The cost is that of the FLOPs, 2 R^2 C K a
// pixel in each of forward, data gradient (itself a correlation) and weight gradient.
#include "kernels/cpu/convolution.h"

#include "core/tensor.h"
#include "kernels/cpu/conv_groups.h"
#include "kernels/cpu/winograd.h"

namespace gt {
namespace {

using namespace tiles;

// ---- Packing --------------------------------------------------------------------------------------------------------

/// Packed input rows: [row][C / 16][W + 2 halo][16].
struct RowLayout {
  explicit RowLayout(const Correlation& n)
      : halo(n.kernel / 2), column((n.width + 2 * halo) * block), row(ceil_div(n.in, block) * column) {}
  int64_t halo;
  int64_t column;  // elements of one block of channels in a row
  int64_t row;     // elements of a row
};

/// Packs rows [begin, end) of image b, all of them inside it.
template <class T>
void pack_rows(const Correlation& n, const PixelView<const T>& x, int64_t b, int64_t begin, int64_t end,
               const RowLayout& layout, T* to) {
  const int64_t edge = layout.halo * block;
  for (int64_t r = begin; r < end; ++r, to += layout.row) {
    const T* from = x.at(b, r, 0);
    for (int64_t c = 0; c < n.in; c += block) {
      T* column = to + c / block * layout.column;
      std::fill_n(column, edge, T(0));
      std::fill_n(column + layout.column - edge, edge, T(0));
    }
    const int64_t whole = x.part % block == 0 || x.together(0, n.in) ? n.in / block * block : 0;
    for (int64_t p = 0; p < n.width; ++p) {
      T* pixel = to + edge + p * block;
      for (int64_t c = 0; c < whole; c += block, pixel += layout.column)
        std::memcpy(pixel, from + p * x.pixel + x.channel(c), block * sizeof(T));
    }
    for (int64_t c = whole; c < n.in; ++c)
      for (int64_t p = 0; p < n.width; ++p)
        to[c / block * layout.column + edge + p * block + c % block] = from[p * x.pixel + x.channel(c)];
  }
}

/// Packs the V vectors of output channels from `first` on, in rows [begin, end) of image b, to [row][W][V vectors].
/// Channels beyond the last are zero.
template <class T, int V>
void pack_gradient(const Correlation& n, const PixelView<const T>& dy, int64_t first, int64_t b, int64_t begin,
                   int64_t end, T* to) {
  constexpr int64_t width = V * lanes<T>;
  const bool whole = first + width <= n.out && dy.together(first, width);
  const int64_t offset = dy.channel(first);
  for (int64_t r = begin; r < end; ++r) {
    const T* from = dy.at(b, r, 0);
    for (int64_t p = 0; p < n.width; ++p, from += dy.pixel, to += width) {
      if (whole)
        std::memcpy(to, from + offset, width * sizeof(T));
      else
        for (int64_t k = 0; k < width; ++k) to[k] = first + k < n.out ? from[dy.channel(first + k)] : T(0);
    }
  }
}

// ---- Correlation ----------------------------------------------------------------------------------------------------

/// Copies `count` channels from `first` on of the pixel at `from`.
template <class T>
void copy_channels(const PixelView<const T>& view, const T* from, int64_t first, int64_t count, T* to) {
  if (view.together(first, count)) {
    std::copy_n(from + view.channel(first), count, to);
    return;
  }
  for (int64_t c = 0; c < count; ++c) to[c] = from[view.channel(first + c)];
}

/// Writes `count` channels from `first` on of the pixel at `to`.
template <class T>
void store_channels(const PixelView<T>& view, const T* from, int64_t first, int64_t count, T* to) {
  if (view.together(first, count)) {
    std::copy_n(from, count, to + view.channel(first));
    return;
  }
  for (int64_t c = 0; c < count; ++c) to[view.channel(first + c)] = from[c];
}

/// Computes the V vectors of output channels from `first` on in one row, y. x is the packed row h rows above. Segments
/// and w are those of the kernel rows inside the image.
template <class T, int V>
void correlate_row(const Correlation& n, const T* x, const Segment* begin, const Segment* end, const T* w,
                   const T* bias, int64_t first, T* y, const PixelView<T>& view) {
  constexpr int64_t width = V * lanes<T>;
  const bool whole = first + width <= n.out && view.together(first, width);
  for_parts(n.width, tile_limit(V), [&](int64_t p, int64_t count) {
    const auto kernel = forward_tiles<T, V>[size_t(count - 1)];
    T* to = y + p * view.pixel;
    if (whole) {
      kernel(x + p * block, begin, end, w, bias, 0, to + view.channel(first), view.pixel);
      return;
    }
    T part[tile_limit(V) * width];
    kernel(x + p * block, begin, end, w, bias, 0, part, width);
    for (int64_t i = 0; i < count; ++i)
      store_channels(view, part + i * width, first, std::min(width, n.out - first), to + i * view.pixel);
  });
}

/// f(i, address) for `count` pixels of a view, counted through rows and images, from `first` on.
template <class T, class F>
void for_pixels(const Correlation& n, const PixelView<T>& view, int64_t first, int64_t count, const F& f) {
  for (int64_t i = 0; i < count;) {
    const int64_t row = (first + i) / n.width, p = (first + i) % n.width;
    T* at = view.at(row / n.height, row % n.height, p);
    for (const int64_t end = std::min(count, i + n.width - p); i < end; ++i, at += view.pixel) f(i, at);
  }
}

/// correlate() with a 1 x 1 kernel where rows do not fill a tile: the product of pixels, whichever their rows and
/// images, and weights.
template <class T>
void correlate_pixels(const Correlation& n, const PixelView<const T>& x, const WeightView<const T>& w, const T* bias,
                      const PixelView<T>& y) {
  const std::vector<Group> groups = make_groups<T>(n.out);
  const int64_t padded = padded_width<T>(groups), pixels = n.images * n.height * n.width;
  Tensor packed({padded * n.in}, dtype_of<T>()), start = Tensor::zeros({padded}, dtype_of<T>());
  pack_weights(n, w, groups, packed.data<T>());
  if (bias != nullptr) std::copy_n(bias, n.out, start.data<T>());
  // Pixels of a block: their input and their output for one group stay in the L2 cache.
  const int64_t inputs = ceil_div(n.in, block) * block, width = groups[0].width<T>();
  const int64_t count = std::clamp<int64_t>((256 << 10) / int64_t(sizeof(T)) / (inputs + width), 28, 224);
  Tensor scratch({num_threads(), count * (inputs + width)}, dtype_of<T>());
  parallel_for(pixels, count, [&](int64_t begin, int64_t end) {
    T *rows = scratch.data<T>() + thread_index() * scratch.dim(1), *products = rows + count * inputs;
    const int64_t some = end - begin;
    for_pixels(n, x, begin, some, [&](int64_t i, const T* from) {
      for (int64_t c = 0; c < n.in; c += block)
        copy_channels(x, from, c, std::min<int64_t>(block, n.in - c), rows + (c / block * some + i) * block);
    });
    for (const Group& group : groups) {
      const T* weights = packed.data<T>() + group.first * n.in;
      visit_vectors(group.vectors, [&]<int V>() {
        multiply_pixels<T, V>(n.in, some, rows, weights, start.data<T>() + group.first, products);
      });
      const int64_t used = std::min(group.width<T>(), n.out - group.first);
      for_pixels(n, y, begin, some,
                 [&](int64_t i, T* to) { store_channels(y, products + i * group.width<T>(), group.first, used, to); });
    }
  });
}

}  // namespace

template <class T>
void correlate(const Correlation& n, const PixelView<const T>& x, const WeightView<const T>& w, const T* bias,
               const PixelView<T>& y) {
  if (takes_winograd(n)) return winograd_correlate(n, x, w, bias, y);
  if (n.kernel == 1 && n.width < tile_limit(2)) return correlate_pixels(n, x, w, bias, y);
  const RowLayout layout(n);
  const int64_t halo = layout.halo, taps = n.kernel * n.kernel;
  // Groups of four vectors pay off if their weights fit into the L2 cache and rows fill tiles of few pixels.
  const bool large_groups = max_group == 4 && taps * n.in * 4 * vector_bytes <= 1 << 20 && n.width >= 2 * tile_limit(4);
  const std::vector<Group> groups = make_groups<T>(n.out, large_groups ? 4 : 2);
  const int64_t padded = padded_width<T>(groups);
  Tensor packed({padded * taps * n.in}, dtype_of<T>());
  pack_weights(n, w, groups, packed.data<T>());
  Tensor start = Tensor::zeros({padded}, dtype_of<T>());
  if (bias != nullptr) std::copy_n(bias, n.out, start.data<T>());

  std::vector<Segment> segments;
  for (int64_t i = 0; i < n.kernel; ++i)
    for (int64_t c = 0; c < n.in; c += block)
      for (int64_t j = 0; j < n.kernel; ++j)
        segments.push_back(
            {i * layout.row + c / block * layout.column + j * block, std::min<int64_t>(block, n.in - c)});

  const int64_t cached = (384 << 10) / (layout.row * int64_t(sizeof(T))) - 2 * halo;
  const int64_t shared = std::max<int64_t>(4, ceil_div(n.images * n.height, 16));
  const int64_t rows = std::clamp<int64_t>(cached, 1, std::min(shared, n.height)), bands = ceil_div(n.height, rows);
  Tensor scratch({num_threads(), (rows + 2 * halo) * layout.row}, dtype_of<T>());
  const auto correlate_band = [&](int64_t item) {
    const int64_t b = item / bands, r0 = item % bands * rows, r1 = std::min(r0 + rows, n.height);
    T* band = scratch.data<T>() + thread_index() * scratch.dim(1);
    const int64_t top = std::max<int64_t>(0, r0 - halo), bottom = std::min(n.height, r1 + halo);
    pack_rows(n, x, b, top, bottom, layout, band + (top - (r0 - halo)) * layout.row);
    for (const Group& group : groups)
      for (int64_t r = r0; r < r1; ++r) {
        const int64_t i0 = std::max<int64_t>(0, halo - r), i1 = std::min(n.kernel, n.height + halo - r);
        const int64_t per_row = int64_t(segments.size()) / n.kernel;
        const Segment *begin = segments.data() + i0 * per_row, *end = segments.data() + i1 * per_row;
        const T* weights = packed.data<T>() + (group.first * n.kernel + i0 * group.width<T>()) * n.kernel * n.in;
        visit_vectors(group.vectors, [&]<int V>() {
          correlate_row<T, V>(n, band + (r - r0) * layout.row, begin, end, weights, start.data<T>() + group.first,
                              group.first, y.at(b, r, 0), y);
        });
      }
  };
  parallel_for(n.images * bands, grain(rows * n.width * taps * n.in * n.out), [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) correlate_band(item);
  });
}

// ---- Weight gradient ------------------------------------------------------------------------------------------------

namespace {

/// Adds a strip's part to dw [c][i][j][group] of one group of output channels. The strip is `rows` rows of an image
/// from r0 on; x are its packed rows with their halo, dy is its packed gradient.
template <class T, int J, int V>
void add_strip(const Correlation& n, const RowLayout& layout, const T* x, const T* dy, int64_t r0, int64_t rows,
               T* dw) {
  constexpr int64_t width = V * lanes<T>;
  const auto& kernels = gradient_tiles<T, J, V>;
  for (int64_t c0 = 0; c0 < n.in; c0 += block)
    for (int64_t i = 0; i < J; ++i) {
      const int64_t above = std::max<int64_t>(0, layout.halo - i - r0);  // rows whose input is outside the image
      const int64_t below = std::max<int64_t>(0, r0 + rows + i - layout.halo - n.height);
      if (above + below >= rows) continue;
      const T* xi = x + (above + i) * layout.row + c0 / block * layout.column;
      for_parts(std::min<int64_t>(block, n.in - c0), int64_t(kernels.size()), [&](int64_t c, int64_t count) {
        kernels[size_t(count - 1)](xi + c, layout.row, dy + above * n.width * width, rows - above - below, n.width,
                                   dw + ((c0 + c) * J + i) * J * width, J * J * width);
      });
    }
}

}  // namespace

template <class T>
void correlate_weight_gradient(const Correlation& n, const PixelView<const T>& x, const PixelView<const T>& dy,
                               const WeightView<T>& dw, T* dbias) {
  if (takes_winograd(n)) return winograd_weight_gradient(n, x, dy, dw, dbias);
  const auto continues = [&](const auto& view) { return view.image == n.height * view.row; };
  if (n.kernel == 1 && n.images > 1 && continues(x) && continues(dy)) {  // rows of all images are alike
    Correlation one = n;
    one.images = 1, one.height = n.images * n.height;
    return correlate_weight_gradient(one, x, dy, dw, dbias);
  }
  const RowLayout layout(n);
  // A strip's gradient for one group takes at most 64 KiB.
  const int64_t taps = n.kernel * n.kernel, vectors = make_groups<T>(n.out)[0].vectors;
  const int64_t columns = std::min(wide_group<T>, ceil_div(n.out, 16) * 16);
  const int64_t rows = std::clamp<int64_t>((64 << 10) / (columns * int64_t(sizeof(T))) / n.width, 1, n.height);
  const int64_t bands = ceil_div(n.height, rows), strips = n.images * bands;
  const int64_t packed_rows = (rows + 2 * layout.halo) * layout.row;
  Tensor scratch({num_threads(), packed_rows + rows * n.width * vectors * lanes<T>}, dtype_of<T>());
  const int64_t max_chunks = ceil_div(strips, grain(rows * n.width * taps * n.in * n.out));
  sum_gradient(n, max_chunks, dw, dbias, [&]<int V>(int64_t chunk, int64_t chunks, const Group& group, T* sums) {
    T* band = scratch.data<T>() + thread_index() * scratch.dim(1);
    T* gradient = band + packed_rows;
    for (int64_t strip = strips * chunk / chunks; strip < strips * (chunk + 1) / chunks; ++strip) {
      const int64_t b = strip / bands, r0 = strip % bands * rows, r1 = std::min(r0 + rows, n.height);
      const int64_t top = std::max<int64_t>(0, r0 - layout.halo), bottom = std::min(n.height, r1 + layout.halo);
      pack_rows(n, x, b, top, bottom, layout, band + (top - (r0 - layout.halo)) * layout.row);
      pack_gradient<T, V>(n, dy, group.first, b, r0, r1, gradient);
      if (n.kernel == 3)
        add_strip<T, 3, V>(n, layout, band, gradient, r0, r1 - r0, sums);
      else
        add_strip<T, 1, V>(n, layout, band, gradient, r0, r1 - r0, sums);
      if (dbias != nullptr) add_bias<T, V>(gradient, (r1 - r0) * n.width, sums + taps * n.in * group.width<T>());
    }
  });
}

#define GT_INSTANTIATE(T)                                                                                              \
  template void correlate<T>(const Correlation&, const PixelView<const T>&, const WeightView<const T>&, const T*,      \
                             const PixelView<T>&);                                                                     \
  template void correlate_weight_gradient<T>(const Correlation&, const PixelView<const T>&, const PixelView<const T>&, \
                                             const WeightView<T>&, T*);
GT_INSTANTIATE(float)
GT_INSTANTIATE(double)

}  // namespace gt
