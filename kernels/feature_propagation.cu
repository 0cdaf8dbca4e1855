// Feature propagation (GazeMedSeg, METHOD 6): every pixel takes over the values of the pixels around it, by how
// alike their features are. With n over the 5 x 5 window of pixels 2 apart around p,
//
//   s_pn = F_p.F_n,   a_pn = softmax over n of max(s_pn, 0),   y_p = sum_n a_pn V_n
//
// where F and V are 0 outside the image: pixels there have s = 0 and still take part in the softmax, as in the authors'
// code (github.com/med-air/GazeMedSeg, models/multi_level.py). That propagates the features, V = F, and classifies the
// result by a 1 x 1 convolution w; sum_n a_pn F_n.w = sum_n a_pn (F.w)_n, so that propagating V = F.w is the same in a
// Cth of the values.
//
// F (B,H,W,C), V (B,H,W,K) -> y (B,H,W,K). Saved: F, V and s (B,H,W,25). Backward, with G = dL/dy and da_pn = G_p.V_n:
//
//   ds_pn = a_pn (da_pn - sum_m a_pm da_pm) [s_pn > 0]
//   dV_q = sum_m a_mq G_m           dF_q = sum_m (ds_mq + ds_qm) F_m
//
// The window is symmetric, so m runs over the window of q: both gather. a and ds are made first, 2 x 25 numbers a
// pixel. A pixel: forward reads and writes 4 (C + 2 K + 25) bytes, 50 (C + K) FLOPs; backward 4 (2 C + 4 K + 125)
// bytes, 50 C + 100 K FLOPs. What the windows share is in the caches.
//
// CUDA: one launch forward and two backward, a warp a pixel, its lanes over the channels.
#include <algorithm>
#include <vector>

#include "core/autograd.h"
#include "core/launch.cuh"
#include "core/parallel.h"
#include "kernels/math.h"
#include "kernels/op.h"
#include "kernels/ops.h"
#include "kernels/rows.cuh"

namespace gt {
namespace {

// ---- Maths ----------------------------------------------------------------------------------------------------------

constexpr int side = 5, dilation = 2, taps = side * side;

struct Pixels {
  int64_t images, height, width, channels, values;  // B, H, W, C, K

  GT_HD int64_t count() const { return images * height * width; }
};

/// a of one pixel from its s, in whose place it may be.
template <class T>
GT_HD inline void weights(const T* s, T* a) {
  T largest = 0, sum = 0;
  for (int k = 0; k < taps; ++k) largest = s[k] > largest ? s[k] : largest;
  for (int k = 0; k < taps; ++k) sum += a[k] = math::exp((s[k] > 0 ? s[k] : T(0)) - largest);
  for (int k = 0; k < taps; ++k) a[k] /= sum;
}

/// ds of one pixel from s, a and da, into da.
template <class T>
GT_HD inline void correlation_gradients(const T* s, const T* a, T* da) {
  T mean = 0;
  for (int k = 0; k < taps; ++k) mean += a[k] * da[k];
  for (int k = 0; k < taps; ++k) da[k] = s[k] > 0 ? a[k] * (da[k] - mean) : T(0);
}

// ---- CPU ------------------------------------------------------------------------------------------------------------

namespace cpu {

/// out += factor x.
template <class T>
void add_scaled(T factor, const T* x, int64_t n, T* out) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) out[i] += factor * x[i];
}

/// Calls f(k, p, n) for every pixel p of a row (counted through all images) and every tap k of it, n, that is in the
/// image.
template <class F>
void for_each_tap(const Pixels& pixels, int64_t row, const F& f) {
  for (int k = 0; k < taps; ++k) {
    const int64_t down = dilation * (k / side - side / 2), right = dilation * (k % side - side / 2);
    const int64_t y = row % pixels.height + down, shift = down * pixels.width + right;
    if (y < 0 || y >= pixels.height) continue;
    const int64_t begin = row * pixels.width + std::max<int64_t>(0, -right);
    const int64_t end = row * pixels.width + std::min(pixels.width, pixels.width - right);
    for (int64_t p = begin; p < end; ++p) f(k, p, p + shift);
  }
}

template <class T>
void propagation_forward(const Pixels& pixels, const T* features, const T* values, T* y, T* correlation) {
  const int64_t C = pixels.channels, K = pixels.values, width = pixels.width;
  parallel_for(pixels.images * pixels.height, 1, [&](int64_t row, int64_t) {
    const int64_t first = row * width;
    std::vector<T> a(static_cast<size_t>(width * taps));
    std::fill_n(correlation + first * taps, width * taps, T(0));
    std::fill_n(y + first * K, width * K, T(0));
    for_each_tap(pixels, row, [&](int k, int64_t p, int64_t n) {
      correlation[p * taps + k] = dot(features + p * C, features + n * C, C);
    });
    for (int64_t p = first; p < first + width; ++p) weights(correlation + p * taps, &a[size_t((p - first) * taps)]);
    for_each_tap(pixels, row, [&](int k, int64_t p, int64_t n) {
      add_scaled(a[size_t((p - first) * taps + k)], values + n * K, K, y + p * K);
    });
  });
}

/// a and ds, (B,H,W,25) each.
template <class T>
void propagation_weights(const Pixels& pixels, const T* values, const T* correlation, const T* dy, T* a, T* ds) {
  const int64_t K = pixels.values, width = pixels.width;
  parallel_for(pixels.images * pixels.height, 1, [&](int64_t row, int64_t) {
    std::fill_n(ds + row * width * taps, width * taps, T(0));
    for_each_tap(pixels, row,
                 [&](int k, int64_t p, int64_t n) { ds[p * taps + k] = dot(dy + p * K, values + n * K, K); });
    for (int64_t at = row * width * taps; at < (row + 1) * width * taps; at += taps) {
      weights(correlation + at, a + at);
      correlation_gradients(correlation + at, a + at, ds + at);
    }
  });
}

/// dfeatures and dvalues; either may be null.
template <class T>
void propagation_backward(const Pixels& pixels, const T* features, const T* a, const T* ds, const T* dy, T* dfeatures,
                          T* dvalues) {
  const int64_t C = pixels.channels, K = pixels.values, width = pixels.width;
  parallel_for(pixels.images * pixels.height, 1, [&](int64_t row, int64_t) {
    if (dfeatures != nullptr) {
      std::fill_n(dfeatures + row * width * C, width * C, T(0));
      for_each_tap(pixels, row, [&](int k, int64_t q, int64_t m) {
        add_scaled(ds[m * taps + taps - 1 - k] + ds[q * taps + k], features + m * C, C, dfeatures + q * C);
      });
    }
    if (dvalues != nullptr) {
      std::fill_n(dvalues + row * width * K, width * K, T(0));
      for_each_tap(pixels, row, [&](int k, int64_t q, int64_t m) {
        add_scaled(a[m * taps + taps - 1 - k], dy + m * K, K, dvalues + q * K);
      });
    }
  });
}

}  // namespace cpu

// ---- CUDA -----------------------------------------------------------------------------------------------------------

#if GT_CUDA
constexpr int propagation_threads = 128, block_pixels = propagation_threads / warp_size;

/// Tap k of pixel p; -1 outside the image. Tap taps - 1 - k of it is p.
__device__ inline int64_t neighbour(const Pixels& pixels, int64_t p, int k) {
  const int64_t height = pixels.height, width = pixels.width;
  const int64_t row = p / width % height + dilation * (k / side - side / 2);
  const int64_t column = p % width + dilation * (k % side - side / 2);
  if (row < 0 || row >= height || column < 0 || column >= width) return -1;
  return p / (height * width) * height * width + row * width + column;
}

__device__ inline int64_t pixel_of_warp() { return int64_t(blockIdx.x) * block_pixels + threadIdx.x / warp_size; }

/// dots[k] = a_p.b_n for every tap n of p, in all lanes; 0 outside the image.
template <class T>
__device__ void window_dots(const Pixels& pixels, int64_t p, const T* a, const T* b, int64_t channels, T* dots) {
  const int lane = int(threadIdx.x) % warp_size;
#pragma unroll
  for (int k = 0; k < taps; ++k) {
    const int64_t n = neighbour(pixels, p, k);
    T sum = 0;
    if (n >= 0)
      for (int64_t c = lane; c < channels; c += warp_size) sum += a[p * channels + c] * b[n * channels + c];
    dots[k] = segment_sum(sum, warp_size);
  }
}

template <class T>
__global__ void __launch_bounds__(propagation_threads)
    propagation_forward_kernel(Pixels pixels, const T* features, const T* values, T* y, T* correlation) {
  const int lane = int(threadIdx.x) % warp_size;
  const int64_t p = pixel_of_warp(), K = pixels.values;
  if (p >= pixels.count()) return;  // the whole warp
  T a[taps];                        // first s
  window_dots(pixels, p, features, features, pixels.channels, a);
#pragma unroll
  for (int k = 0; k < taps; ++k)
    if (lane == k) correlation[p * taps + k] = a[k];
  weights(a, a);
  for (int64_t c = lane; c < K; c += warp_size) {
    T sum = 0;
#pragma unroll
    for (int k = 0; k < taps; ++k)
      if (const int64_t n = neighbour(pixels, p, k); n >= 0) sum += a[k] * values[n * K + c];
    y[p * K + c] = sum;
  }
}

template <class T>
__global__ void __launch_bounds__(propagation_threads)
    propagation_weights_kernel(Pixels pixels, const T* values, const T* correlation, const T* dy, T* a, T* ds) {
  const int lane = int(threadIdx.x) % warp_size;
  const int64_t p = pixel_of_warp();
  if (p >= pixels.count()) return;
  T s[taps], weight[taps], gradient[taps];
  window_dots(pixels, p, dy, values, pixels.values, gradient);
#pragma unroll
  for (int k = 0; k < taps; ++k) s[k] = correlation[p * taps + k];
  weights(s, weight);
  correlation_gradients(s, weight, gradient);
#pragma unroll
  for (int k = 0; k < taps; ++k)
    if (lane == k) a[p * taps + k] = weight[k], ds[p * taps + k] = gradient[k];
}

template <class T>
__global__ void __launch_bounds__(propagation_threads)
    propagation_backward_kernel(Pixels pixels, const T* features, const T* a, const T* ds, const T* dy, T* dfeatures,
                                T* dvalues) {
  const int lane = int(threadIdx.x) % warp_size;
  const int64_t q = pixel_of_warp();
  if (q >= pixels.count()) return;
  const auto gather = [&](const T* from, int64_t channels, T* to, const auto& factor) {
    for (int64_t c = lane; c < channels; c += warp_size) {
      T sum = 0;
      for (int k = 0; k < taps; ++k)
        if (const int64_t m = neighbour(pixels, q, k); m >= 0)
          sum += factor(m * taps + taps - 1 - k, q * taps + k) * from[m * channels + c];
      to[q * channels + c] = sum;
    }
  };
  if (dfeatures != nullptr)
    gather(features, pixels.channels, dfeatures, [&](int64_t there, int64_t here) { return ds[there] + ds[here]; });
  if (dvalues != nullptr) gather(dy, pixels.values, dvalues, [&](int64_t there, int64_t) { return a[there]; });
}

namespace cuda {

template <class T>
void propagation_forward(const Pixels& pixels, const T* features, const T* values, T* y, T* correlation) {
  launch({blocks_for(pixels.count(), block_pixels), propagation_threads}, propagation_forward_kernel<T>, pixels,
         features, values, y, correlation);
}

template <class T>
void propagation_weights(const Pixels& pixels, const T* values, const T* correlation, const T* dy, T* a, T* ds) {
  launch({blocks_for(pixels.count(), block_pixels), propagation_threads}, propagation_weights_kernel<T>, pixels, values,
         correlation, dy, a, ds);
}

template <class T>
void propagation_backward(const Pixels& pixels, const T* features, const T* a, const T* ds, const T* dy, T* dfeatures,
                          T* dvalues) {
  launch({blocks_for(pixels.count(), block_pixels), propagation_threads}, propagation_backward_kernel<T>, pixels,
         features, a, ds, dy, dfeatures, dvalues);
}

}  // namespace cuda
#endif

}  // namespace

// ---- The op ---------------------------------------------------------------------------------------------------------

Tensor feature_propagation(const Tensor& features, const Tensor& values) {
  GT_CHECK(features.rank() == 4 && values.rank() == 4 && features.dim(0) == values.dim(0) &&
               features.dim(1) == values.dim(1) && features.dim(2) == values.dim(2) &&
               features.dtype() == values.dtype(),
           "feature_propagation: features are ", features.dtype(), " ", features.shape(), ", values ", values.dtype(),
           " ", values.shape(), ", expected (B,H,W,C) and (B,H,W,K) of one type");
  const Pixels pixels{features.dim(0), features.dim(1), features.dim(2), features.dim(3), values.dim(3)};
  const Shape window{pixels.images, pixels.height, pixels.width, taps};
  const Tensor y(values.shape(), values.dtype(), values.device());
  const Tensor correlation(window, values.dtype(), values.device());
  visit_float(values.dtype(), [&]<class T>() {
    GT_DISPATCH(values.device(), propagation_forward, pixels, features.data<T>(), values.data<T>(), y.data<T>(),
                correlation.data<T>());
  });
  return record("feature_propagation", y, {features, values},
                [=, features = features.detach(), values = values.detach(), features_need = features.requires_grad(),
                 values_need = values.requires_grad()](const Tensor& dy) -> Tensors {
                  const Tensor a(window, dy.dtype(), dy.device()), ds(window, dy.dtype(), dy.device());
                  const Tensor dfeatures = gradient_of(features, features_need);
                  const Tensor dvalues = gradient_of(values, values_need);
                  visit_float(dy.dtype(), [&]<class T>() {
                    GT_DISPATCH(dy.device(), propagation_weights, pixels, values.data<T>(), correlation.data<T>(),
                                dy.data<T>(), a.data<T>(), ds.data<T>());
                    GT_DISPATCH(dy.device(), propagation_backward, pixels, features.data<T>(), a.data<T>(),
                                ds.data<T>(), dy.data<T>(), pointer<T>(dfeatures), pointer<T>(dvalues));
                  });
                  return {dfeatures, dvalues};
                });
}

}  // namespace gt
