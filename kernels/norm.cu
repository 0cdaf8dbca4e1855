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

/// The channels' affine functions for images [first, last), once for each element of a tile of map_tiles().
template <class T>
struct TiledAffines {
  int64_t first, channels, tile;
  std::vector<T> scales, shifts;  // (last-first,tile)

  TiledAffines(const ImageShape& shape, int64_t first, int64_t last)
      : first(first),
        channels(shape.channels),
        tile(map_tile_elements(shape)),
        scales(size_t((last - first) * tile)),
        shifts(scales.size()) {}

  /// affine(c) gives that of channel c.
  template <class F>
  void set(int64_t image, const F& affine) {
    T *const scale = scales.data() + (image - first) * tile, *const shift = shifts.data() + (image - first) * tile;
    for (int64_t c = 0; c < channels; ++c) {
      const Affine<double> of_channel = affine(c);
      scale[c] = T(of_channel.scale);
      shift[c] = T(of_channel.shift);
    }
    repeat_pixel(channels, tile, scale);
    repeat_pixel(channels, tile, shift);
  }

  const T* scale(int64_t image) const { return scales.data() + (image - first) * tile; }
  const T* shift(int64_t image) const { return shifts.data() + (image - first) * tile; }
};

/// The first pixel of an image, x0. Sums are those of x - x0, so that adding a few terms in f32 loses no digits that
/// matter.
template <class T>
const T* first_pixel(const NormInputs<T>& in, int64_t image) {
  return in.x + image * in.norm.shape.pixels * in.norm.shape.channels;
}

/// x0 of images [first, last), once for each element of a tile of map_tiles(): (last-first,tile).
template <class T>
std::vector<T> tiled_origins(const NormInputs<T>& in, int64_t first, int64_t last) {
  const ImageShape& shape = in.norm.shape;
  const int64_t tile = map_tile_elements(shape);
  std::vector<T> origins(size_t((last - first) * tile));
  for (int64_t b = first; b < last; ++b) {
    T* const of_image = origins.data() + (b - first) * tile;
    std::copy_n(first_pixel(in, b), shape.channels, of_image);
    repeat_pixel(shape.channels, tile, of_image);
  }
  return origins;
}

/// Writes the statistics of an image's groups, and its channels' sums of x. `sums` (B,2,C) are those of x - x0 and of
/// (x - x0)^2 over each channel of each image.
template <class T>
void finish_groups(const NormInputs<T>& in, const std::vector<double>& sums, int64_t image) {
  const Norm& norm = in.norm;
  const int64_t channels = norm.shape.channels;
  const double n = double(norm.shape.pixels), *const of_image = sums.data() + 2 * image * channels;
  for (int64_t g = 0; g < norm.groups; ++g) {
    Moments group;
    for (int64_t c = g * norm.group_channels(); c < (g + 1) * norm.group_channels(); ++c) {
      const Moments m = Moments{of_image[c], of_image[channels + c]}.plus(double(first_pixel(in, image)[c]), n);
      in.sums[image * channels + c] = m.sum;
      group += m.plus(in.bias_of(c), n);
    }
    in.stats[image * norm.groups + g] = statistics(group, norm.group_size(), norm.eps);
  }
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
      return [x, origin = origins.data() + (image - first) * map_tile_elements(shape)](int64_t i, int64_t j) {
        const T v = x[i] - origin[j];
        return std::array{v, v * v};
      };
    };
    reduce_pixels<2>(shape, first, last, moments, sums);
    TiledAffines<T> z(shape, first, last);
    parallel_for(last - first, 1, [&, first = first](int64_t k, int64_t) {
      finish_groups(in, sums, first + k);
      z.set(first + k, [&](int64_t c) { return in.affine(first + k, c); });
    });
    for_blocks(shape, first, last, [&](int64_t, int64_t image, int64_t begin, int64_t end) {
      const T *scale = z.scale(image), *shift = z.shift(image), slope = T(in.norm.slope);
      map_tiles(
          shape, begin, end, y,
          [=](int64_t i, int64_t j) {
            return activate(Affine<T>{scale[j], shift[j]}(x[i]), slope);
          },
          x);
    });
  });
}

/// A channel's sums over pixels.
struct ParameterSums {
  double dz = 0, dz_xhat = 0, dx = 0;

  void operator+=(const ParameterSums& other) { dz += other.dz, dz_xhat += other.dz_xhat, dx += other.dx; }
};

/// Writes an image's sums to `parameters` (B,C), and gradient_affine() of its channels. sums (B,2,C) are those of dz
/// and dz (x - x0) over each channel.
template <class T>
void finish_sums(const NormInputs<T>& in, const std::vector<double>& sums, int64_t image,
                 std::vector<ParameterSums>& parameters, TiledAffines<T>& affines) {
  const Norm& norm = in.norm;
  const int64_t channels = norm.shape.channels;
  const double *const dz = sums.data() + 2 * image * channels, *const dz_dx = dz + channels;
  ParameterSums* const of_image = parameters.data() + image * channels;
  std::vector<GradientMeans> means(size_t(norm.groups));
  for (int64_t c = 0; c < channels; ++c) {
    const double dz_x = dz_dx[c] + double(first_pixel(in, image)[c]) * dz[c];
    const double dz_xhat = sum_with_xhat(in.channel(image, c), dz_x, dz[c]);
    of_image[c] = {dz[c], dz_xhat, 0};
    means[size_t(norm.group_of(c))] += in.mean_terms(c, dz[c], dz_xhat);
  }
  const auto affine = [&](int64_t c) { return gradient_affine(in.channel(image, c), means[size_t(norm.group_of(c))]); };
  for (int64_t c = 0; c < channels; ++c)
    of_image[c].dx = sum_of_gradients(in.affine(image, c).scale, dz[c], affine(c), in.sums[image * channels + c],
                                      double(norm.shape.pixels));
  affines.set(image, affine);
}

template <class T>
void norm_backward(const NormInputs<T>& in, const T* dy, const NormGradients<T>& g) {
  const ImageShape& shape = in.norm.shape;
  const T* x = in.x;
  std::vector<double> sums(size_t(shape.images * 2 * shape.channels));
  std::vector<ParameterSums> parameters(size_t(shape.images * shape.channels));
  for_images<T>(shape, 2, [&](int64_t first, int64_t last) {
    TiledAffines<T> z(shape, first, last), affines(shape, first, last);
    parallel_for(last - first, 1, [&, first = first](int64_t k, int64_t) {
      z.set(first + k, [&](int64_t c) { return in.affine(first + k, c); });
    });
    const auto dz_of = [&](int64_t image) {
      return [=, scale = z.scale(image), shift = z.shift(image), slope = T(in.norm.slope)](int64_t i, int64_t j) {
        return activation_gradient(dy[i], Affine<T>{scale[j], shift[j]}(x[i]), slope);
      };
    };
    const std::vector<T> origins = tiled_origins(in, first, last);
    const auto gradient_sums = [&, first = first](int64_t image) {
      return [x, dz_at = dz_of(image), origin = origins.data() + (image - first) * map_tile_elements(shape)](
                 int64_t i, int64_t j) {
        const T dz = dz_at(i, j);
        return std::array{dz, dz * (x[i] - origin[j])};
      };
    };
    reduce_pixels<2>(shape, first, last, gradient_sums, sums);
    parallel_for(last - first, 1,
                 [&, first = first](int64_t k, int64_t) { finish_sums(in, sums, first + k, parameters, affines); });
    if (g.dx == nullptr) return;
    for_blocks(shape, first, last, [&](int64_t, int64_t image, int64_t begin, int64_t end) {
      const T *gamma_r = z.scale(image), *scale = affines.scale(image), *shift = affines.shift(image);
      map_tiles(
          shape, begin, end, g.dx,
          [=, dz_at = dz_of(image)](int64_t i, int64_t j) {
            return input_gradient(gamma_r[j], dz_at(i, j), Affine<T>{scale[j], shift[j]}(x[i]));
          },
          x, dy);
    });
  });
  for (int64_t c = 0; c < shape.channels; ++c) {
    ParameterSums total;
    for (int64_t b = 0; b < shape.images; ++b) total += parameters[size_t(b * shape.channels + c)];
    g.dbeta[c] = T(total.dz);
    g.dgamma[c] = T(total.dz_xhat);
    if (g.dbias != nullptr) g.dbias[c] = T(total.dx);
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
