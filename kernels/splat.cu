// Gaussian splat of fixations into maps, plain or divided by each map's maximum. splat.h has the maths.
//
// xy (N,2), weight (L,N), sigma (L,B,2), offsets (B+1) -> L maps (B,H_l,W_l).
//
// Saved: xy, weight, sigma, offsets, and if normalised the maxima and their indices. Backward computes the profiles
// again: (H+W) N exponentials cost little compared with the sums. For each level of an image of n fixations, forward
// writes 4 H W bytes and takes 2 n H W FLOPs. Backward reads 4 H W bytes and takes 6 n H W FLOPs.
//
// On the CPU both are products of small matrices: S = gy^T (w gx) over the fixations, and moments^T G over the rows.
#include "kernels/splat.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "core/parallel.h"
#include "kernels/common/op_helpers.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/map_blocks.h"

namespace gt {
namespace splatting {
namespace {

// ---- CPU ------------------------------------------------------------------------------------------------------------

namespace cpu {

constexpr int64_t product_pixels = 1 << 14;  // of a matrix product

/// The profiles of all fixations along both axes of every level, as factors of matrix products.
template <class T>
struct Profiles {
  std::vector<std::vector<T>> rows;     // [level] image by image, gx (n,W)
  std::vector<std::vector<T>> columns;  // [level] image by image, gy (H,n) or its moments (H,3,n)
};

/// column(i, d, g, n, out) writes the `Columns` column values of fixation i to out[0], out[n], ..; its gy is g at the
/// distance d.
template <int64_t Columns, class T, class F>
Profiles<T> make_profiles(const Fixations<T>& f, const std::vector<MapSize>& sizes, const F& column) {
  Profiles<T> p{std::vector<std::vector<T>>(sizes.size()), std::vector<std::vector<T>>(sizes.size())};
  for (size_t l = 0; l < sizes.size(); ++l) {
    p.rows[l].resize(size_t(f.count * sizes[l].width));
    p.columns[l].resize(size_t(f.count * sizes[l].height * Columns));
  }
  parallel_for(int64_t(sizes.size()) * f.batch, 1, [&](int64_t map, int64_t) {
    const int64_t l = map / f.batch, image = map % f.batch, first = f.offsets[image];
    const int64_t n = f.offsets[image + 1] - first;
    // Not a structured binding: clang 14 does not accept one in an OpenMP loop.
    const int64_t height = sizes[size_t(l)].height, width = sizes[size_t(l)].width;
    const T* xy = f.xy + 2 * first;
    const Profile<T> profile_x(f.sigma[2 * map]), profile_y(f.sigma[2 * map + 1]);
    for (int64_t i = 0; i < n; ++i) {
      T* row = p.rows[size_t(l)].data() + (first + i) * width;
#pragma omp simd
      for (int64_t u = 0; u < width; ++u) row[u] = profile_x(pixel_centre<T>(u, width) - xy[2 * i]);
    }
    for (int64_t v = 0; v < height; ++v) {
      T* out = p.columns[size_t(l)].data() + (first * height + v * n) * Columns;
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) {
        const T d = pixel_centre<T>(v, height) - xy[2 * i + 1];
        column(l * f.count + first + i, d, profile_y(d), n, out + i);
      }
    }
  });
  return p;
}

template <class T>
void splat_forward(const Fixations<T>& f, const std::vector<MapSize>& sizes, const std::vector<T*>& maps,
                   const Maxima<T>& maxima) {
  const Profiles<T> profiles =
      make_profiles<1>(f, sizes, [weight = f.weight](int64_t i, T, T g, int64_t, T* out) { *out = weight[i] * g; });
  const std::vector<MapBlock> blocks = map_blocks(sizes, f.batch, product_pixels);
  parallel_for(int64_t(blocks.size()), 1, [&](int64_t block, int64_t) {
    const auto [l, image, begin, end] = blocks[size_t(block)];
    const auto [height, width] = sizes[size_t(l)];
    const int64_t first = f.offsets[image], n = f.offsets[image + 1] - first;
    multiply(end - begin, width, n, profiles.columns[size_t(l)].data() + first * height + begin * n, false,
             profiles.rows[size_t(l)].data() + first * width, false,
             maps[size_t(l)] + (image * height + begin) * width);
  });
  if (maxima.value == nullptr) return;
  parallel_for(int64_t(sizes.size()) * f.batch, 1, [&](int64_t k, int64_t) {
    const auto [height, width] = sizes[size_t(k / f.batch)];
    const int64_t size = height * width;
    T* map = maps[size_t(k / f.batch)] + k % f.batch * size;
    T maximum = 0;
#pragma omp simd reduction(max : maximum)
    for (int64_t i = 0; i < size; ++i) maximum = map[i] > maximum ? map[i] : maximum;
    maxima.value[k] = maximum;
    maxima.index[k] = int32_t(std::find(map, map + size, maximum) - map);
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) map[i] = normalized(map[i], maximum);
  });
}

/// The five forms of one fixation, from the products c0, c1 and c2 (W) of gy, d gy and d^2 gy with G.
template <class T>
Forms finish_forms(int64_t width, T x, const T* gx, const T* c0, const T* c1, const T* c2) {
  T g = 0, dx = 0, dy = 0, dxx = 0, dyy = 0;
#pragma omp simd reduction(+ : g, dx, dy, dxx, dyy)
  for (int64_t u = 0; u < width; ++u) {
    const T d = pixel_centre<T>(u, width) - x, c = c0[u] * gx[u];
    g += c;
    dx += d * c;
    dxx += d * d * c;
    dy += c1[u] * gx[u];
    dyy += c2[u] * gx[u];
  }
  return {double(g), double(dx), double(dy), double(dxx), double(dyy)};
}

/// The forms of every level and fixation (L,N). A null entry of dmaps is a level without gradient.
template <class T>
std::vector<Forms> all_forms(const Fixations<T>& f, const std::vector<MapSize>& sizes, const std::vector<T*>& dmaps) {
  const Profiles<T> profiles = make_profiles<3>(f, sizes, [](int64_t, T d, T g, int64_t n, T* out) {
    out[0] = g;
    out[n] = d * g;
    out[2 * n] = d * d * g;
  });
  const std::vector<MapBlock> blocks = map_blocks(sizes, f.batch, product_pixels);
  std::vector<std::vector<Forms>> partial(blocks.size());  // [block][fixation of the block's image]
  parallel_for(int64_t(blocks.size()), 1, [&](int64_t k, int64_t) {
    const auto [l, image, begin, end] = blocks[size_t(k)];
    const auto [height, width] = sizes[size_t(l)];
    const int64_t first = f.offsets[image], n = f.offsets[image + 1] - first;
    if (dmaps[size_t(l)] == nullptr || n == 0) return;
    std::vector<T> sums(size_t(3 * n * width));  // (3,n,W)
    multiply(3 * n, width, end - begin, profiles.columns[size_t(l)].data() + 3 * (first * height + begin * n), true,
             dmaps[size_t(l)] + (image * height + begin) * width, false, sums.data());
    for (int64_t i = 0; i < n; ++i) {
      const T *gx = profiles.rows[size_t(l)].data() + (first + i) * width, *c = sums.data() + i * width;
      partial[size_t(k)].push_back(finish_forms(width, f.xy[2 * (first + i)], gx, c, c + n * width, c + 2 * n * width));
    }
  });

  std::vector<Forms> forms(sizes.size() * size_t(f.count));
  for (size_t k = 0; k < blocks.size(); ++k) {
    Forms* to = forms.data() + blocks[k].level * f.count + f.offsets[blocks[k].image];
    for (const Forms& from : partial[k]) *to = *to + from, ++to;
  }
  return forms;
}

/// Writes dw (L,N), dxy (N,2) and dsigma (L,B,2), each unless it is null. A null entry of dmaps is a level without
/// gradient.
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

}  // namespace cpu

template <class T>
Fixations<T> fixations(const Tensor& xy, const Tensor& weight, const Tensor& sigma, const Tensor& offsets) {
  return {operand<T>(xy),     operand<T>(weight), operand<T>(sigma), operand<int32_t>(offsets),
          offsets.dim(0) - 1, xy.dim(0)};
}

void check_splat(const char* op, const Tensor& xy, const Tensor& weight, const Tensor& sigma, const Tensor& offsets,
                 const std::vector<MapSize>& sizes) {
  const int64_t levels = int64_t(sizes.size());
  check_sizes(op, sizes);
  GT_CHECK(xy.rank() == 2 && xy.dim(1) == 2, op, ": xy is ", xy.shape(), ", expected (N,2)");
  check_offsets(op, offsets, xy.dim(0));
  const Shape weight_shape{levels, xy.dim(0)}, sigma_shape{levels, offsets.dim(0) - 1, 2};
  GT_CHECK(weight.shape() == weight_shape, op, ": weight is ", weight.shape(), ", expected ", weight_shape);
  GT_CHECK(sigma.shape() == sigma_shape, op, ": sigma is ", sigma.shape(), ", expected ", sigma_shape);
  GT_CHECK(weight.dtype() == xy.dtype() && sigma.dtype() == xy.dtype(), op, ": xy is ", xy.dtype(), ", weight ",
           weight.dtype(), ", sigma ", sigma.dtype(), ", expected one type");
}

template <class T>
Maxima<T> maxima(const Tensor& value, const Tensor& index) {
  return {operand_or_null<T>(value), operand_or_null<int32_t>(index)};
}

/// Either op. The maps are normalised if the tensors for their maxima, maximum (L,B) and index (L,B), are defined.
Tensors draw(const char* op, const Tensor& xy, const Tensor& weight, const Tensor& sigma, const Tensor& offsets,
             const std::vector<MapSize>& sizes, const Tensor& maximum, const Tensor& index) {
  Tensors maps = empty_maps(sizes, offsets.dim(0) - 1, xy.dtype(), xy.device());
  visit_float(xy.dtype(), [&]<class T>() {
    GT_DISPATCH(xy.device(), splat_forward, fixations<T>(xy, weight, sigma, offsets), sizes, operands_or_null<T>(maps),
                maxima<T>(maximum, index));
  });
  return record(op, maps, {xy, weight, sigma},
                [xy = xy.detach(), weight = weight.detach(), sigma = sigma.detach(), offsets = offsets.detach(), sizes,
                 maximum, index, xy_needs = xy.requires_grad(), weight_needs = weight.requires_grad(),
                 sigma_needs = sigma.requires_grad()](const Tensors& dy) -> Tensors {
                  Tensor dxy = empty_gradient(xy, xy_needs);
                  Tensor dw = empty_gradient(weight, weight_needs);
                  Tensor dsigma = empty_gradient(sigma, sigma_needs);
                  visit_float(xy.dtype(), [&]<class T>() {
                    GT_DISPATCH(xy.device(), splat_backward, fixations<T>(xy, weight, sigma, offsets), sizes,
                                operands_or_null<T>(dy), maxima<T>(maximum, index), operand_or_null<T>(dw),
                                operand_or_null<T>(dxy), operand_or_null<T>(dsigma));
                  });
                  return {dxy, dw, dsigma};
                });
}

}  // namespace
}  // namespace splatting

// ---- The ops --------------------------------------------------------------------------------------------------------

Tensors splat(const Tensor& xy, const Tensor& weight, const Tensor& sigma, const Tensor& offsets,
              const std::vector<MapSize>& sizes) {
  splatting::check_splat("splat", xy, weight, sigma, offsets, sizes);
  return splatting::draw("splat", xy, weight, sigma, offsets, sizes, {}, {});
}

Tensors splat_normalized(const Tensor& xy, const Tensor& weight, const Tensor& sigma, const Tensor& offsets,
                         const std::vector<MapSize>& sizes) {
  splatting::check_splat("splat_normalized", xy, weight, sigma, offsets, sizes);
  for (const auto [height, width] : sizes)  // indices are i32
    GT_CHECK(height <= std::numeric_limits<int32_t>::max() / width, "splat_normalized: a map is ", height, " x ", width,
             ", expected less than 2^31 pixels");
  const Shape maps{int64_t(sizes.size()), offsets.dim(0) - 1};
  return splatting::draw("splat_normalized", xy, weight, sigma, offsets, sizes, Tensor(maps, xy.dtype(), xy.device()),
                         Tensor(maps, DType::i32, xy.device()));
}

}  // namespace gt
