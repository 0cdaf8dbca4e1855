// The Gaussian splat on the CPU; kernels/splat.h has the maths. A map of n fixations is a product of two small
// matrices, their column profiles (H,n) and their row profiles (n,W). Backward takes two products: of the profiles
// (n,H) and the map's gradient G, and of G and the profiles (W,n). One thread draws a map, which its second cache
// holds.
#include "kernels/splat.h"

#include <algorithm>
#include <vector>

#include "core/parallel.h"
#include "core/tensor.h"
#include "kernels/cpu/packed_product.h"
#include "kernels/cpu/reduce.h"

namespace gt::splatting::cpu {
namespace {

using tiles::block;

/// One image's fixations and their widths on one level.
template <class T>
struct Map {
  int64_t first, count;  // fixations of the image
  const T *xy, *weight;  // (count,2) and (count)
  Profile<T> along_x, along_y;

  Map(const Fixations<T>& f, int64_t level, int64_t image)
      : first(f.offsets[image]),
        count(f.offsets[image + 1] - first),
        xy(f.xy + 2 * first),
        weight(f.weight + level * f.count + first),
        along_x(f.sigma[2 * (level * f.batch + image)]),
        along_y(f.sigma[2 * (level * f.batch + image) + 1]) {}
};

/// Elements for each thread: the most that size(s, count) gives for a map of size s with `count` fixations.
template <class T, class F>
Tensor scratch_for(const Fixations<T>& f, const std::vector<MapSize>& sizes, const F& size) {
  int64_t most = 0;
  for (const MapSize& s : sizes)
    for (int64_t image = 0; image < f.batch; ++image)
      most = std::max(most, size(s, f.offsets[image + 1] - f.offsets[image]));
  return Tensor({num_threads(), most}, dtype_of<T>());
}

/// f(level, image, scratch) for every map, over the threads. `scratch` is the thread's own.
template <class T, class F>
void for_maps(const Fixations<T>& f, const std::vector<MapSize>& sizes, Tensor scratch, const F& draw) {
  parallel_for(int64_t(sizes.size()) * f.batch, 1, [&](int64_t map, int64_t) {
    draw(map / f.batch, map % f.batch, scratch.data<T>() + thread_index() * scratch.dim(1));
  });
}

/// The product that draws a map: column profiles times row profiles.
template <class T>
PackedProduct<T> drawing(const MapSize& size, int64_t count) {
  return {size.height, size.width, count};
}

template <class T>
void draw_map(const Map<T>& map, const MapSize& size, T* scratch, T* out) {
  const PackedProduct<T> product = drawing<T>(size, map.count);
  T *columns = scratch, *rows = scratch + product.a_size();
  for (int64_t i = 0; i < map.count; i += block) {
    const int64_t some = std::min<int64_t>(block, map.count - i);
    for (int64_t v = 0; v < size.height; ++v) {
      const T y = pixel_centre<T>(v, size.height);
      const T *xy = map.xy + 2 * i, *weight = map.weight + i;
      T* to = columns + product.a_index(v, i);
#pragma omp simd
      for (int64_t k = 0; k < some; ++k) to[k] = weight[k] * map.along_y(y - xy[2 * k + 1]);
    }
  }
  for (int64_t i = 0; i < map.count; ++i)
    product.for_vectors(i, rows, [&, x = map.xy[2 * i]](int64_t u, T* to) {
#pragma omp simd
      for (int k = 0; k < simd::lanes<T>; ++k) to[k] = map.along_x(pixel_centre<T>(u + k, size.width) - x);
    });
  product.compute(columns, rows, out, size.width);
}

/// Divides a map by its maximum, which it returns, and sets `index` to the first pixel that has it.
template <class T>
T normalize(int64_t pixels, T* map, int32_t& index) {
  const Largest<T> maximum = find_largest(pixels, map);
  index = int32_t(maximum.index);
#pragma omp simd
  for (int64_t i = 0; i < pixels; ++i) map[i] = normalized(map[i], maximum.value);
  return maximum.value;
}

// ---- Backward -------------------------------------------------------------------------------------------------------

/// The products gy.G (n,W) and G.gx (H,n) of one map, and where their operands and results are in a thread's scratch.
template <class T>
struct Sums {
  PackedProduct<T> of_columns, of_rows;
  int64_t columns_size, rows_size, operands;

  Sums(const MapSize& size, int64_t count)
      : of_columns(count, size.width, size.height),
        of_rows(size.height, count, size.width),
        columns_size(count * size.width),
        rows_size(size.height * count),
        operands(std::max(of_columns.a_size() + of_columns.b_size(), of_rows.a_size() + of_rows.b_size())) {}

  int64_t scratch_size() const { return columns_size + rows_size + operands; }
};

/// Writes gy.G to y (n,W).
template <class T>
void sum_columns(const Map<T>& map, const MapSize& size, const PackedProduct<T>& product, const T* G, T* scratch,
                 T* y) {
  T *profiles = scratch, *gradient = scratch + product.a_size();
  for (int64_t v = 0; v < size.height; v += block) {
    const int64_t some = std::min<int64_t>(block, size.height - v);
    for (int64_t i = 0; i < map.count; ++i) {
      const T at = map.xy[2 * i + 1];
      T* to = profiles + product.a_index(i, v);
#pragma omp simd
      for (int64_t k = 0; k < some; ++k) to[k] = map.along_y(pixel_centre<T>(v + k, size.height) - at);
    }
  }
  for (int64_t v = 0; v < size.height; ++v)
    product.for_vectors(v, gradient, [&, row = G + v * size.width](int64_t u, T* to) {
      if (const int64_t some = size.width - u; some >= simd::lanes<T>)
        std::copy_n(row + u, simd::lanes<T>, to);
      else
        std::fill(std::copy_n(row + u, std::max<int64_t>(some, 0), to), to + simd::lanes<T>, T(0));
    });
  product.compute(profiles, gradient, y, size.width);
}

/// Writes G.gx to y (H,n).
template <class T>
void sum_rows(const Map<T>& map, const MapSize& size, const PackedProduct<T>& product, const T* G, T* scratch, T* y) {
  T *gradient = scratch, *profiles = scratch + product.a_size();
  for (int64_t v = 0; v < size.height; ++v)
    for (int64_t u = 0; u < size.width; u += block)
      std::copy_n(G + v * size.width + u, std::min<int64_t>(block, size.width - u), gradient + product.a_index(v, u));
  std::vector<T> xs(size_t(product.b_size() / size.width));  // of the fixations, and zeros up to whole vectors
  for (int64_t i = 0; i < map.count; ++i) xs[size_t(i)] = map.xy[2 * i];
  for (int64_t u = 0; u < size.width; ++u)
    product.for_vectors(u, profiles, [&, x = pixel_centre<T>(u, size.width)](int64_t i, T* to) {
#pragma omp simd
      for (int64_t k = 0; k < simd::lanes<T>; ++k) to[k] = map.along_x(x - xs[size_t(i + k)]);
    });
  product.compute(gradient, profiles, y, map.count);
}

/// Writes the forms (n) of one map from its gradient G.
template <class T>
void forms_of(const Map<T>& map, const MapSize& size, const T* G, T* scratch, Forms* forms) {
  const Sums<T> sums(size, map.count);
  T *columns = scratch, *rows = columns + sums.columns_size, *operands = rows + sums.rows_size;
  sum_columns(map, size, sums.of_columns, G, operands, columns);
  sum_rows(map, size, sums.of_rows, G, operands, rows);
  for (int64_t i = 0; i < map.count; ++i) {
    const T x = map.xy[2 * i], *c = columns + i * size.width;
    const auto [g, dx, dxx] = ordered_sums<T, 3>(size.width, [&](int64_t u) {
      const T d = pixel_centre<T>(u, size.width) - x, term = c[u] * map.along_x(d);
      return std::array{term, d * term, d * d * term};
    });
    forms[i] = {double(g), double(dx), 0, double(dxx), 0};
  }
  // The sums over columns add for all fixations at once, rows in order.
  std::vector<T> moments(size_t(2 * map.count));
  T *first = moments.data(), *second = first + map.count;
  for (int64_t v = 0; v < size.height; ++v) {
    const T y = pixel_centre<T>(v, size.height), *r = rows + v * map.count;
#pragma omp simd
    for (int64_t i = 0; i < map.count; ++i) {
      const T d = y - map.xy[2 * i + 1], term = d * map.along_y(d) * r[i];
      first[i] += term;
      second[i] += d * term;
    }
  }
  for (int64_t i = 0; i < map.count; ++i) forms[i].dy = double(first[i]), forms[i].dyy = double(second[i]);
}

/// The forms of every level and fixation (L,N). A null entry of dmaps is a level without gradient.
template <class T>
std::vector<Forms> all_forms(const Fixations<T>& f, const std::vector<MapSize>& sizes, const std::vector<T*>& dmaps) {
  std::vector<Forms> forms(sizes.size() * size_t(f.count));
  const Tensor scratch =
      scratch_for(f, sizes, [](const MapSize& s, int64_t count) { return Sums<T>(s, count).scratch_size(); });
  for_maps(f, sizes, scratch, [&](int64_t level, int64_t image, T* own) {
    const Map<T> map(f, level, image);
    const auto [height, width] = sizes[size_t(level)];
    const T* G = dmaps[size_t(level)];
    if (G != nullptr && map.count > 0)
      forms_of(map, {height, width}, G + image * height * width, own, forms.data() + level * f.count + map.first);
  });
  return forms;
}

}  // namespace

// ---- Bodies of the ops ----------------------------------------------------------------------------------------------

template <class T>
void splat_forward(const Fixations<T>& f, const std::vector<MapSize>& sizes, const std::vector<T*>& maps,
                   const Maxima<T>& maxima) {
  const Tensor scratch = scratch_for(f, sizes, [](const MapSize& s, int64_t count) {
    const PackedProduct<T> product = drawing<T>(s, count);
    return product.a_size() + product.b_size();
  });
  for_maps(f, sizes, scratch, [&](int64_t level, int64_t image, T* own) {
    const MapSize& size = sizes[size_t(level)];
    T* out = maps[size_t(level)] + image * size.height * size.width;
    draw_map(Map<T>(f, level, image), size, own, out);
    const int64_t k = level * f.batch + image;
    if (maxima.value != nullptr) maxima.value[k] = normalize(size.height * size.width, out, maxima.index[k]);
  });
}

template <class T>
void splat_backward(const Fixations<T>& f, const std::vector<MapSize>& sizes, const std::vector<T*>& dmaps,
                    const Maxima<T>& maxima, T* dw, T* dxy, T* dsigma) {
  std::vector<Forms> forms = all_forms(f, sizes, dmaps);
  std::vector<double> sum_xy(size_t(f.count * 2));
  for (int64_t map = 0; map < int64_t(sizes.size()) * f.batch; ++map) {
    const int64_t l = map / f.batch, begin = f.offsets[map % f.batch], end = f.offsets[map % f.batch + 1];
    const T *weight = f.weight + l * f.count, *sigma = f.sigma + 2 * map;
    Forms* form = forms.data() + l * f.count;
    if (maxima.value != nullptr) {
      double sum = 0;
      for (int64_t i = begin; i < end; ++i) sum += double(weight[i]) * form[i].g;
      const auto [height, width] = sizes[size_t(l)];
      const Normalization n = normalization(maxima, map, height, width, sum);
      for (int64_t i = begin; i < end; ++i) form[i] = through_normalization(form[i], f.xy + 2 * i, sigma, n);
    }
    double sum_sigma[2] = {};
    for (int64_t i = begin; i < end; ++i) {
      const Gradients g = gradients(form[i], double(weight[i]), sigma);
      if (dw != nullptr) dw[l * f.count + i] = T(g.w);
      sum_xy[size_t(2 * i)] += g.x;
      sum_xy[size_t(2 * i + 1)] += g.y;
      sum_sigma[0] += g.sigma_x;
      sum_sigma[1] += g.sigma_y;
    }
    if (dsigma != nullptr) std::copy_n(sum_sigma, 2, dsigma + 2 * map);
  }
  if (dxy != nullptr) std::copy(sum_xy.begin(), sum_xy.end(), dxy);
}

#define GT_INSTANTIATE(T)                                                                                \
  template void splat_forward(const Fixations<T>&, const std::vector<MapSize>&, const std::vector<T*>&,  \
                              const Maxima<T>&);                                                         \
  template void splat_backward(const Fixations<T>&, const std::vector<MapSize>&, const std::vector<T*>&, \
                               const Maxima<T>&, T*, T*, T*);
GT_INSTANTIATE(float)
GT_INSTANTIATE(double)

}  // namespace gt::splatting::cpu
