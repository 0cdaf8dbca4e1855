// The 1 x 1 convolution to one channel, with which networks end, on CUDA: a dot product a pixel. It is bound by memory.
// cuDNN is designed for more channels and takes many times as long.
//   y_p = sum_c w_c x_pc + b,   dx_pc = dy_p w_c,   dw_c = sum_p dy_p x_pc
// x (P,C), w (C), y (P) and dy (P) have the activation dtype S; sums are in the compute dtype T.
#pragma once

#include "kernels/cuda/pixel_passes.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/vector.cuh"

#if GT_CUDA

namespace gt::gpu {

/// y; bias may be null. A pixel's threads, lanes of one warp, take 4 pixels at once, so that 4 loads are in flight.
template <int W, class S, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads)
    convolve_to_one_kernel(int64_t channels, PixelPartition partition, const S* x, const S* w, const T* bias, S* y) {
  constexpr int K = 4;
  const int64_t end = partition.end();
  const T b = bias == nullptr ? T(0) : *bias;
  for (int64_t first = partition.begin() + partition.row(); first - partition.row() < end;
       first += K * partition.rows()) {
    T sums[K] = {};
    for (int64_t c = partition.lane() * W; c < channels; c += partition.lanes * W) {
      const Vector<S, W> ws = load<W>(w + c);
      Vector<S, W> xs[K] = {};
#pragma unroll
      for (int k = 0; k < K; ++k)
        if (first + k * partition.rows() < end) xs[k] = load<W>(x + (first + k * partition.rows()) * channels + c);
#pragma unroll
      for (int k = 0; k < K; ++k)
        for (int i = 0; i < W; ++i) sums[k] += T(ws.v[i]) * T(xs[k].v[i]);
    }
#pragma unroll
    for (int k = 0; k < K; ++k) {
      const T sum = subwarp_reduce(sums[k], partition.lanes);
      if (partition.lane() == 0 && first + k * partition.rows() < end) y[first + k * partition.rows()] = S(sum + b);
    }
  }
}

/// dx.
template <int W, class S, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads)
    data_gradient_to_one_kernel(int64_t channels, PixelPartition partition, const S* dy, const S* w, S* dx) {
  for_channels<W, 4>(partition, channels, [=](int64_t, int64_t c) {
    const Vector<S, W> ws = load<W>(w + c);
    return PixelPass{[=](int64_t p, int64_t) { return T(dy[p]); },
                     [=](int64_t, int64_t i, T d) {
                       Vector<S, W> v;
                       for (int k = 0; k < W; ++k) v.v[k] = S(d * T(ws.v[k]));
                       store(dx + i, v);
                     }};
  });
}

template <class T, class S, int W>
struct PixelAndGradient {
  Vector<S, W> x;
  T dy;
};

/// partial (blocks,C): the sums of dw over each block's pixels.
template <int W, class S, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads) weight_gradient_to_one_kernel(int64_t channels, PixelPartition partition,
                                                                             const S* x, const S* dy, double* partial) {
  store_partials<1, W, 4, T>(partition, channels, partial, [=](int64_t, int64_t, T(&sums)[1][W]) {
    return PixelPass{[=](int64_t p, int64_t i) {
                       return PixelAndGradient<T, S, W>{load<W>(x + i), T(dy[p])};
                     },
                     [=, &sums](int64_t, int64_t, const PixelAndGradient<T, S, W>& read) {
                       for (int k = 0; k < W; ++k) sums[0][k] += read.dy * T(read.x.v[k]);
                     }};
  });
}

/// The partition of pixels whose threads take W channels each. A pixel has at most a warp.
inline PixelPartition partition_to_one(int64_t pixels, int64_t channels, int W) {
  return PixelPartition(1, pixels, next_power_of_two((channels + W - 1) / W, warp_size));
}

template <class S, class T = compute_t<S>>
void convolve_to_one(int64_t pixels, int64_t channels, const S* x, const S* w, const T* bias, S* y) {
  with_vectors<S>(channels, [&]<int W>() {
    const PixelPartition partition = partition_to_one(pixels, channels, W);
    launch({partition.grid, row_threads}, convolve_to_one_kernel<W, S>, channels, partition, x, w, bias, y);
  });
}

template <class S>
void data_gradient_to_one(int64_t pixels, int64_t channels, const S* dy, const S* w, S* dx) {
  with_vectors<S>(channels, [&]<int W>() {
    const PixelPartition partition = partition_to_one(pixels, channels, W);
    launch({partition.grid, row_threads}, data_gradient_to_one_kernel<W, S>, channels, partition, dy, w, dx);
  });
}

template <class S, class T = compute_t<S>>
void weight_gradient_to_one(int64_t pixels, int64_t channels, const S* x, const S* dy, T* dw) {
  with_vectors<S>(channels, [&]<int W>() {
    const PixelPartition partition = partition_to_one(pixels, channels, W);
    Tensor partial({partition.blocks, channels}, DType::f64, Device::cuda);
    launch({partition.grid, row_threads}, weight_gradient_to_one_kernel<W, S>, channels, partition, x, dy,
           partial.data<double>());
    reduce_partials(1, partition.blocks, channels, channels, partial.data<double>(), StoreSums<T>{dw, channels});
  });
}

}  // namespace gt::gpu

#endif
