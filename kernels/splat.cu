// Gaussian splat of fixations into maps.
//
//   S_lb(p) = sum_i w_li exp(-(p_x - x_i)^2 / (2 s_lbx^2)) exp(-(p_y - y_i)^2 / (2 s_lby^2)), i in track b
//
// xy (N,2), weight (L,N), sigma (L,B,2), offsets (B+1) -> L maps (B,H_l,W_l). The Gaussian is separable: a fixation is
// a row gx (W) and a column gy (H), and S = sum_i w_i gy_i gx_i^T.
//
// Backward, with G = dL/dS and the moments g, d g, d^2 g of the distance d = p - x along each axis: every gradient is a
// bilinear form (column moment)^T G (row moment):
//   dw  = gy.G.gx                    dx  = w / s_x^2  gy.G.(d gx)     ds_x = w / s_x^3  gy.G.(d^2 gx)
//                                    dy  = w / s_y^2  (d gy).G.gx     ds_y = w / s_y^3  (d^2 gy).G.gx
// so the columns are summed first, once for each of the three moments, and five dot products finish a block of rows.
//
// Saved: xy, weight, sigma, offsets; the profiles are computed again, (H+W) N exponentials being little beside the
// sums. Per image of n fixations and level: forward writes 4 H W bytes and takes 2 n H W FLOPs, backward reads 4 H W
// bytes and takes 6 n H W FLOPs.
#include <algorithm>
#include <vector>

#include "core/parallel.h"
#include "kernels/math.h"
#include "kernels/op.h"
#include "kernels/ops.h"
#include "kernels/tracks.h"

namespace gt {
namespace {

// ---- Maths ----------------------------------------------------------------------------------------------------------

/// exp(-d^2 / (2 sigma^2)).
template <class T>
GT_HD inline T profile(T d, T sigma) {
  const T z = d / sigma;
  return math::exp_nonpositive(T(-0.5) * z * z);
}

/// A fixation's share of the gradients, from the five bilinear forms of the header comment.
struct Forms {
  double g = 0, dx = 0, dy = 0, dxx = 0, dyy = 0;
};

// ---- CPU ------------------------------------------------------------------------------------------------------------

template <class T>
struct Fixations {
  const T* xy;             // (N,2)
  const T* weight;         // (L,N)
  const T* sigma;          // (L,B,2)
  const int32_t* offsets;  // (B+1)
  int64_t batch, count;    // B, N
};

namespace cpu {

/// Profiles of all fixations along both axes of every level.
template <class T>
struct Profiles {
  std::vector<std::vector<T>> x, y;  // [level] (N,W_l), (N,H_l)
};

template <class T>
Profiles<T> make_profiles(const Fixations<T>& f, const std::vector<MapSize>& sizes) {
  const int64_t levels = int64_t(sizes.size());
  Profiles<T> p{std::vector<std::vector<T>>(size_t(levels)), std::vector<std::vector<T>>(size_t(levels))};
  const auto fill = [&](T* out, int64_t size, T centre, T sigma) {
    for (int64_t i = 0; i < size; ++i) out[i] = profile(pixel_centre<T>(i, size) - centre, sigma);
  };
  for (int64_t l = 0; l < levels; ++l) {
    const auto [height, width] = sizes[size_t(l)];
    std::vector<T>&x = p.x[size_t(l)], &y = p.y[size_t(l)];
    x.resize(size_t(f.count * width));
    y.resize(size_t(f.count * height));
    parallel_for(f.batch, 1, [&](int64_t image, int64_t) {
      const T* sigma = f.sigma + 2 * (l * f.batch + image);
      for (int64_t i = f.offsets[image]; i < f.offsets[image + 1]; ++i) {
        fill(x.data() + i * width, width, f.xy[2 * i], sigma[0]);
        fill(y.data() + i * height, height, f.xy[2 * i + 1], sigma[1]);
      }
    });
  }
  return p;
}

template <class T>
void splat_forward(const Fixations<T>& f, const std::vector<MapSize>& sizes, const std::vector<T*>& maps) {
  const Profiles<T> profiles = make_profiles(f, sizes);
  const std::vector<MapBlock> blocks = map_blocks(sizes, f.batch);
  parallel_for(int64_t(blocks.size()), 1, [&](int64_t block, int64_t) {
    const auto [l, image, row_begin, row_end] = blocks[size_t(block)];
    const auto [height, width] = sizes[size_t(l)];
    const T *gx = profiles.x[size_t(l)].data(), *gy = profiles.y[size_t(l)].data(), *weight = f.weight + l * f.count;
    for (int64_t row = row_begin; row < row_end; ++row) {
      T* __restrict out = maps[size_t(l)] + (image * height + row) * width;
      std::fill_n(out, width, T(0));
      for (int64_t i = f.offsets[image]; i < f.offsets[image + 1]; ++i) {
        if (weight[i] == 0) continue;  // truncated away
        const T a = weight[i] * gy[i * height + row];
        const T* __restrict g = gx + i * width;
        for (int64_t u = 0; u < width; ++u) out[u] += a * g[u];
      }
    }
  });
}

/// The five forms of one fixation over the rows [begin, end) of one map. columns: room for 3 * width values.
template <class T>
Forms block_forms(const T* grad, const T* gx, const T* gy, T x, T y, const MapBlock& block, MapSize size, T* columns) {
  const int64_t width = size.width;
  T* __restrict c0 = columns;  // gy^T G, and the same with the first and second moments of gy
  T* __restrict c1 = columns + width;
  T* __restrict c2 = columns + 2 * width;
  std::fill_n(columns, 3 * width, T(0));
  for (int64_t row = block.begin; row < block.end; ++row) {
    const T d = pixel_centre<T>(row, size.height) - y;
    const T g0 = gy[row], g1 = d * g0, g2 = d * g1;
    const T* __restrict g = grad + row * width;
    for (int64_t u = 0; u < width; ++u) {
      c0[u] += g0 * g[u];
      c1[u] += g1 * g[u];
      c2[u] += g2 * g[u];
    }
  }
  double form = 0, form_x = 0, form_y = 0, form_xx = 0, form_yy = 0;
#pragma omp simd reduction(+ : form, form_x, form_y, form_xx, form_yy)
  for (int64_t u = 0; u < width; ++u) {
    const T d = pixel_centre<T>(u, width) - x;
    const double c = c0[u] * gx[u];
    form += c;
    form_x += d * c;
    form_xx += d * d * c;
    form_y += c1[u] * gx[u];
    form_yy += c2[u] * gx[u];
  }
  return {form, form_x, form_y, form_xx, form_yy};
}

/// dw (L,N), dxy (N,2), dsigma (L,B,2), each null if not wanted. A null entry of dmaps is a level without gradient.
template <class T>
void splat_backward(const Fixations<T>& f, const std::vector<MapSize>& sizes, const std::vector<T*>& dmaps, T* dw,
                    T* dxy, T* dsigma) {
  const Profiles<T> profiles = make_profiles(f, sizes);
  const std::vector<MapBlock> blocks = map_blocks(sizes, f.batch);
  std::vector<std::vector<Forms>> partial(blocks.size());  // [block][fixation of the block's image]
  parallel_for(int64_t(blocks.size()), 1, [&](int64_t k, int64_t) {
    const MapBlock& block = blocks[size_t(k)];
    const size_t l = size_t(block.level);
    if (dmaps[l] == nullptr) return;
    const auto [height, width] = sizes[l];
    const T* grad = dmaps[l] + block.image * height * width;
    std::vector<T> columns(size_t(3 * width));
    for (int64_t i = f.offsets[block.image]; i < f.offsets[block.image + 1]; ++i) {
      const bool idle = dw == nullptr && f.weight[block.level * f.count + i] == 0;  // truncated away
      partial[size_t(k)].push_back(idle ? Forms{}
                                        : block_forms(grad, profiles.x[l].data() + i * width,
                                                      profiles.y[l].data() + i * height, f.xy[2 * i], f.xy[2 * i + 1],
                                                      block, sizes[l], columns.data()));
    }
  });

  const int64_t levels = int64_t(sizes.size());
  std::vector<double> sum_w(size_t(levels * f.count)), sum_xy(size_t(f.count * 2));
  std::vector<double> sum_sigma(size_t(levels * f.batch * 2));
  for (size_t k = 0; k < blocks.size(); ++k) {
    const auto [l, image, row_begin, row_end] = blocks[k];
    const size_t at = size_t(2 * (l * f.batch + image));
    const double sx = double(f.sigma[at]), sy = double(f.sigma[at + 1]);
    for (size_t j = 0; j < partial[k].size(); ++j) {
      const size_t i = size_t(f.offsets[image]) + j, li = size_t(l * f.count) + i;
      const Forms& form = partial[k][j];
      const double w = double(f.weight[li]);
      sum_w[li] += form.g;
      sum_xy[2 * i] += w * form.dx / (sx * sx);
      sum_xy[2 * i + 1] += w * form.dy / (sy * sy);
      sum_sigma[at] += w * form.dxx / (sx * sx * sx);
      sum_sigma[at + 1] += w * form.dyy / (sy * sy * sy);
    }
  }
  if (dw != nullptr) std::copy(sum_w.begin(), sum_w.end(), dw);
  if (dxy != nullptr) std::copy(sum_xy.begin(), sum_xy.end(), dxy);
  if (dsigma != nullptr) std::copy(sum_sigma.begin(), sum_sigma.end(), dsigma);
}

}  // namespace cpu

#if GT_CUDA
namespace cuda = cpu;  // its CUDA bodies are not written yet
#endif

template <class T>
Fixations<T> fixations(const Tensor& xy, const Tensor& weight, const Tensor& sigma, const Tensor& offsets) {
  return {xy.data<T>(), weight.data<T>(), sigma.data<T>(), offsets.data<int32_t>(), offsets.dim(0) - 1, xy.dim(0)};
}

void check_splat(const Tensor& xy, const Tensor& weight, const Tensor& sigma, const Tensor& offsets,
                 const std::vector<MapSize>& sizes) {
  const int64_t levels = int64_t(sizes.size());
  check_sizes("splat", sizes);
  GT_CHECK(xy.rank() == 2 && xy.dim(1) == 2, "splat: xy is ", xy.shape(), ", expected (N,2)");
  check_offsets("splat", offsets, xy.dim(0));
  const Shape weight_shape{levels, xy.dim(0)}, sigma_shape{levels, offsets.dim(0) - 1, 2};
  GT_CHECK(weight.shape() == weight_shape, "splat: weight is ", weight.shape(), ", expected ", weight_shape);
  GT_CHECK(sigma.shape() == sigma_shape, "splat: sigma is ", sigma.shape(), ", expected ", sigma_shape);
  GT_CHECK(weight.dtype() == xy.dtype() && sigma.dtype() == xy.dtype(), "splat: xy is ", xy.dtype(), ", weight ",
           weight.dtype(), ", sigma ", sigma.dtype(), ": expected one type");
}

}  // namespace

// ---- The op ---------------------------------------------------------------------------------------------------------

Tensors splat(const Tensor& xy, const Tensor& weight, const Tensor& sigma, const Tensor& offsets,
              const std::vector<MapSize>& sizes) {
  check_splat(xy, weight, sigma, offsets, sizes);
  Tensors maps = empty_maps(sizes, offsets.dim(0) - 1, xy.dtype(), xy.device());
  visit_float(xy.dtype(), [&]<class T>() {
    GT_DISPATCH(xy.device(), splat_forward, fixations<T>(xy, weight, sigma, offsets), sizes, pointers<T>(maps));
  });
  return record("splat", maps, {xy, weight, sigma},
                [xy = xy.detach(), weight = weight.detach(), sigma = sigma.detach(), offsets = offsets.detach(), sizes,
                 xy_needs = xy.requires_grad(), weight_needs = weight.requires_grad(),
                 sigma_needs = sigma.requires_grad()](const Tensors& dy) -> Tensors {
                  const Tensor dxy = gradient_of(xy, xy_needs);
                  const Tensor dw = gradient_of(weight, weight_needs);
                  const Tensor dsigma = gradient_of(sigma, sigma_needs);
                  visit_float(xy.dtype(), [&]<class T>() {
                    GT_DISPATCH(xy.device(), splat_backward, fixations<T>(xy, weight, sigma, offsets), sizes,
                                pointers<T>(dy), pointer<T>(dw), pointer<T>(dxy), pointer<T>(dsigma));
                  });
                  return {dxy, dw, dsigma};
                });
}

}  // namespace gt
