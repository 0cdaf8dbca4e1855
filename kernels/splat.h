// Maths of the Gaussian splat, for the CPU (cpu/splat.cpp) and CUDA (splat_cuda.cu).
//
//   S_lb(p) = sum_i w_li exp(-(p_x - x_i)^2 / (2 s_lbx^2)) exp(-(p_y - y_i)^2 / (2 s_lby^2)), i in track b
//
// The Gaussian is separable: a fixation has a row profile gx (W) and a column profile gy (H), and
// S = sum_i w_i gy_i gx_i^T.
//
// Backward uses G = dL/dS and the moments g, d g, d^2 g of the distance d = p - x along each axis. Every gradient is a
// bilinear form (column moment)^T G (row moment).
//   dw  = gy.G.gx                    dx  = w / s_x^2  gy.G.(d gx)     ds_x = w / s_x^3  gy.G.(d^2 gx)
//                                    dy  = w / s_y^2  (d gy).G.gx     ds_y = w / s_y^3  (d^2 gy).G.gx
// On CUDA the columns are summed first, once for each of the three moments; five dot products along the rows then give
// the forms. The CPU takes the products gy.G and G.gx, and five dot products of those.
//
// Normalised, Y = S / m with m = max S: G = (dL/dY - [p is the first maximum] sum_p dL/dY Y) / m. The forms are linear
// in G, and sum_p dL/dY Y = sum_i w_i (gy_i.dL/dY.gx_i) / m. So the forms of dL/dY suffice, without Y or G.
#pragma once

#include <vector>

#include "kernels/common/math.h"
#include "kernels/common/tracks.h"

namespace gt::splatting {

/// exp(-d^2 / (2 sigma^2)), as a function of d.
template <class T>
struct Profile {
  T steepness;

  GT_HD explicit Profile(T sigma) : steepness(1 / (2 * sigma * sigma)) {}
  GT_HD T operator()(T d) const { return math::gaussian(d, steepness); }
};

/// The five bilinear forms of one fixation: gy.G.gx, and with the moments d gx, d gy, d^2 gx and d^2 gy.
struct Forms {
  double g = 0, dx = 0, dy = 0, dxx = 0, dyy = 0;
};

inline Forms operator+(const Forms& a, const Forms& b) {
  return {a.g + b.g, a.dx + b.dx, a.dy + b.dy, a.dxx + b.dxx, a.dyy + b.dyy};
}

/// What one fixation adds to the gradients.
struct Gradients {
  double w, x, y, sigma_x, sigma_y;
};

template <class T>
GT_HD inline Gradients gradients(const Forms& f, double w, const T* sigma /* (2) */) {
  const double sx = double(sigma[0]), sy = double(sigma[1]);
  return {f.g, w * f.dx / (sx * sx), w * f.dy / (sy * sy), w * f.dxx / (sx * sx * sx), w * f.dyy / (sy * sy * sy)};
}

/// S / m; 0 if m is not above 0.
template <class T>
GT_HD inline T normalized(T value, T maximum) {
  return maximum > 0 ? value / maximum : T(0);
}

/// A map's maximum, the position of its pixel in image sides, and sum_p dL/dY Y.
struct Normalization {
  double maximum, x, y, sum;
};

/// The forms of G from those of dL/dY.
template <class T>
GT_HD inline Forms through_normalization(const Forms& f, const T* xy, const T* sigma, const Normalization& n) {
  if (!(n.maximum > 0)) return {};
  const double dx = n.x - double(xy[0]), dy = n.y - double(xy[1]);
  const double g = n.sum * Profile(double(sigma[0]))(dx) * Profile(double(sigma[1]))(dy);
  return {(f.g - g) / n.maximum, (f.dx - dx * g) / n.maximum, (f.dy - dy * g) / n.maximum,
          (f.dxx - dx * dx * g) / n.maximum, (f.dyy - dy * dy * g) / n.maximum};
}

/// N fixations, packed in B tracks, on L levels.
template <class T>
struct Fixations {
  const T* xy;             // (N,2)
  const T* weight;         // (L,N)
  const T* sigma;          // (L,B,2)
  const int32_t* offsets;  // (B+1)
  int64_t batch, count;    // B, N
};

/// Maxima of maps and the index of the first one in each map; null without normalisation.
template <class T>
struct Maxima {
  T* value;
  int32_t* index;
};

/// The normalisation of map i, of (height,width) pixels; `sum` is that of dL/dY S.
template <class T>
GT_HD inline Normalization normalization(const Maxima<T>& maxima, int64_t i, int64_t height, int64_t width,
                                         double sum) {
  const int64_t index = maxima.index[i];
  const double maximum = double(maxima.value[i]);
  return {maximum, double(pixel_centre<T>(index % width, width)), double(pixel_centre<T>(index / width, height)),
          sum / maximum};
}

namespace cpu {

/// Writes the maps, normalised if maxima (L,B) are not null, and then also those.
template <class T>
void splat_forward(const Fixations<T>& f, const std::vector<MapSize>& sizes, const std::vector<T*>& maps,
                   const Maxima<T>& maxima);

/// Writes dw (L,N), dxy (N,2) and dsigma (L,B,2), each unless it is null. A null entry of dmaps is a level without
/// gradient.
template <class T>
void splat_backward(const Fixations<T>& f, const std::vector<MapSize>& sizes, const std::vector<T*>& dmaps,
                    const Maxima<T>& maxima, T* dw, T* dxy, T* dsigma);

}  // namespace cpu

#if GT_CUDA
namespace cuda {

/// Writes the maps, normalised if maxima (L,B) are not null, and then also those.
template <class T>
void splat_forward(const Fixations<T>& f, const std::vector<MapSize>& sizes, const std::vector<T*>& maps,
                   const Maxima<T>& maxima);

/// Writes dw (L,N), dxy (N,2) and dsigma (L,B,2), each unless it is null. A null entry of dmaps is a level without
/// gradient.
template <class T>
void splat_backward(const Fixations<T>& f, const std::vector<MapSize>& sizes, const std::vector<T*>& dmaps,
                    const Maxima<T>& maxima, T* dw, T* dxy, T* dsigma);

}  // namespace cuda
#endif

}  // namespace gt::splatting
