// Augmentation: one affine map per image moves its pixels, its mask and its fixations.
//
//   y[b](p) = colour[b] (c, 1),  c = images[b] at q / 255,  q = geometry[b] (p_x, p_y, 1), in image sides
//
// images (B,H,W,C) u8, geometry (B,2,3), colour (B,C,C+1) -> (B,H,W,C) in geometry's dtype. Images are read bilinearly
// between pixel centres; beyond the outermost centres their edge pixels are repeated. A mask is 1 where its bilinear
// value is at least one half. A fixation at q moves to p with q = geometry[b] (p, 1). With geometry[b] = (A | t) that
// is p = A^-1 (q - t).
//
// Saved: the geometry, for fixations, whose gradient is the transpose of A^-1. Images and masks have no gradient. An
// element takes 1 byte read and 4 written, a pixel 20 + 8 C + 2 C^2 FLOPs.
//
// CUDA: one launch each, a thread for each pixel or fixation. Fixations after the last track become 0.
#include <algorithm>
#include <cmath>
#include <vector>

#include "core/launch.cuh"
#include "core/parallel.h"
#include "kernels/common/op_helpers.h"
#include "kernels/common/tracks.h"
#include "kernels/ops.h"

namespace gt {
namespace {

constexpr int64_t max_channels = 8;

// ---- Maths ----------------------------------------------------------------------------------------------------------

/// Where output pixel (u, v) is read, in pixels from the centre of the first one: (xu (u+1/2) + xv (v+1/2) + x, yu
/// (u+1/2) + yv (v+1/2) + y). In pixels, unlike in image sides, the identity and flips are exact for every size.
template <class T>
struct PixelGeometry {
  T xu, xv, x, yu, yv, y;

  GT_HD PixelGeometry(const T* g, int64_t height, int64_t width)  // g (2,3)
      : xu(g[0]),
        xv(g[1] * T(width) / T(height)),
        x(g[2] * T(width) - T(0.5)),
        yu(g[3] * T(height) / T(width)),
        yv(g[4]),
        y(g[5] * T(height) - T(0.5)) {}
};

/// Two neighbouring pixels along an axis, and the weight of the second.
template <class T>
struct Neighbours {
  int64_t first, second;
  T weight;
};

/// The neighbours of position s, clamped to the pixel centres 0 .. n-1. A position within 1e-4 of a centre counts as
/// the centre. A rotation by a right angle, whose sine and cosine are rounded, thus copies pixels instead of blending
/// them.
template <class T>
GT_HD inline Neighbours<T> neighbours(T s, int64_t n) {
  s = s > 0 ? s : T(0);
  s = s < T(n - 1) ? s : T(n - 1);
  const T nearest = std::nearbyint(s);
  if (std::fabs(s - nearest) < T(1e-4)) s = nearest;
  const int64_t first = int64_t(s);
  return {first, first + 1 < n ? first + 1 : first, s - T(first)};
}

/// The bilinear value of one channel between four pixels; `row` and `pixel` are the distances of rows and of pixels.
template <class T>
GT_HD inline T bilinear(const uint8_t* pixels, const Neighbours<T>& y, const Neighbours<T>& x, int64_t row,
                        int64_t pixel) {
  const uint8_t *above = pixels + y.first * row, *below = pixels + y.second * row;
  const int64_t left = x.first * pixel, right = x.second * pixel;
  const T top = T(above[left]) + x.weight * T(int(above[right]) - int(above[left]));
  const T bottom = T(below[left]) + x.weight * T(int(below[right]) - int(below[left]));
  return top + y.weight * (bottom - top);
}

/// A pixel of `out` (C) from its image (H,W,C) and colour (C,C+1). The number of channels is an integer or a
/// compile-time constant.
template <class T, class Count>
GT_HD inline void augment_pixel(const uint8_t* image, const Neighbours<T>& y, const Neighbours<T>& x, int64_t width,
                                Count channels, const T* colour, T* out) {
  T c[max_channels];
  for (int64_t k = 0; k < channels; ++k) c[k] = bilinear(image + k, y, x, width * channels, channels) / 255;
  for (int64_t k = 0; k < channels; ++k) {
    const T* m = colour + k * (channels + 1);
    T value = m[channels];
    for (int64_t j = 0; j < channels; ++j) value += m[j] * c[j];
    out[k] = value;
  }
}

/// A pixel of an augmented mask, from the mask (H,W).
template <class T>
GT_HD inline T augment_mask_pixel(const uint8_t* mask, const Neighbours<T>& y, const Neighbours<T>& x, int64_t width) {
  return bilinear(mask, y, x, width, int64_t(1)) >= T(127.5) ? T(1) : T(0);
}

/// The inverse of an affine map q = A p + t, as p = I (q - t).
template <class T>
struct Inverse {
  T xx, xy, yx, yy;  // I
  T tx, ty;

  GT_HD void move(const T* q, T* p) const {
    const T x = q[0] - tx, y = q[1] - ty;
    p[0] = xx * x + xy * y;
    p[1] = yx * x + yy * y;
  }
  GT_HD void move_gradient(const T* dp, T* dq) const {
    dq[0] = xx * dp[0] + yx * dp[1];
    dq[1] = xy * dp[0] + yy * dp[1];
  }
};

template <class T>
GT_HD inline T determinant(const T* g) {  // g (2,3)
  return g[0] * g[4] - g[1] * g[3];
}

template <class T>
GT_HD inline Inverse<T> invert(const T* g) {  // g (2,3)
  const T d = determinant(g);
  return {g[4] / d, -g[1] / d, -g[3] / d, g[0] / d, g[2], g[5]};
}

template <class T>
struct Augmentation {
  const uint8_t* images;  // (B,H,W,C)
  const T* geometry;      // (B,2,3)
  int64_t batch, height, width, channels;
};

/// N = count fixations, packed in B tracks.
struct Tracks {
  const int32_t* offsets;  // (B+1)
  int64_t batch, count;
};

// ---- CPU ------------------------------------------------------------------------------------------------------------

namespace cpu {

constexpr int64_t block_rows = 8;

/// f(b, i, y, x) for every output pixel i, of image b, which is read between rows y and columns x.
template <class T, class F>
void for_each_pixel(const Augmentation<T>& a, const F& f) {
  parallel_for(a.batch * a.height, block_rows, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t b = row / a.height;
      const PixelGeometry<T> g(a.geometry + 6 * b, a.height, a.width);
      const T v = T(row % a.height) + T(0.5);
      for (int64_t column = 0; column < a.width; ++column) {
        const T u = T(column) + T(0.5);
        f(b, row * a.width + column, neighbours(g.yu * u + g.yv * v + g.y, a.height),
          neighbours(g.xu * u + g.xv * v + g.x, a.width));
      }
    }
  });
}

/// colour (B,C,C+1); channels at most max_channels.
template <class T>
void augment_forward(const Augmentation<T>& a, const T* colour, T* out) {
  const int64_t channels = a.channels, image_size = a.height * a.width * channels;
  for_each_pixel(a, [&](int64_t b, int64_t i, const Neighbours<T>& y, const Neighbours<T>& x) {
    augment_pixel(a.images + b * image_size, y, x, a.width, channels, colour + b * channels * (channels + 1),
                  out + i * channels);
  });
}

template <class T>
void augment_masks_forward(const Augmentation<T>& a, T* out) {
  for_each_pixel(a, [&](int64_t b, int64_t i, const Neighbours<T>& y, const Neighbours<T>& x) {
    out[i] = augment_mask_pixel(a.images + b * a.height * a.width, y, x, a.width);
  });
}

/// f(i, inverse) for every fixation i, with the inverse of its geometry.
template <class T, class F>
void for_each_fixation(const Tracks& tracks, const T* geometry, const F& f) {
  for (int64_t b = 0; b < tracks.batch; ++b) {
    const Inverse<T> m = invert(geometry + 6 * b);
    for (int64_t i = tracks.offsets[b]; i < tracks.offsets[b + 1]; ++i) f(i, m);
  }
}

template <class T>
void augment_fixations_forward(const T* xy, const Tracks& tracks, const T* geometry, T* out) {
  for_each_fixation(tracks, geometry, [=](int64_t i, const Inverse<T>& m) { m.move(xy + 2 * i, out + 2 * i); });
}

template <class T>
void augment_fixations_backward(const T* dy, const Tracks& tracks, const T* geometry, T* dxy) {
  for_each_fixation(tracks, geometry,
                    [=](int64_t i, const Inverse<T>& m) { m.move_gradient(dy + 2 * i, dxy + 2 * i); });
}

}  // namespace cpu

// ---- CUDA -----------------------------------------------------------------------------------------------------------

#if GT_CUDA
constexpr int tile_width = 32, tile_height = 8, tile_pixels = tile_width * tile_height;  // of a block

/// A thread for each output pixel i, of image b: f(a, b, i, y, x), where it is read between rows y and columns x.
template <class T, class F>
__global__ void __launch_bounds__(tile_pixels) pixels_kernel(Augmentation<T> a, F f) {
  const int64_t b = blockIdx.z, column = int64_t(blockIdx.x) * tile_width + threadIdx.x;
  const int64_t row = int64_t(blockIdx.y) * tile_height + threadIdx.y;
  if (column >= a.width || row >= a.height) return;
  const PixelGeometry<T> g(a.geometry + 6 * b, a.height, a.width);
  const T u = T(column) + T(0.5), v = T(row) + T(0.5);
  f(a, b, (b * a.height + row) * a.width + column, neighbours(g.yu * u + g.yv * v + g.y, a.height),
    neighbours(g.xu * u + g.xv * v + g.x, a.width));
}

template <class T, int channels>
struct ImagePixel {
  const T* colour;
  T* out;
  __device__ void operator()(const Augmentation<T>& a, int64_t b, int64_t i, const Neighbours<T>& y,
                             const Neighbours<T>& x) const {
    augment_pixel(a.images + b * a.height * a.width * channels, y, x, a.width,
                  std::integral_constant<int64_t, channels>{}, colour + b * channels * (channels + 1),
                  out + i * channels);
  }
};

template <class T>
struct MaskPixel {
  T* out;
  __device__ void operator()(const Augmentation<T>& a, int64_t b, int64_t i, const Neighbours<T>& y,
                             const Neighbours<T>& x) const {
    out[i] = augment_mask_pixel(a.images + b * a.height * a.width, y, x, a.width);
  }
};

/// A thread for each fixation: moves it, or backward its gradient.
template <class T, bool backward>
__global__ void __launch_bounds__(256) fixations_kernel(const T* from, Tracks tracks, const T* geometry, T* to) {
  const int64_t i = int64_t(blockIdx.x) * 256 + threadIdx.x;
  if (i >= tracks.count) return;
  int64_t track = 0, end = tracks.batch;  // the last track that begins at or before i is in [track, end)
  while (end - track > 1) {
    const int64_t middle = (track + end) / 2;
    (tracks.offsets[middle] <= i ? track : end) = middle;
  }
  if (tracks.batch == 0 || i >= tracks.offsets[tracks.batch]) {
    to[2 * i] = to[2 * i + 1] = 0;
  } else if (backward) {
    invert(geometry + 6 * track).move_gradient(from + 2 * i, to + 2 * i);
  } else {
    invert(geometry + 6 * track).move(from + 2 * i, to + 2 * i);
  }
}

namespace cuda {

template <class T, class F>
void for_each_pixel(const Augmentation<T>& a, const F& f) {
  launch({{blocks_for(a.width, tile_width), blocks_for(a.height, tile_height), blocks_for(a.batch, 1)},
          {tile_width, tile_height}},
         pixels_kernel<T, F>, a, f);
}

/// colour (B,C,C+1); at most max_channels channels. There is a kernel for each number of channels.
template <class T, int channels = 1>
void augment_forward(const Augmentation<T>& a, const T* colour, T* out) {
  if (a.channels == channels) return for_each_pixel(a, ImagePixel<T, channels>{colour, out});
  if constexpr (channels < max_channels) augment_forward<T, channels + 1>(a, colour, out);
}

template <class T>
void augment_masks_forward(const Augmentation<T>& a, T* out) {
  for_each_pixel(a, MaskPixel<T>{out});
}

template <class T>
void augment_fixations_forward(const T* xy, const Tracks& tracks, const T* geometry, T* out) {
  launch({blocks_for(tracks.count, 256), 256}, fixations_kernel<T, false>, xy, tracks, geometry, out);
}

template <class T>
void augment_fixations_backward(const T* dy, const Tracks& tracks, const T* geometry, T* dxy) {
  launch({blocks_for(tracks.count, 256), 256}, fixations_kernel<T, true>, dy, tracks, geometry, dxy);
}

}  // namespace cuda
#endif

/// Throws Error if a geometry's determinant is lost in rounding. Not checked on CUDA, where that would wait for the
/// device.
template <class T>
void check_invertible(const Tensor& geometry) {
  for (int64_t b = 0; b < geometry.dim(0) && geometry.device() == Device::cpu; ++b) {
    const T* g = geometry.data<T>() + 6 * b;
    const T norm2 = g[0] * g[0] + g[1] * g[1] + g[3] * g[3] + g[4] * g[4];
    GT_CHECK(std::fabs(determinant(g)) > T(1e-6) * norm2, "augment_fixations: geometry ", b,
             " cannot be inverted, expected a determinant above rounding: ((", g[0], ",", g[1], "),(", g[3], ",", g[4],
             "))");
  }
}

void check_pixels(const char* op, const Tensor& pixels, int rank, const char* shape, const Tensor& geometry) {
  GT_CHECK(pixels.rank() == rank && pixels.dtype() == DType::u8 && pixels.size() > 0, op, ": pixels are ",
           pixels.dtype(), pixels.shape(), ", expected u8", shape, ", not empty");
  const Shape expected{pixels.dim(0), 2, 3};
  GT_CHECK(geometry.shape() == expected, op, ": geometry is ", geometry.shape(), ", expected ", expected);
  GT_CHECK(!geometry.requires_grad(), op, ": geometry requires a gradient, expected none");
}

template <class T>
Augmentation<T> augmentation(const Tensor& pixels, const Tensor& geometry) {
  const int64_t channels = pixels.rank() == 4 ? pixels.dim(3) : 1;
  return {operand<uint8_t>(pixels), operand<T>(geometry), pixels.dim(0), pixels.dim(1), pixels.dim(2), channels};
}

Tracks tracks_of(const Tensor& offsets, const Tensor& xy) {
  return {operand<int32_t>(offsets), offsets.dim(0) - 1, xy.dim(0)};
}

}  // namespace

// ---- The ops --------------------------------------------------------------------------------------------------------

Tensor augment(const Tensor& images, const Tensor& geometry, const Tensor& colour) {
  check_pixels("augment", images, 4, "(B,H,W,C)", geometry);
  const int64_t channels = images.dim(3);
  GT_CHECK(channels <= max_channels, "augment: ", channels, " channels, expected at most ", max_channels);
  const Shape expected{images.dim(0), channels, channels + 1};
  GT_CHECK(colour.shape() == expected && colour.dtype() == geometry.dtype(), "augment: colour is ", colour.dtype(),
           colour.shape(), ", expected ", geometry.dtype(), expected);
  GT_CHECK(!colour.requires_grad(), "augment: colour requires a gradient, expected none");
  Tensor out(images.shape(), geometry.dtype(), images.device());
  visit_float(geometry.dtype(), [&]<class T>() {
    GT_DISPATCH(images.device(), augment_forward, augmentation<T>(images, geometry), operand<T>(colour),
                operand<T>(out));
  });
  return out;
}

Tensor augment_masks(const Tensor& masks, const Tensor& geometry) {
  check_pixels("augment_masks", masks, 3, "(B,H,W)", geometry);
  Tensor out(masks.shape(), geometry.dtype(), masks.device());
  visit_float(geometry.dtype(), [&]<class T>() {
    GT_DISPATCH(masks.device(), augment_masks_forward, augmentation<T>(masks, geometry), operand<T>(out));
  });
  return out;
}

Tensor augment_fixations(const Tensor& xy, const Tensor& offsets, const Tensor& geometry) {
  GT_CHECK(xy.rank() == 2 && xy.dim(1) == 2, "augment_fixations: xy is ", xy.shape(), ", expected (N,2)");
  check_offsets("augment_fixations", offsets, xy.dim(0));
  const Shape expected{offsets.dim(0) - 1, 2, 3};
  GT_CHECK(geometry.shape() == expected && geometry.dtype() == xy.dtype(), "augment_fixations: geometry is ",
           geometry.dtype(), geometry.shape(), ", expected ", xy.dtype(), expected);
  GT_CHECK(!geometry.requires_grad(), "augment_fixations: geometry requires a gradient, expected none");
  Tensor out(xy.shape(), xy.dtype(), xy.device());
  visit_float(xy.dtype(), [&]<class T>() {
    check_invertible<T>(geometry);
    GT_DISPATCH(xy.device(), augment_fixations_forward, operand<T>(xy), tracks_of(offsets, xy), operand<T>(geometry),
                operand<T>(out));
  });
  return record("augment_fixations", out, {xy},
                [offsets = offsets.detach(), geometry = geometry.detach()](const Tensor& dy) -> Tensors {
                  Tensor dxy = empty_gradient(dy, true);
                  visit_float(dy.dtype(), [&]<class T>() {
                    GT_DISPATCH(dy.device(), augment_fixations_backward, operand<T>(dy), tracks_of(offsets, dy),
                                operand<T>(geometry), operand<T>(dxy));
                  });
                  return {dxy};
                });
}

}  // namespace gt
