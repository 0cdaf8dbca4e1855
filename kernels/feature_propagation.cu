// Feature propagation (GazeMedSeg, METHOD 6): every pixel gets a mean of the values around it, weighted by the
// similarity of features. feature_propagation.h has the maths.
//
// The authors' code (github.com/med-air/GazeMedSeg, models/multi_level.py) propagates the features, V = F, and
// classifies the result by a 1 x 1 convolution w. Because sum_n a_pn F_n.w = sum_n a_pn (F.w)_n, propagating V = F.w
// gives this result from a C-th of the values.
//
// F (B,H,W,C), V (B,H,W,K) -> y (B,H,W,K).
//
// Saved: F, V and s, 25 numbers a pixel. Forward reads and writes 4 (C + 2 K + 25) bytes a pixel and takes 26 C + 50 K
// FLOPs, as s_pn = s_np. Backward moves 4 (2 C + 4 K + 125) bytes and takes 50 C + 100 K FLOPs. Pixels that several
// windows read are in the caches.
//
// CUDA: one launch forward and two backward. A group of eight lanes takes a pixel. The lanes divide its channels, 16
// bytes at a time, or its taps, four each. s, a and ds are (B,H,W,25).
#include "kernels/feature_propagation.h"

#include "core/autograd.h"
#include "core/launch.cuh"
#include "kernels/common/op_helpers.h"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/vector.cuh"
#include "kernels/ops.h"

namespace gt {
namespace propagation {

// ---- CUDA -----------------------------------------------------------------------------------------------------------

#if GT_CUDA
namespace {

using namespace gpu;

constexpr int propagation_threads = 128, group = 8, block_pixels = propagation_threads / group;
constexpr int padded_taps = 32, lane_taps = padded_taps / group;  // 25 in use; of a lane

/// A group's pixel p, counted through all images, and the taps around it. A lane's own taps are the lane_taps from
/// lane_taps * lane on.
struct Window {
  int64_t p;
  unsigned inside = 0;  // bit k: whether tap k is inside the image; 0 if the group has no pixel
  bool valid;           // whether the group has a pixel
  int64_t width;

  /// Blocks of a row of pixels.
  static GT_HD unsigned blocks(const Pixels& pixels) {
    return unsigned((pixels.width + block_pixels - 1) / block_pixels);
  }
  __device__ explicit Window(const Pixels& pixels) : width(pixels.width) {
    const unsigned row = blockIdx.x / blocks(pixels), y = row % unsigned(pixels.height);
    const int64_t x = int64_t(blockIdx.x % blocks(pixels)) * block_pixels + threadIdx.x / group;
    p = row * width + x;
    valid = x < width;
    for (int k = 0; k < taps; ++k) {
      const int64_t v = y + down(k), u = x + right(k);
      inside |= unsigned(valid && v >= 0 && v < pixels.height && u >= 0 && u < width) << k;
    }
  }
  static __device__ int lane() { return int(threadIdx.x) % group; }
  __device__ bool has(int k) const { return (inside >> k & 1) != 0; }
  /// The pixel at tap k. Its own tap taps - 1 - k is p.
  __device__ int64_t pixel(int k) const { return p + down(k) * width + right(k); }
  /// The elements of x (B,H,W,channels) at tap k, from those at p.
  template <class T>
  __device__ const T* at(int k, const T* at_p, int64_t channels) const {
    return at_p + down(k) * (width * channels) + right(k) * channels;  // taps share these products
  }

  /// f(j, k) for each of the lane's own taps k, its j-th.
  template <class F>
  __device__ void for_own(const F& f) const {
#pragma unroll
    for (int j = 0; j < lane_taps; ++j)
      if (const int k = lane_taps * lane() + j; valid && k < taps) f(j, k);
  }
};

/// A value for each of a lane's own taps.
template <class T>
struct LaneTaps {
  T v[lane_taps] = {};
};

/// a of a group's pixel from its s, each lane for its own taps.
template <class T>
__device__ LaneTaps<T> lane_weights(const Window& window, const LaneTaps<T>& s) {
  T largest = 0, sum = 0;
  window.for_own([&](int j, int) { largest = s.v[j] > largest ? s.v[j] : largest; });
  largest = subwarp_reduce(largest, group, Max{});
  LaneTaps<T> a;
  window.for_own([&](int j, int) { sum += a.v[j] = unscaled_weight(s.v[j], largest); });
  sum = subwarp_reduce(sum, group);
  window.for_own([&](int j, int) { a.v[j] /= sum; });
  return a;
}

/// out_c = sum over the taps k of factor_k x_c(k), for a pixel's few values.
template <class T>
__device__ void gather_values(const Window& window, const LaneTaps<T>& factor, const T* x, int64_t channels, T* out) {
  for (int64_t c = 0; c < channels; ++c) {
    T sum = 0;
    window.for_own([&](int j, int k) {
      if (window.has(k)) sum += factor.v[j] * x[window.pixel(k) * channels + c];
    });
    sum = subwarp_reduce(sum, group);
    if (window.valid && window.lane() == 0) out[window.p * channels + c] = sum;
  }
}

/// Lanes take W channels of each tap at a time; the group's 25 sums are then spread over its lanes.
template <int W, class T>
__global__ void __launch_bounds__(propagation_threads)
    propagation_forward_kernel(Pixels pixels, const T* features, const T* values, T* y, T* correlation) {
  const Window window(pixels);
  const int64_t C = pixels.channels;
  T dots[padded_taps] = {};
  for (int64_t c = window.lane() * W; c < C; c += group * W) {
    const T* const at_p = features + window.p * C + c;
    Vector<T, W> own{};
    if (window.valid) own = load<W>(at_p);
#pragma unroll
    for (int k = 0; k < taps; ++k) {
      if (!window.has(k)) continue;
      const Vector<T, W> other = load<W>(window.at(k, at_p, C));
      for (int w = 0; w < W; ++w) dots[k] += own.v[w] * other.v[w];
    }
  }
  subwarp_reduce_scatter<group, padded_taps>(dots);
  LaneTaps<T> s;
  window.for_own([&](int j, int k) { correlation[window.p * taps + k] = s.v[j] = dots[j]; });
  gather_values(window, lane_weights(window, s), values, pixels.values, y);
}

template <class T>
__global__ void __launch_bounds__(propagation_threads)
    propagation_weights_kernel(Pixels pixels, const T* values, const T* correlation, const T* dy, T* a, T* ds) {
  const Window window(pixels);
  const int64_t K = pixels.values;
  LaneTaps<T> s, da;
  window.for_own([&](int j, int k) {
    s.v[j] = correlation[window.p * taps + k];
    if (window.has(k))
      for (int64_t c = 0; c < K; ++c) da.v[j] += dy[window.p * K + c] * values[window.pixel(k) * K + c];
  });
  const LaneTaps<T> weight = lane_weights(window, s);
  T mean = 0;
  for (int j = 0; j < lane_taps; ++j) mean += weight.v[j] * da.v[j];
  mean = subwarp_reduce(mean, group);
  window.for_own([&](int j, int k) {
    a[window.p * taps + k] = weight.v[j];
    ds[window.p * taps + k] = correlation_gradient(s.v[j], weight.v[j], da.v[j], mean);
  });
}

template <int W, class T>
__global__ void __launch_bounds__(propagation_threads)
    propagation_backward_kernel(Pixels pixels, const T* features, const T* a, const T* ds, const T* dy, T* dfeatures,
                                T* dvalues) {
  const Window window(pixels);
  const int64_t C = pixels.channels;
  LaneTaps<T> to_features, to_values;
  window.for_own([&](int j, int k) {
    if (!window.has(k)) return;
    const int64_t opposite = window.pixel(k) * taps + taps - 1 - k;
    to_features.v[j] = ds[opposite] + ds[window.p * taps + k];
    to_values.v[j] = a[opposite];
  });
  if (dvalues != nullptr) gather_values(window, to_values, dy, pixels.values, dvalues);
  if (dfeatures == nullptr) return;
  for (int64_t first = 0; first < C; first += group * W) {
    const int64_t c = first + window.lane() * W;
    const T* const at_p = features + window.p * C + c;
    Vector<T, W> sum{};
#pragma unroll
    for (int k = 0; k < taps; ++k) {
      const T factor = __shfl_sync(full_mask, to_features.v[k % lane_taps], k / lane_taps, group);
      if (!window.has(k) || c >= C) continue;
      const Vector<T, W> other = load<W>(window.at(k, at_p, C));
      for (int w = 0; w < W; ++w) sum.v[w] += factor * other.v[w];
    }
    if (window.valid && c < C) store(dfeatures + window.p * C + c, sum);
  }
}

/// A group of lanes for each pixel.
Launch propagation_grid(const Pixels& pixels) {
  return {blocks_for(pixels.images * pixels.height * Window::blocks(pixels), 1), propagation_threads};
}

}  // namespace

namespace cuda {

template <class T>
void propagation_forward(const Pixels& pixels, const T* features, const T* values, T* y, T* correlation) {
  with_vectors<T>(pixels.channels, [&]<int W>() {
    launch(propagation_grid(pixels), propagation_forward_kernel<W, T>, pixels, features, values, y, correlation);
  });
}

template <class T>
void propagation_weights(const Pixels& pixels, const T* values, const T* correlation, const T* dy, T* a, T* ds) {
  launch(propagation_grid(pixels), propagation_weights_kernel<T>, pixels, values, correlation, dy, a, ds);
}

template <class T>
void propagation_backward(const Pixels& pixels, const T* features, const T* a, const T* ds, const T* dy, T* dfeatures,
                          T* dvalues) {
  with_vectors<T>(pixels.channels, [&]<int W>() {
    launch(propagation_grid(pixels), propagation_backward_kernel<W, T>, pixels, features, a, ds, dy, dfeatures,
           dvalues);
  });
}

}  // namespace cuda
#endif

}  // namespace propagation

// ---- The op ---------------------------------------------------------------------------------------------------------

Tensor feature_propagation(const Tensor& features, const Tensor& values) {
  GT_CHECK(features.rank() == 4 && values.rank() == 4 && features.dim(0) == values.dim(0) &&
               features.dim(1) == values.dim(1) && features.dim(2) == values.dim(2) &&
               features.dtype() == values.dtype(),
           "feature_propagation: features are ", features.dtype(), " ", features.shape(), ", values ", values.dtype(),
           " ", values.shape(), ", expected (B,H,W,C) and (B,H,W,K) of one dtype");
  using namespace propagation;
  const Pixels pixels{features.dim(0), features.dim(1), features.dim(2), features.dim(3), values.dim(3)};
  const Shape window{pixels.images, pixels.height, pixels.width, taps};
  Tensor y(values.shape(), values.dtype(), values.device());
  Tensor correlation(window, values.dtype(), values.device());
  visit_float(values.dtype(), [&]<class T>() {
    GT_DISPATCH(values.device(), propagation_forward, pixels, operand<T>(features), operand<T>(values), operand<T>(y),
                operand<T>(correlation));
  });
  return record("feature_propagation", y, {features, values},
                [=, features = features.detach(), values = values.detach(), features_need = features.requires_grad(),
                 values_need = values.requires_grad()](const Tensor& dy) -> Tensors {
                  Tensor a(window, dy.dtype(), dy.device()), ds(window, dy.dtype(), dy.device());
                  Tensor dfeatures = empty_gradient(features, features_need);
                  Tensor dvalues = empty_gradient(values, values_need);
                  visit_float(dy.dtype(), [&]<class T>() {
                    GT_DISPATCH(dy.device(), propagation_weights, pixels, operand<T>(values), operand<T>(correlation),
                                operand<T>(dy), operand<T>(a), operand<T>(ds));
                    GT_DISPATCH(dy.device(), propagation_backward, pixels, operand<T>(features), operand<T>(a),
                                operand<T>(ds), operand<T>(dy), operand_or_null<T>(dfeatures),
                                operand_or_null<T>(dvalues));
                  });
                  return {dfeatures, dvalues};
                });
}

}  // namespace gt
