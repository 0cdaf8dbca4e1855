// What the norms' passes on CUDA do with the elements of a pixel. The elements come from device memory (norm_cuda.cu)
// or from shared memory (norm_cuda_one_pass.cu), depending on a pass's argument `read`.
#pragma once

#include "kernels/cuda/pixel_passes.cuh"
#include "kernels/cuda/vector.cuh"
#include "kernels/norm.h"

#if GT_CUDA

namespace gt::norm {

/// The affine functions of W neighbouring channels.
template <class T, int W>
using ChannelAffines = gpu::Vector<Affine<T>, W>;

template <class S, int W>
struct XAndGradient {
  gpu::Vector<S, W> x, dy;
};

/// Adds to the sums of x and x^2.
template <int W, class T, class Read>
__device__ auto moments_pass(T (&sums)[2][W], const Read& read) {
  return gpu::PixelPass{read, [&](int64_t, int64_t, const auto& x) {
                          for (int w = 0; w < W; ++w) {
                            const T v = T(x.v[w]);
                            sums[0][w] += v;
                            sums[1][w] += v * v;
                          }
                        }};
}

/// Writes y.
template <int W, class T, class S, class Read>
__device__ auto normalise_pass(const ChannelAffines<T, W>& z, T slope, S* y, const Read& read) {
  return gpu::PixelPass{read, [=](int64_t, int64_t i, gpu::Vector<S, W> v) {
                          for (int w = 0; w < W; ++w) v.v[w] = S(activate(z.v[w](T(v.v[w])), slope));
                          gpu::store(y + i, v);
                        }};
}

/// A channel's sums that the parameters' gradients follow from: of dz, dz xhat and dx. The latter two are sums of dz x
/// and x until the group's means are known.
enum ChannelSum { of_dz, of_dz_xhat, of_dx, channel_sums };
inline constexpr int of_dz_x = of_dz_xhat, of_x = of_dx;

/// Adds to the sums of dz, dz x and x.
template <int W, class T, class Read>
__device__ auto gradient_sums_pass(T (&sums)[channel_sums][W], const ChannelAffines<T, W>& z, T slope,
                                   const Read& read) {
  return gpu::PixelPass{read, [=, &sums](int64_t, int64_t, const auto& read) {
                          for (int w = 0; w < W; ++w) {
                            const T x = T(read.x.v[w]), dz = activation_gradient(T(read.dy.v[w]), z.v[w](x), slope);
                            sums[of_dz][w] += dz;
                            sums[of_dz_x][w] += dz * x;
                            sums[of_x][w] += x;
                          }
                        }};
}

/// Writes dx; `affine` is gradient_affine().
template <int W, class T, class S, class Read>
__device__ auto input_gradient_pass(const ChannelAffines<T, W>& z, const ChannelAffines<T, W>& affine, T slope, S* dx,
                                    const Read& read) {
  return gpu::PixelPass{read, [=](int64_t, int64_t i, const XAndGradient<S, W>& read) {
                          gpu::Vector<S, W> v;
                          for (int w = 0; w < W; ++w) {
                            const T x = T(read.x.v[w]), dz = activation_gradient(T(read.dy.v[w]), z.v[w](x), slope);
                            v.v[w] = S(input_gradient(z.v[w].scale, dz, affine.v[w](x)));
                          }
                          gpu::store(dx + i, v);
                        }};
}

/// Threads that share a pixel, W channels each.
inline int lanes_of_pixel(int64_t channels, int W) {
  return gpu::next_power_of_two((channels + W - 1) / W, gpu::row_threads);
}

/// The blocks' N partial sums for each channel, (B,blocks,N,C), not initialised.
inline Tensor empty_partials(const ImageShape& shape, const gpu::PixelPartition& partition, int N) {
  return Tensor({shape.images, partition.blocks, N, shape.channels}, DType::f64, Device::cuda);
}

/// Writes the parameters' gradients: the sums over rows of channel sums (rows,channel_sums,C).
template <class S>
void reduce_parameter_gradients(const Norm& norm, int64_t rows, const Tensor& sums, const NormGradients<S>& g);

/// norm_forward() and norm_backward() in one pass. They do nothing and return false if the device cannot hold an
/// image's blocks at once.
template <class S>
bool norm_forward_in_one_pass(const NormInputs<S>& in, S* y);
template <class S>
bool norm_backward_in_one_pass(const NormInputs<S>& in, const S* dy, const NormGradients<S>& g);

}  // namespace gt::norm

#endif
