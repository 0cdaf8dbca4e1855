// Convolution on CUDA around cuDNN, which takes weights (K,R,R,C) in the dtype of x. A kernel packs them, once for a
// forward pass and its data gradient, and another unpacks their gradient; both round on the way. With s bytes an
// element there and t here, that moves s + t bytes an element, twice in a step. 1 x 1 kernels of one dtype need
// neither. A bias that cuDNN does not add takes a pass that reads and writes y. The bias gradient reads dy.
#include "kernels/cuda/convolution.h"

#include "core/launch.cuh"
#include "kernels/cuda/convolution_to_one.cuh"
#include "kernels/cuda/partition.cuh"
#include "kernels/cuda/reduce.cuh"

#if GT_CUDA

#include <algorithm>

namespace gt::gpu {
namespace {

constexpr int block = 256;  // threads

// ---- Weights: (K,C,T) <-> (K,T,C) with T = R^2 taps -----------------------------------------------------------------

/// Threads of a block, and the most channels of a filter that it moves. Shared memory holds all taps of each.
template <int taps>
constexpr int reorder_threads = taps > 9 ? 64 : block;

/// Reads and writes contiguous runs of channels; the transposition happens in shared memory. A block's threads form
/// groups of `lanes`, and each group moves a run of `lanes` channels of one filter.
template <int taps, class From, class To, bool to_channels_last>
__global__ void __launch_bounds__(reorder_threads<taps>)
    reorder_weights_kernel(int64_t filters, int64_t channels, int lanes, const From* from, To* to) {
  GT_SHARED(From, tiles, [reorder_threads<taps> * taps]);  // for each group (C,T)
  const int lane = int(threadIdx.x) % lanes, group = int(threadIdx.x) / lanes;
  const int64_t runs = (channels + lanes - 1) / lanes,
                filter = blockIdx.x / runs * (reorder_threads<taps> / lanes) + group;
  const int64_t first = blockIdx.x % runs * lanes;
  const int count = filter >= filters ? 0 : int(channels - first < lanes ? channels - first : lanes);
  const int64_t by_channel = (filter * channels + first) * taps, by_tap = filter * taps * channels + first;
  From* const tile = tiles + group * lanes * taps;
#pragma unroll
  for (int t = 0; t < taps; ++t) {
    const int i = lane + t * lanes;
    if constexpr (to_channels_last) {
      if (i < count * taps) tile[i] = from[by_channel + i];
    } else {
      if (lane < count) tile[lane * taps + t] = from[by_tap + t * channels + lane];
    }
  }
  __syncthreads();
#pragma unroll
  for (int t = 0; t < taps; ++t) {
    const int i = lane + t * lanes;
    if constexpr (to_channels_last) {
      if (lane < count) to[by_tap + t * channels + lane] = To(tile[lane * taps + t]);
    } else {
      if (i < count * taps) to[by_channel + i] = To(tile[i]);
    }
  }
}

template <bool to_channels_last, class From, class To>
void reorder_weights(const Convolution& n, From* from, To* to) {
  const auto with_taps = [&]<int taps>() {
    constexpr int threads = reorder_threads<taps>;
    const int lanes = next_power_of_two(n.in, threads);
    const unsigned grid = blocks_for(blocks_for(n.out, threads / lanes) * int64_t(blocks_for(n.in, lanes)), 1);
    launch({grid, threads}, reorder_weights_kernel<taps, From, To, to_channels_last>, n.out, n.in, lanes, from, to);
  };
  if (n.kernel == 1) return with_taps.template operator()<1>();
  if (n.kernel == 2) return with_taps.template operator()<4>();
  if (n.kernel == 3) return with_taps.template operator()<9>();
  GT_CHECK(n.kernel == 7, "convolution: the kernel is ", n.kernel, " x ", n.kernel, ", expected 1, 2, 3 or 7");
  with_taps.template operator()<49>();
}

Tensor empty_packed_weights(const Convolution& n) {
  return Tensor({n.out, n.kernel, n.kernel, n.in}, n.dtype, Device::cuda);
}

int64_t pixels_of(const Convolution& n) { return n.images * n.out_height() * n.out_width(); }

/// Whether weights need no packing.
bool are_packed(const Convolution& n) { return n.dtype == DType::f64 || (n.kernel == 1 && n.dtype == DType::f32); }

// ---- f64: a thread for each element of the result, w (K,C,R,R) ------------------------------------------------------
// Each pass takes 2 R^2 C K FLOPs a pixel of y and reuses nothing: it is for checks at small sizes.

template <class T>
__global__ void __launch_bounds__(block)
    direct_forward_kernel(Convolution n, const T* x, const T* w, const T* bias, T* y) {
  const int64_t index = int64_t(blockIdx.x) * block + threadIdx.x, h = n.out_height(), v = n.out_width();
  if (index >= n.images * h * v * n.out) return;
  const int64_t k = index % n.out, p = index / n.out % v, r = index / n.out / v % h, b = index / n.out / v / h;
  T sum = bias == nullptr ? T(0) : bias[k];
  for (int64_t i = 0; i < n.kernel; ++i)
    for (int64_t j = 0; j < n.kernel; ++j) {
      const int64_t row = r * n.stride + i - n.padding, column = p * n.stride + j - n.padding;
      if (row < 0 || row >= n.height || column < 0 || column >= n.width) continue;
      const T* pixel = x + ((b * n.height + row) * n.width + column) * n.in;
      for (int64_t c = 0; c < n.in; ++c) sum += pixel[c] * w[((k * n.in + c) * n.kernel + i) * n.kernel + j];
    }
  y[index] = sum;
}

template <class T>
__global__ void __launch_bounds__(block) direct_data_gradient_kernel(Convolution n, const T* dy, const T* w, T* dx) {
  const int64_t index = int64_t(blockIdx.x) * block + threadIdx.x, h = n.out_height(), v = n.out_width();
  if (index >= n.images * n.height * n.width * n.in) return;
  const int64_t c = index % n.in, column = index / n.in % n.width, row = index / n.in / n.width % n.height;
  const int64_t b = index / n.in / n.width / n.height;
  T sum = 0;
  for (int64_t i = 0; i < n.kernel; ++i)
    for (int64_t j = 0; j < n.kernel; ++j) {
      const int64_t down = row + n.padding - i, right = column + n.padding - j;  // the pixel of y times the stride
      if (down < 0 || right < 0 || down % n.stride != 0 || right % n.stride != 0) continue;
      const int64_t r = down / n.stride, p = right / n.stride;
      if (r >= h || p >= v) continue;
      const T* pixel = dy + ((b * h + r) * v + p) * n.out;
      for (int64_t k = 0; k < n.out; ++k) sum += pixel[k] * w[((k * n.in + c) * n.kernel + i) * n.kernel + j];
    }
  dx[index] = sum;
}

template <class T>
__global__ void __launch_bounds__(block) direct_weight_gradient_kernel(Convolution n, const T* x, const T* dy, T* dw) {
  const int64_t index = int64_t(blockIdx.x) * block + threadIdx.x, h = n.out_height(), v = n.out_width();
  if (index >= n.out * n.in * n.kernel * n.kernel) return;
  const int64_t j = index % n.kernel, i = index / n.kernel % n.kernel, c = index / n.kernel / n.kernel % n.in;
  const int64_t k = index / n.kernel / n.kernel / n.in;
  T sum = 0;
  for (int64_t b = 0; b < n.images; ++b)
    for (int64_t r = 0; r < h; ++r)
      for (int64_t p = 0; p < v; ++p) {
        const int64_t row = r * n.stride + i - n.padding, column = p * n.stride + j - n.padding;
        if (row < 0 || row >= n.height || column < 0 || column >= n.width) continue;
        sum += x[((b * n.height + row) * n.width + column) * n.in + c] * dy[((b * h + r) * v + p) * n.out + k];
      }
  dw[index] = sum;
}

// ---- Bias -----------------------------------------------------------------------------------------------------------

/// y += bias. A thread stays in one channel, because `stride` is a multiple of the number of channels.
template <class S, class T = compute_t<S>>
__global__ void __launch_bounds__(block)
    add_bias_kernel(int64_t size, int64_t channels, int64_t stride, const T* bias, S* y) {
  const int64_t first = int64_t(blockIdx.x) * block + threadIdx.x;
  if (first >= stride) return;
  const T b = bias[first % channels];
  for (int64_t i = first; i < size; i += stride) y[i] = S(T(y[i]) + b);
}

}  // namespace

/// Throws Error for sizes with which cuDNN has not been tested.
void require_cudnn_size(const Convolution& n) {
  const int64_t x = n.images * n.height * n.width * n.in, y = pixels_of(n) * n.out;
  if (std::max(x, y) > INT32_MAX)
    fail("convolution: ", x, " elements to ", y, ", expected at most 2^31 - 1 of each; take a smaller batch");
}

// ---- The functions of convolution.h ---------------------------------------------------------------------------------

template <class S, class T>
void add_bias(int64_t pixels, int64_t channels, const T* bias, S* y) {
  constexpr int64_t threads = 1 << 18;  // about as many as the largest devices hold
  const int64_t size = pixels * channels, stride = (std::min(size, threads) + channels - 1) / channels * channels;
  launch({blocks_for(stride, block), block}, add_bias_kernel<S>, size, channels, stride, bias, y);
}

template <class S, class T>
void bias_gradient(int64_t pixels, int64_t channels, const S* dy, T* dbias) {
  reduce_pixels({1, pixels, channels}, ElementOf<S>{dy}, dbias);
}

Tensor packed_weights(const Convolution& n, const Tensor& w) {
  if (are_packed(n)) return w.detach();
  Tensor packed = empty_packed_weights(n);
  if (n.dtype == DType::bf16)
    reorder_weights<true>(n, w.data<float>(), packed.data<bf16>());
  else
    reorder_weights<true>(n, w.data<float>(), packed.data<float>());
  return packed;
}

template <class S, class T>
void convolve(const Convolution& n, const S* x, const S* w, const T* bias, S* y) {
  if constexpr (std::is_same_v<S, double>) {
    launch({blocks_for(pixels_of(n) * n.out, block), block}, direct_forward_kernel<S>, n, x, w, bias, y);
  } else if (is_to_one(n)) {
    convolve_to_one(pixels_of(n), n.in, x, w, bias, y);
  } else {
    require_cudnn_size(n);
    const bool added = cudnn::forward(n, x, w, bias, y);
    if (bias != nullptr && !added) add_bias(pixels_of(n), n.out, bias, y);
  }
}

template <class S>
void convolve_data_gradient(const Convolution& n, const S* dy, const S* w, S* dx) {
  if constexpr (std::is_same_v<S, double>) {
    launch({blocks_for(n.images * n.height * n.width * n.in, block), block}, direct_data_gradient_kernel<S>, n, dy, w,
           dx);
  } else if (is_to_one(n)) {
    data_gradient_to_one(pixels_of(n), n.in, dy, w, dx);
  } else {
    require_cudnn_size(n);
    cudnn::data_gradient(n, dy, w, dx);
  }
}

template <class S, class T>
void convolve_weight_gradient(const Convolution& n, const S* x, const S* dy, T* dw) {
  if constexpr (std::is_same_v<S, double>) {
    launch({blocks_for(n.out * n.in * n.kernel * n.kernel, block), block}, direct_weight_gradient_kernel<S>, n, x, dy,
           dw);
  } else if (is_to_one(n)) {
    weight_gradient_to_one(pixels_of(n), n.in, x, dy, dw);
  } else if (are_packed(n)) {
    cudnn::weight_gradient(n, x, dy, dw);
  } else {
    Tensor packed = empty_packed_weights(n);
    cudnn::weight_gradient(n, x, dy, packed.raw());
    reorder_weights<false>(n, packed.data<S>(), dw);
  }
}

#define GT_INSTANTIATE(S)                                                                        \
  template void convolve(const Convolution&, const S*, const S*, const compute_t<S>*, S*);       \
  template void convolve_data_gradient(const Convolution&, const S*, const S*, S*);              \
  template void convolve_weight_gradient(const Convolution&, const S*, const S*, compute_t<S>*); \
  template void add_bias(int64_t, int64_t, const compute_t<S>*, S*);                             \
  template void bias_gradient(int64_t, int64_t, const S*, compute_t<S>*);
GT_INSTANTIATE(float)
GT_INSTANTIATE(double)
GT_INSTANTIATE(bf16)

}  // namespace gt::gpu

#endif
