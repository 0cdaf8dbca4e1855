// Group normalisation (Wu and He, 2018), alone and fused with the bias of the convolution before it and the leaky ReLU
// after it. norm.h has the maths; group_norm is the case bias = 0, slope = 1.
//
// Saved: x, bias, gamma, beta; mu and r of each image and group. For each image and channel also the sum of x on the
// CPU, and the affine function of z on CUDA. Backward computes z again for its sign. With elements of s bytes, forward
// moves 3s an element in two passes and takes 7 FLOPs; backward moves 5s in two passes and takes 12. On CUDA it can be
// 2s and 3s (norm_cuda.cu).
#include "kernels/norm.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "core/parallel.h"
#include "kernels/common/op_helpers.h"
#include "kernels/cpu/image_loops.h"
#include "kernels/ops.h"

namespace gt {
namespace norm {
namespace {

// ---- CPU ------------------------------------------------------------------------------------------------------------

namespace cpu {

/// The channels' affine functions for images [first, last), once for each element of a tile.
template <class T>
struct TiledAffines {
  int64_t first, tile;
  std::vector<T> scales, shifts;  // (last-first,tile)

  /// affine(b, c) gives that of channel c in image b.
  template <class F>
  TiledAffines(const ImageShape& shape, int64_t first, int64_t last, const F& affine)
      : first(first), tile(tile_elements(shape)) {
    for (int64_t b = first; b < last; ++b)
      for (int64_t j = 0; j < tile; ++j) {
        const auto [scale, shift] = affine(b, j % shape.channels);
        scales.push_back(T(scale));
        shifts.push_back(T(shift));
      }
  }

  const T* scale(int64_t image) const { return scales.data() + (image - first) * tile; }
  const T* shift(int64_t image) const { return shifts.data() + (image - first) * tile; }
};

/// The value of a channel's first pixel, x0. Sums are those of x - x0, so that adding a few terms in f32 loses no
/// digits that matter.
template <class T>
double origin_of(const NormInputs<T>& in, int64_t image, int64_t channel) {
  return double(in.x[image * in.norm.shape.pixels * in.norm.shape.channels + channel]);
}

/// x0 of images [first, last), once for each element of a tile: (last-first,tile).
template <class T>
std::vector<T> tiled_origins(const NormInputs<T>& in, int64_t first, int64_t last) {
  const ImageShape& shape = in.norm.shape;
  std::vector<T> origins;
  for (int64_t b = first; b < last; ++b) {
    const std::vector<T> of_image = tiled<T>(shape, in.x + b * shape.pixels * shape.channels);
    origins.insert(origins.end(), of_image.begin(), of_image.end());
  }
  return origins;
}

/// Writes the statistics of group k of (B,G), and its channels' sums of x. `sums` (B,2,C) are those of x - x0 and of
/// (x - x0)^2 over each channel of each image.
template <class T>
void finish_group(const NormInputs<T>& in, const std::vector<double>& sums, int64_t k) {
  const Norm& norm = in.norm;
  const int64_t channels = norm.shape.channels, image = k / norm.groups,
                first = k % norm.groups * norm.group_channels();
  Moments group;
  for (int64_t c = first; c < first + norm.group_channels(); ++c) {
    const double n = double(norm.shape.pixels);
    const Moments m =
        Moments{sums[size_t(2 * image * channels + c)], sums[size_t((2 * image + 1) * channels + c)]}.plus(
            origin_of(in, image, c), n);
    in.sums[image * channels + c] = m.sum;
    group += m.plus(in.bias_of(c), n);
  }
  in.stats[k] = statistics(group, norm.group_size(), norm.eps);
}

/// f(first, last) for runs of images. What a pass reads of `tensors` tensors in a run stays in the caches for the next
/// pass.
template <class T, class F>
void for_images(const ImageShape& shape, int64_t tensors, const F& f) {
  constexpr int64_t cached = 16 << 20;
  const int64_t bytes = tensors * shape.pixels * shape.channels * int64_t(sizeof(T));
  const int64_t at_once = std::max<int64_t>(1, cached / bytes);
  for (int64_t first = 0; first < shape.images; first += at_once) f(first, std::min(first + at_once, shape.images));
}

template <class T>
void norm_forward(const NormInputs<T>& in, T* y) {
  const ImageShape& shape = in.norm.shape;
  const T* x = in.x;
  std::vector<double> sums(size_t(shape.images * 2 * shape.channels));
  for_images<T>(shape, 1, [&](int64_t first, int64_t last) {
    const std::vector<T> origins = tiled_origins(in, first, last);
    const auto moments = [&, first = first](int64_t image) {
      return [x, origin = origins.data() + (image - first) * tile_elements(shape)](int64_t i, int64_t j) {
        const T v = x[i] - origin[j];
        return std::array{v, v * v};
      };
    };
    reduce_pixels<2>(shape, first, last, moments, sums);
    for (int64_t k = first * in.norm.groups; k < last * in.norm.groups; ++k) finish_group(in, sums, k);
    const TiledAffines<T> z(shape, first, last, [&](int64_t b, int64_t c) { return in.affine(b, c); });
    for_blocks(shape, first, last, [&](int64_t, int64_t image, int64_t begin, int64_t end) {
      const T *scale = z.scale(image), *shift = z.shift(image), slope = T(in.norm.slope);
      map_tiles(shape, begin, end, y, [=](int64_t i, int64_t j) {
        return activate(Affine<T>{scale[j], shift[j]}(x[i]), slope);
      });
    });
  });
}

/// A channel's sums over the pixels of all images.
struct ParameterSums {
  double dz = 0, dz_xhat = 0, dx = 0;
};

/// Adds images [first_image, last_image) to `parameters` (C), and returns gradient_affine() of each of their channels.
/// sums (B,2,C) are those of dz and dz (x - x0) over each channel.
template <class T>
TiledAffines<T> finish_sums(const NormInputs<T>& in, int64_t first_image, int64_t last_image,
                            const std::vector<double>& sums, std::vector<ParameterSums>& parameters) {
  const Norm& norm = in.norm;
  const int64_t channels = norm.shape.channels;
  std::vector<GradientMeans> means;  // (last-first,G)
  for (int64_t k = first_image * norm.groups; k < last_image * norm.groups; ++k) {
    const int64_t b = k / norm.groups, first = k % norm.groups * norm.group_channels();
    GradientMeans of_group;
    for (int64_t c = first; c < first + norm.group_channels(); ++c) {
      const double dz = sums[size_t(2 * b * channels + c)];
      const double dz_x = sums[size_t((2 * b + 1) * channels + c)] + origin_of(in, b, c) * dz;
      const double dz_xhat = sum_with_xhat(in.channel(b, c), dz_x, dz);
      parameters[size_t(c)].dz += dz;
      parameters[size_t(c)].dz_xhat += dz_xhat;
      of_group += in.mean_terms(c, dz, dz_xhat);
    }
    means.push_back(of_group);
  }
  const auto affine = [&](int64_t b, int64_t c) {
    return gradient_affine(in.channel(b, c), means[size_t(in.group(b - first_image, c))]);
  };
  for (int64_t b = first_image; b < last_image; ++b)
    for (int64_t c = 0; c < channels; ++c)
      parameters[size_t(c)].dx += sum_of_gradients(in.affine(b, c).scale, sums[size_t(2 * b * channels + c)],
                                                   affine(b, c), in.sums[b * channels + c], double(norm.shape.pixels));
  return TiledAffines<T>(norm.shape, first_image, last_image, affine);
}

template <class T>
void norm_backward(const NormInputs<T>& in, const T* dy, const NormGradients<T>& g) {
  const ImageShape& shape = in.norm.shape;
  const T* x = in.x;
  std::vector<double> sums(size_t(shape.images * 2 * shape.channels));
  std::vector<ParameterSums> parameters(size_t(shape.channels));
  for_images<T>(shape, 2, [&](int64_t first, int64_t last) {
    const TiledAffines<T> z(shape, first, last, [&](int64_t b, int64_t c) { return in.affine(b, c); });
    const auto dz_of = [&](int64_t image) {
      return [=, scale = z.scale(image), shift = z.shift(image), slope = T(in.norm.slope)](int64_t i, int64_t j) {
        return activation_gradient(dy[i], Affine<T>{scale[j], shift[j]}(x[i]), slope);
      };
    };
    const std::vector<T> origins = tiled_origins(in, first, last);
    const auto gradient_sums = [&, first = first](int64_t image) {
      return [x, dz_at = dz_of(image), origin = origins.data() + (image - first) * tile_elements(shape)](int64_t i,
                                                                                                         int64_t j) {
        const T dz = dz_at(i, j);
        return std::array{dz, dz * (x[i] - origin[j])};
      };
    };
    reduce_pixels<2>(shape, first, last, gradient_sums, sums);
    const TiledAffines<T> affines = finish_sums(in, first, last, sums, parameters);
    if (g.dx == nullptr) return;
    for_blocks(shape, first, last, [&](int64_t, int64_t image, int64_t begin, int64_t end) {
      const T *gamma_r = z.scale(image), *scale = affines.scale(image), *shift = affines.shift(image);
      map_tiles(shape, begin, end, g.dx, [=, dz_at = dz_of(image)](int64_t i, int64_t j) {
        return input_gradient(gamma_r[j], dz_at(i, j), Affine<T>{scale[j], shift[j]}(x[i]));
      });
    });
  });
  for (size_t c = 0; c < parameters.size(); ++c) {
    g.dbeta[c] = T(parameters[c].dz);
    g.dgamma[c] = T(parameters[c].dz_xhat);
    if (g.dbias != nullptr) g.dbias[c] = T(parameters[c].dx);
  }
}

}  // namespace cpu

// ---- The ops --------------------------------------------------------------------------------------------------------

template <class S, class T = compute_t<S>>
NormInputs<S> inputs(const Norm& norm, const Tensor& x, const Tensor& bias, const Tensor& gamma, const Tensor& beta,
                     const Tensor& stats, const Tensor& sums, const Tensor& affines) {
  return {norm,
          operand<S>(x),
          operand_or_null<T>(bias),
          operand<T>(gamma),
          operand<T>(beta),
          reinterpret_cast<Statistics*>(operand<double>(stats)),
          operand_or_null<double>(sums),
          reinterpret_cast<Affine<T>*>(operand_or_null<T>(affines))};
}

/// bias may be undefined.
Tensor normalize(const char* name, const Tensor& x, const Tensor& bias, const Tensor& gamma, const Tensor& beta,
                 const Norm& norm, bool recompute) {
  GT_CHECK(x.rank() == 4 && x.size() > 0, name, ": expected x (B,H,W,C), not empty, got ", x.shape());
  GT_CHECK(norm.groups > 0 && x.dim(3) % norm.groups == 0, name, ": x is ", x.shape(), ", whose ", x.dim(3),
           " channels are not a multiple of ", norm.groups, " groups");
  const DType compute = compute_dtype(x.dtype());
  for (const Tensor& p : {gamma, beta, bias.defined() ? bias : beta})
    GT_CHECK(p.shape() == Shape{x.dim(3)} && p.dtype() == compute && p.device() == x.device(), name, ": x is ",
             x.dtype(), x.shape(), " on ", x.device(), ", so its parameters are expected to be ", compute,
             " of shape (", x.dim(3), "), got ", p.dtype(), p.shape(), " on ", p.device());
  Tensor stats({x.dim(0), norm.groups, 2}, DType::f64, x.device());
  const bool on_cuda = x.device() == Device::cuda;
  Tensor sums = on_cuda ? Tensor{} : Tensor({x.dim(0), x.dim(3)}, DType::f64, x.device());
  Tensor affines = on_cuda ? empty_affines(norm.shape, compute, x.device()) : Tensor{};
  const auto forward = [=, x = x.detach(), bias = detached(bias), gamma = gamma.detach(), beta = beta.detach()] {
    Tensor y(x.shape(), x.dtype(), x.device());
    visit_activation(x.dtype(), [&]<class S>() {
      GT_DISPATCH_ACTIVATION(S, x.device(), norm_forward, inputs<S>(norm, x, bias, gamma, beta, stats, sums, affines),
                             operand<S>(y));
    });
    return y;
  };
  Tensor y = forward();
  if (recompute && will_record({x, bias, gamma, beta})) recompute_in_backward(y, forward);
  return record({name, {{"groups", double(norm.groups)}, {"slope", norm.slope}, {"eps", norm.eps}}}, y,
                {x, bias, gamma, beta},
                [=, x = x.detach(), bias = detached(bias), gamma = gamma.detach(), beta = beta.detach(),
                 x_needs = x.requires_grad(), bias_needs = bias.requires_grad()](const Tensor& dy) -> Tensors {
                  Tensor dx = empty_gradient(x, x_needs), dbias = empty_gradient(bias, bias_needs);
                  Tensor dgamma = empty_gradient(gamma, true), dbeta = empty_gradient(beta, true);
                  visit_activation(x.dtype(), [&]<class S>() {
                    using T = compute_t<S>;
                    GT_DISPATCH_ACTIVATION(S, x.device(), norm_backward,
                                           inputs<S>(norm, x, bias, gamma, beta, stats, sums, affines), operand<S>(dy),
                                           NormGradients<S>{operand_or_null<S>(dx), operand_or_null<T>(dbias),
                                                            operand<T>(dgamma), operand<T>(dbeta)});
                  });
                  return {dx, dbias, dgamma, dbeta};
                });
}

Norm norm_of(const Tensor& x, int64_t groups, double slope, double eps) {
  const bool image = x.rank() == 4;  // or normalize() throws
  return {image ? ImageShape{x.dim(0), x.dim(1) * x.dim(2), x.dim(3)} : ImageShape{}, groups, eps, slope};
}

}  // namespace
}  // namespace norm

Tensor group_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, int64_t groups, double eps) {
  return norm::normalize("group_norm", x, {}, gamma, beta, norm::norm_of(x, groups, 1, eps), false);
}

Tensor group_norm_leaky_relu(const Tensor& x, const Tensor& bias, const Tensor& gamma, const Tensor& beta,
                             int64_t groups, double slope, double eps, bool recompute) {
  return norm::normalize("group_norm_leaky_relu", x, bias, gamma, beta, norm::norm_of(x, groups, slope, eps),
                         recompute);
}

}  // namespace gt
