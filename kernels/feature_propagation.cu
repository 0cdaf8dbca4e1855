// Feature propagation (GazeMedSeg, section 2.3): every pixel takes over the values of the pixels around it, by how
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

#include "core/autograd.h"
#include "core/launch.cuh"
#include "core/parallel.h"
#include "kernels/math.h"
#include "kernels/op.h"
#include "kernels/ops.h"
#include "kernels/reduce.cuh"

namespace gt {
namespace {

// ---- Maths ----------------------------------------------------------------------------------------------------------

constexpr int side = 5, dilation = 2, taps = side * side;

struct Pixels {
  int64_t images, height, width, channels, values;  // B, H, W, C, K

  GT_HD int64_t count() const { return images * height * width; }

  /// Tap k of pixel p; -1 outside the image. Tap taps - 1 - k of it is p.
  GT_HD int64_t neighbour(int64_t p, int k) const {
    const int64_t row = p / width % height + dilation * (k / side - side / 2);
    const int64_t column = p % width + dilation * (k % side - side / 2);
    if (row < 0 || row >= height || column < 0 || column >= width) return -1;
    return p / (height * width) * height * width + row * width + column;
  }
};

/// a of one pixel from its s.
template <class T>
GT_HD inline void weights(const T* s, T* a) {
  T largest = 0, sum = 0;
  for (int k = 0; k < taps; ++k) largest = s[k] > largest ? s[k] : largest;
  for (int k = 0; k < taps; ++k) sum += a[k] = math::exp_nonpositive((s[k] > 0 ? s[k] : T(0)) - largest);
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

constexpr int64_t block = 64;  // pixels

template <class T>
T dot(const T* a, const T* b, int64_t n) {
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

/// out += factor x.
template <class T>
void add_scaled(T factor, const T* x, int64_t n, T* out) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) out[i] += factor * x[i];
}

template <class T>
void propagation_forward(const Pixels& pixels, const T* features, const T* values, T* y, T* correlation) {
  const int64_t C = pixels.channels, K = pixels.values;
  parallel_for(pixels.count(), block, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      T *s = correlation + p * taps, *out = y + p * K, a[taps];
      for (int k = 0; k < taps; ++k) {
        const int64_t n = pixels.neighbour(p, k);
        s[k] = n < 0 ? T(0) : dot(features + p * C, features + n * C, C);
      }
      weights(s, a);
      std::fill_n(out, K, T(0));
      for (int k = 0; k < taps; ++k)
        if (const int64_t n = pixels.neighbour(p, k); n >= 0) add_scaled(a[k], values + n * K, K, out);
    }
  });
}

/// a and ds, (B,H,W,25) each.
template <class T>
void propagation_weights(const Pixels& pixels, const T* values, const T* correlation, const T* dy, T* a, T* ds) {
  const int64_t K = pixels.values;
  parallel_for(pixels.count(), block, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      for (int k = 0; k < taps; ++k) {
        const int64_t n = pixels.neighbour(p, k);
        ds[p * taps + k] = n < 0 ? T(0) : dot(dy + p * K, values + n * K, K);
      }
      weights(correlation + p * taps, a + p * taps);
      correlation_gradients(correlation + p * taps, a + p * taps, ds + p * taps);
    }
  });
}

/// dfeatures and dvalues; either may be null.
template <class T>
void propagation_backward(const Pixels& pixels, const T* features, const T* a, const T* ds, const T* dy, T* dfeatures,
                          T* dvalues) {
  const int64_t C = pixels.channels, K = pixels.values;
  parallel_for(pixels.count(), block, [&](int64_t begin, int64_t end) {
    if (dfeatures != nullptr) std::fill(dfeatures + begin * C, dfeatures + end * C, T(0));
    if (dvalues != nullptr) std::fill(dvalues + begin * K, dvalues + end * K, T(0));
    for (int64_t q = begin; q < end; ++q)
      for (int k = 0; k < taps; ++k) {
        const int64_t m = pixels.neighbour(q, k), there = m * taps + taps - 1 - k, here = q * taps + k;
        if (m < 0) continue;
        if (dfeatures != nullptr) add_scaled(ds[there] + ds[here], features + m * C, C, dfeatures + q * C);
        if (dvalues != nullptr) add_scaled(a[there], dy + m * K, K, dvalues + q * K);
      }
  });
}

}  // namespace cpu

// ---- CUDA -----------------------------------------------------------------------------------------------------------

#if GT_CUDA
constexpr int propagation_threads = 128, block_pixels = propagation_threads / warp_size;

__device__ inline int64_t pixel_of_warp() { return int64_t(blockIdx.x) * block_pixels + threadIdx.x / warp_size; }

/// dots[k] = a_p.b_n for every tap n of p, in all lanes; 0 outside the image.
template <class T>
__device__ void window_dots(const Pixels& pixels, int64_t p, const T* a, const T* b, int64_t channels, T* dots) {
  const int lane = int(threadIdx.x) % warp_size;
#pragma unroll
  for (int k = 0; k < taps; ++k) {
    const int64_t n = pixels.neighbour(p, k);
    T sum = 0;
    if (n >= 0)
      for (int64_t c = lane; c < channels; c += warp_size) sum += a[p * channels + c] * b[n * channels + c];
    dots[k] = cuda::warp_sum(sum);
  }
}

template <class T>
__global__ void __launch_bounds__(propagation_threads)
    propagation_forward_kernel(Pixels pixels, const T* features, const T* values, T* y, T* correlation) {
  const int lane = int(threadIdx.x) % warp_size;
  const int64_t p = pixel_of_warp(), K = pixels.values;
  if (p >= pixels.count()) return;  // the whole warp
  T s[taps], a[taps];
  window_dots(pixels, p, features, features, pixels.channels, s);
  weights(s, a);
#pragma unroll
  for (int k = 0; k < taps; ++k)
    if (lane == k) correlation[p * taps + k] = s[k];
  for (int64_t c = lane; c < K; c += warp_size) {
    T sum = 0;
#pragma unroll
    for (int k = 0; k < taps; ++k)
      if (const int64_t n = pixels.neighbour(p, k); n >= 0) sum += a[k] * values[n * K + c];
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
        if (const int64_t m = pixels.neighbour(q, k); m >= 0)
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
