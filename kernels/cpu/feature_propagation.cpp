// Feature propagation on the CPU. kernels/feature_propagation.h has the maths. s, a and ds are (B,H,25,W): a row of a
// tap is contiguous, so that loops run over neighbouring pixels.
#include <algorithm>
#include <array>

#include "core/parallel.h"
#include "core/tensor.h"
#include "kernels/common/op_helpers.h"
#include "kernels/cpu/reduce.h"
#include "kernels/cpu/vector.h"
#include "kernels/feature_propagation.h"

namespace gt::propagation {
namespace {

using namespace simd;

/// f(k, begin, end, shift) for every tap k of a row (counted through all images) that is inside the image for columns
/// [begin, end). Its pixels are `shift` pixels on.
template <class F>
void for_each_tap(const Pixels& pixels, int64_t row, const F& f) {
  for (int k = 0; k < taps; ++k) {
    const int64_t y = row % pixels.height + down(k);
    const int64_t begin = std::max<int64_t>(0, -right(k)), end = std::min(pixels.width, pixels.width - right(k));
    if (y >= 0 && y < pixels.height && begin < end) f(k, begin, end, down(k) * pixels.width + right(k));
  }
}

// ---- Correlation ----------------------------------------------------------------------------------------------------

constexpr int centre = taps / 2, later = taps - centre;  // a pixel's own tap; it and those behind it
constexpr int64_t reach = 2 * dilation;                  // of the window, in rows and columns

/// How a block of rows is packed: by channels, (row, channel, column), with zeros left and right of the image and for
/// rows below it.
template <class T>
struct Packing {
  static constexpr int64_t margin = std::max<int64_t>(lanes<T>, reach);
  static constexpr int64_t bytes = 3 << 19;  // of a block, to stay in the second cache

  int64_t stride, row, rows;  // elements of a channel and of a row; rows of a block that are computed

  explicit Packing(const Pixels& pixels) {
    stride = 2 * margin + (pixels.width + lanes<T> - 1) / lanes<T> * lanes<T>;
    row = pixels.channels * stride;
    rows = std::clamp<int64_t>(bytes / int64_t(sizeof(T)) / row - reach, 4, 16);
  }
};

/// Packs a row of features (W,C). The margins of `packed` must be 0.
template <class T>
void pack_row(const Pixels& pixels, const T* features, int64_t stride, T* packed) {
  constexpr int L = lanes<T>;
  const int64_t C = pixels.channels, W = pixels.width, whole_c = C / L * L, whole_x = W / L * L;
  packed += Packing<T>::margin;
  for (int64_t x = 0; x < whole_x; x += L)
    for (int64_t c = 0; c < whole_c; c += L) transpose(features + x * C + c, C, packed + c * stride + x, stride);
  for (int64_t x = 0; x < W; ++x)
    for (int64_t c = x < whole_x ? whole_c : 0; c < C; ++c) packed[c * stride + x] = features[x * C + c];
}

/// s of the centre and the later taps, for a vector of pixels at `packed`: sum[t] is that of tap centre + t.
template <class T>
std::array<Vector<T>, later> correlations(const Packing<T>& packing, int64_t channels, const T* packed) {
  std::array<Vector<T>, later> sum = {};
  for (int64_t c = 0; c < channels; ++c, packed += packing.stride) {
    const Vector<T> own = load(packed);
#pragma GCC unroll 16
    for (int t = 0; t < later; ++t)
      sum[size_t(t)] += own * load(packed + down(centre + t) * packing.row + right(centre + t));
  }
  return sum;
}

/// Writes s of the taps of rows [first, last) of one image from the centre on, and of the taps at the opposite places.
template <class T>
void correlate_rows(const Pixels& pixels, const Packing<T>& packing, int64_t image, int64_t first, int64_t last,
                    const T* features, T* packed, T* s) {
  const int64_t C = pixels.channels, W = pixels.width, plane = taps * W;
  features += image * pixels.height * W * C, s += image * pixels.height * plane;
  std::fill_n(packed, (last - first + reach) * packing.row, T(0));
  for (int64_t y = first; y < std::min(last + reach, pixels.height); ++y)
    pack_row(pixels, features + y * W * C, packing.stride, packed + (y - first) * packing.row);
  for (int64_t y = first; y < last; ++y)
    for (int64_t x = 0; x < W; x += lanes<T>) {
      const auto sums = correlations(packing, C, packed + (y - first) * packing.row + packing.margin + x);
      for (int t = 0; t < later; ++t) {
        const int k = centre + t;
        const int64_t count = std::min<int64_t>(lanes<T>, W - x), other = y + down(k);
        std::array<T, size_t(lanes<T>)> values;
        store(values.data(), sums[size_t(t)]);
        std::copy_n(values.data(), count, s + y * plane + k * W + x);
        if (t == 0 || other >= pixels.height) continue;
        const int64_t begin = std::max<int64_t>(0, -right(k) - x), end = std::min(count, W - right(k) - x);
        T* const opposite = s + other * plane + (taps - 1 - k) * W + right(k) + x;
        for (int64_t i = begin; i < end; ++i) opposite[i] = values[size_t(i)];
      }
    }
}

/// Writes zeros where taps before the centre are outside of the image: nothing else writes there.
template <class T>
void clear_outside(const Pixels& pixels, int64_t row, T* s) {
  const int64_t W = pixels.width;
  for (int k = 0; k < centre; ++k) {
    T* const values = s + (row * taps + k) * W;
    const bool outside = row % pixels.height + down(k) < 0;
    const int64_t begin = outside ? W : std::clamp<int64_t>(-right(k), 0, W);
    std::fill_n(values, begin, T(0));
    const int64_t end = std::max(begin, std::clamp<int64_t>(W - right(k), 0, W));
    std::fill_n(values + end, W - end, T(0));
  }
}

template <class T>
void correlate(const Pixels& pixels, const T* features, T* s) {
  const Packing<T> packing(pixels);
  const int64_t blocks = (pixels.height + packing.rows - 1) / packing.rows;
  Tensor scratch({num_threads(), (packing.rows + reach) * packing.row}, dtype_of<T>());
  parallel_for(pixels.images * blocks, 1, [&](int64_t i, int64_t) {
    const int64_t image = i / blocks, first = i % blocks * packing.rows;
    const int64_t last = std::min(first + packing.rows, pixels.height);
    for (int64_t y = first; y < last; ++y) clear_outside(pixels, image * pixels.height + y, s);
    T* const packed = scratch.data<T>() + thread_index() * scratch.dim(1);
    correlate_rows(pixels, packing, image, first, last, features, packed, s);
  });
}

// ---- Weights and values ---------------------------------------------------------------------------------------------

/// a (25,W) of a row from its s (25,W). `scratch` has room for a row.
template <class T>
void weights(int64_t width, const T* s, T* a, T* scratch) {
  T* const largest = scratch;
  std::fill_n(largest, width, T(0));
  for (int k = 0; k < taps; ++k)
#pragma omp simd
    for (int64_t x = 0; x < width; ++x) largest[x] = s[k * width + x] > largest[x] ? s[k * width + x] : largest[x];
  for (int k = 0; k < taps; ++k)
#pragma omp simd
    for (int64_t x = 0; x < width; ++x) a[k * width + x] = unscaled_weight(s[k * width + x], largest[x]);
  T* const sum = scratch;
  std::copy_n(a, width, sum);
  for (int k = 1; k < taps; ++k)
#pragma omp simd
    for (int64_t x = 0; x < width; ++x) sum[x] += a[k * width + x];
  for (int k = 0; k < taps; ++k)
#pragma omp simd
    for (int64_t x = 0; x < width; ++x) a[k * width + x] /= sum[x];
}

/// f.operator()<K>() with K the number of values if it is 1, so that loops over pixels are vectorised, else 0.
template <class F>
void visit_values(int64_t values, const F& f) {
  if (values == 1) return f.template operator()<1>();
  f.template operator()<0>();
}

/// out (W,K) += factor (W) x (W,K), n pixels.
template <int64_t K, class T>
void add_products(int64_t n, int64_t values, const T* factor, const T* x, T* out) {
  if constexpr (K == 1) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) out[i] += factor[i] * x[i];
  } else {
    for (int64_t i = 0; i < n; ++i)
#pragma omp simd
      for (int64_t j = 0; j < values; ++j) out[i * values + j] += factor[i] * x[i * values + j];
  }
}

/// out (W) += x (W,K) . y (W,K), n pixels.
template <int64_t K, class T>
void add_dots(int64_t n, int64_t values, const T* x, const T* y, T* out) {
  if constexpr (K == 1) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) out[i] += x[i] * y[i];
  } else {
    for (int64_t i = 0; i < n; ++i) out[i] += dot(x + i * values, y + i * values, values);
  }
}

// ---- The features' gradient -----------------------------------------------------------------------------------------

/// Tap rows [first, last) of a window of which some are outside of the image.
struct TapRows {
  int first, last;

  TapRows(const Pixels& pixels, int64_t row) : first(0), last(side) {
    const int64_t y = row % pixels.height;
    while (y + down(first * side) < 0) ++first;
    while (y + down((last - 1) * side) >= pixels.height) --last;
  }
};

/// out (P,V vectors of C) = sum over taps of factor (25,W) times the features of P neighbouring pixels at the tap. The
/// factor of a tap left or right of the image is 0; its pixel is one of another row.
template <int P, int V, class T>
void gather_tile(const Pixels& pixels, const TapRows& rows, const T* factor, const T* features, T* out) {
  constexpr int L = lanes<T>;
  const int64_t C = pixels.channels, W = pixels.width;
  Vector<T> sum[P][V] = {};
  for (int k = rows.first * side; k < rows.last * side; ++k) {
    const T* const own = factor + k * W;
    const T* const x = features + (down(k) * W + right(k)) * C;
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) {
      const T value = own[p];
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sum[p][v] += value * load(x + p * C + v * L);
    }
  }
#pragma GCC unroll 8
  for (int p = 0; p < P; ++p)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) store(out + p * C + v * L, sum[p][v]);
}

/// gather_tile() for all whole vectors of channels.
template <int P, class T>
void gather_pixels(const Pixels& pixels, const TapRows& rows, const T* factor, const T* features, T* out) {
  constexpr int L = lanes<T>;
  int64_t c = 0;
  for (; c + 2 * L <= pixels.channels; c += 2 * L) gather_tile<P, 2>(pixels, rows, factor, features + c, out + c);
  for (; c + L <= pixels.channels; c += L) gather_tile<P, 1>(pixels, rows, factor, features + c, out + c);
}

/// The same for channels [begin, C) of the pixel in column x, at any place.
template <class T>
void gather_pixel(const Pixels& pixels, const TapRows& rows, int64_t x, int64_t begin, const T* factor,
                  const T* features, T* out) {
  const int64_t C = pixels.channels, W = pixels.width;
  std::fill(out + begin, out + C, T(0));
  for (int k = rows.first * side; k < rows.last * side; ++k) {
    if (x + right(k) < 0 || x + right(k) >= W) continue;
    const T* const other = features + (down(k) * W + right(k)) * C;
#pragma omp simd
    for (int64_t c = begin; c < C; ++c) out[c] += factor[k * W] * other[c];
  }
}

/// Writes dF of a row. `factor` has room for (25,W).
template <class T>
void features_gradient(const Pixels& pixels, int64_t row, const T* features, const T* ds, T* factor, T* dfeatures) {
  constexpr int tile = 8;
  const int64_t C = pixels.channels, W = pixels.width, first = row * W;
  const int64_t size = pixels.images * pixels.height * W, whole = C / lanes<T> * lanes<T>;
  std::fill_n(factor, taps * W, T(0));
  for_each_tap(pixels, row, [&](int k, int64_t begin, int64_t end, int64_t) {
    const T* const own = ds + (row * taps + k) * W;
    const T* const opposite = ds + ((row + down(k)) * taps + taps - 1 - k) * W + right(k);
#pragma omp simd
    for (int64_t x = begin; x < end; ++x) factor[k * W + x] = own[x] + opposite[x];
  });
  const TapRows rows(pixels, row);
  const int64_t before = down(rows.first * side) * W - reach, behind = down((rows.last - 1) * side) * W + reach;
  for (int64_t x = 0; x < W;) {
    const int64_t p = first + x, count = x + tile <= W ? tile : 1;
    const bool within = p + before >= 0 && p + behind + count <= size;
    if (within && count == tile) gather_pixels<tile>(pixels, rows, factor + x, features + p * C, dfeatures + p * C);
    if (within && count == 1) gather_pixels<1>(pixels, rows, factor + x, features + p * C, dfeatures + p * C);
    const int64_t done = within ? whole : 0;  // channels
    for (int64_t i = x; i < x + count && done < C; ++i)
      gather_pixel(pixels, rows, i, done, factor + i, features + (first + i) * C, dfeatures + (first + i) * C);
    x += count;
  }
}

}  // namespace

namespace cpu {

template <class T>
void propagation_forward(const Pixels& pixels, const T* features, const T* values, T* y, T* s) {
  correlate(pixels, features, s);
  const int64_t W = pixels.width, K = pixels.values;
  Tensor scratch({num_threads(), (taps + 1) * W}, dtype_of<T>());
  parallel_for(pixels.images * pixels.height, 1, [&](int64_t row, int64_t) {
    T* const a = scratch.data<T>() + thread_index() * scratch.dim(1);
    weights(W, s + row * taps * W, a, a + taps * W);
    std::fill_n(y + row * W * K, W * K, T(0));
    visit_values(K, [&]<int64_t V>() {
      for_each_tap(pixels, row, [&](int k, int64_t begin, int64_t end, int64_t shift) {
        const int64_t p = row * W + begin;
        add_products<V>(end - begin, K, a + k * W + begin, values + (p + shift) * K, y + p * K);
      });
    });
  });
}

template <class T>
void propagation_weights(const Pixels& pixels, const T* values, const T* s, const T* dy, T* a, T* ds) {
  const int64_t W = pixels.width, K = pixels.values;
  Tensor scratch({num_threads(), W}, dtype_of<T>());
  parallel_for(pixels.images * pixels.height, 1, [&](int64_t row, int64_t) {
    const int64_t first = row * taps * W;
    std::fill_n(ds + first, taps * W, T(0));
    visit_values(K, [&]<int64_t V>() {
      for_each_tap(pixels, row, [&](int k, int64_t begin, int64_t end, int64_t shift) {
        const int64_t p = row * W + begin;
        add_dots<V>(end - begin, K, dy + p * K, values + (p + shift) * K, ds + first + k * W + begin);
      });
    });
    T* const mean = scratch.data<T>() + thread_index() * W;
    weights(W, s + first, a + first, mean);
    std::fill_n(mean, W, T(0));
    for (int k = 0; k < taps; ++k) add_products<1>(W, 1, a + first + k * W, ds + first + k * W, mean);
    for (int64_t i = first; i < first + taps * W; i += W)
#pragma omp simd
      for (int64_t x = 0; x < W; ++x) ds[i + x] = correlation_gradient(s[i + x], a[i + x], ds[i + x], mean[x]);
  });
}

template <class T>
void propagation_backward(const Pixels& pixels, const T* features, const T* a, const T* ds, const T* dy, T* dfeatures,
                          T* dvalues) {
  const int64_t W = pixels.width, K = pixels.values;
  Tensor scratch({num_threads(), taps * W}, dtype_of<T>());
  parallel_for(pixels.images * pixels.height, 1, [&](int64_t row, int64_t) {
    T* const factor = scratch.data<T>() + thread_index() * scratch.dim(1);
    if (dfeatures != nullptr) features_gradient(pixels, row, features, ds, factor, dfeatures);
    if (dvalues == nullptr) return;
    std::fill_n(dvalues + row * W * K, W * K, T(0));
    visit_values(K, [&]<int64_t V>() {
      for_each_tap(pixels, row, [&](int k, int64_t begin, int64_t end, int64_t shift) {
        const int64_t p = row * W + begin;
        const T* const opposite = a + ((row + down(k)) * taps + taps - 1 - k) * W + right(k) + begin;
        add_products<V>(end - begin, K, opposite, dy + (p + shift) * K, dvalues + p * K);
      });
    });
  });
}

#define GT_INSTANTIATE(T)                                                                 \
  template void propagation_forward(const Pixels&, const T*, const T*, T*, T*);           \
  template void propagation_weights(const Pixels&, const T*, const T*, const T*, T*, T*); \
  template void propagation_backward(const Pixels&, const T*, const T*, const T*, const T*, T*, T*);
GT_INSTANTIATE(float)
GT_INSTANTIATE(double)

}  // namespace cpu
}  // namespace gt::propagation
