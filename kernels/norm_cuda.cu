// The norms on CUDA. There are two ways, which differ in the order of their sums alone.
//
// In one pass (norm_cuda_one_pass.cu): a block holds its pixels in shared memory while it waits for the sums of its
// image's other blocks. With elements of s bytes, forward moves 2s an element in 1 launch, backward 3s in 2.
//
// In two passes (here): the way if the device cannot hold an image's blocks at once. Forward moves 3s an element in 3
// launches, backward 5s in 4. The first pass sums each channel over blocks of pixels. A block for each group then adds
// these sums in a fixed order and finds the channels' affine functions. The second pass begins where the first ended,
// with what is still in the L2 cache. Besides elements, 16 or 24 bytes per channel and block of pixels are written and
// read, some hundredths of the total.
//
// A thread adds its first 32 terms at most in the compute dtype; all further sums are in double. x, y and their
// gradients may be bf16.
#include "kernels/norm_cuda.cuh"

#if GT_CUDA

namespace gt::norm {
namespace {

using namespace gpu;

template <class S, int W, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads, 4)
    moments_kernel(PixelPartition partition, int64_t channels, const S* x, double* partial) {
  store_partials<2, W, 4, T>(partition, channels, partial, [=](int64_t, int64_t, T(&sums)[2][W]) {
    return moments_pass(sums, [=](int64_t, int64_t i) { return load<W>(x + i); });
  });
}

/// The image and channels of the running block in a launch of one block for each group of every image.
struct BlockOfGroup {
  int64_t image, first, count;

  __device__ explicit BlockOfGroup(const Norm& norm)
      : image(blockIdx.x / norm.groups),
        first(blockIdx.x % norm.groups * norm.group_channels()),
        count(norm.group_channels()) {}
};

/// A block for each group of every image: the statistics and the channels' affine functions. moments (B,2,C) is
/// workspace.
template <class S, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads, 1)
    statistics_kernel(NormInputs<S> in, int64_t blocks, int lanes, const double* partial, double* moments) {
  const BlockOfGroup group(in.norm);
  const int64_t channels = in.norm.shape.channels;
  double* const of_group = moments + 2 * group.image * channels + group.first;
  block_reduce_partials<2>(partial + group.image * blocks * 2 * channels, blocks, channels, group.first, group.count,
                           lanes, [=](int n, int64_t c, double sum) { of_group[n * channels + c] = sum; });
  Moments own;  // of the thread's channels
  for (int64_t c = threadIdx.x; c < group.count; c += row_threads)
    own += Moments{of_group[c], of_group[channels + c]}.with_bias(in.bias_of(group.first + c),
                                                                  double(in.norm.shape.pixels));
  const Moments all{block_reduce<row_threads>(own.sum), block_reduce<row_threads>(own.squares)};
  const Statistics stats = statistics(all, in.norm.group_size(), in.norm.eps);
  if (threadIdx.x == 0) in.stats[blockIdx.x] = stats;
  for (int64_t c = threadIdx.x; c < group.count; c += row_threads) {
    const int64_t channel = group.first + c;
    const Affine<double> z = in.affine(stats, channel);
    in.affines[group.image * channels + channel] = {T(z.scale), T(z.shift)};
  }
}

template <class S, int W, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads, 3) normalise_kernel(NormInputs<S> in, PixelPartition partition, S* y) {
  const int64_t channels = in.norm.shape.channels;
  for_channels<W, 4>(partition, channels, [=](int64_t image, int64_t first) {
    return normalise_pass(load<W>(in.affines + image * channels + first), T(in.norm.slope), y,
                          [=](int64_t, int64_t i) { return load<W>(in.x + i); });
  });
}

/// The sums of dz, dz x and x.
template <class S, int W, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads, 3)
    gradient_sums_kernel(NormInputs<S> in, PixelPartition partition, const S* dy, double* partial) {
  const int64_t channels = in.norm.shape.channels;
  store_partials<channel_sums, W, 2, T>(
      partition, channels, partial, [=](int64_t image, int64_t first, T(&sums)[channel_sums][W]) {
        return gradient_sums_pass(sums, load<W>(in.affines + image * channels + first), T(in.norm.slope),
                                  [=](int64_t, int64_t i) {
                                    return XAndGradient<S, W>{load<W>(in.x + i), load<W>(dy + i)};
                                  });
      });
}

/// A block for each group of every image: the channel sums (B,channel_sums,C), and gradient_affine() of each channel
/// (B,C).
template <class S, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads)
    group_gradients_kernel(NormInputs<S> in, int64_t blocks, int lanes, const double* partial, double* sums,
                           Affine<T>* gradient_affines) {
  const BlockOfGroup group(in.norm);
  const int64_t channels = in.norm.shape.channels;
  double* const of_group = sums + channel_sums * group.image * channels + group.first;
  block_reduce_partials<channel_sums>(partial + group.image * blocks * channel_sums * channels, blocks, channels,
                                      group.first, group.count, lanes,
                                      [=](int n, int64_t c, double sum) { of_group[n * channels + c] = sum; });
  GradientMeans means;
  for (int64_t c = threadIdx.x; c < group.count; c += row_threads) {
    double& dz_xhat = of_group[of_dz_xhat * channels + c];
    dz_xhat = sum_with_xhat(in.channel(group.image, group.first + c), of_group[of_dz_x * channels + c], of_group[c]);
    means += in.mean_terms(group.first + c, of_group[c], dz_xhat);
  }
  means = {block_reduce<row_threads>(means.dz), block_reduce<row_threads>(means.dz_xhat)};
  for (int64_t c = threadIdx.x; c < group.count; c += row_threads) {
    const int64_t channel = group.first + c;
    const Affine<double> affine = gradient_affine(in.channel(group.image, channel), means);
    double& dx = of_group[of_dx * channels + c];
    dx = sum_of_gradients(in.affine(group.image, channel).scale, of_group[c], affine, of_group[of_x * channels + c],
                          double(in.norm.shape.pixels));
    gradient_affines[group.image * channels + channel] = {T(affine.scale), T(affine.shift)};
  }
}

template <class S, int W, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads, 3)
    input_gradient_kernel(NormInputs<S> in, PixelPartition partition, const S* dy, const Affine<T>* gradient_affines,
                          S* dx) {
  const int64_t channels = in.norm.shape.channels;
  for_channels<W, 2>(partition, channels, [=](int64_t image, int64_t first) {
    return input_gradient_pass(load<W>(in.affines + image * channels + first),
                               load<W>(gradient_affines + image * channels + first), T(in.norm.slope), dx,
                               [=](int64_t, int64_t i) {
                                 return XAndGradient<S, W>{load<W>(in.x + i), load<W>(dy + i)};
                               });
  });
}

/// Where the channel sums (channel_sums,C) go.
template <class S>
struct StoreParameterGradients {
  NormGradients<S> g;
  int64_t channels;

  __device__ void operator()(int64_t, int64_t k, double sum) const {
    const int64_t which = k / channels;
    auto* const to = which == of_dz ? g.dbeta : which == of_dz_xhat ? g.dgamma : g.dbias;
    if (to != nullptr) to[k % channels] = compute_t<S>(sum);
  }
};

/// Threads that add a group's partial sums together.
int lanes_of_group(const Norm& norm) { return next_power_of_two(norm.group_channels(), row_threads); }

}  // namespace

template <class S>
void reduce_parameter_gradients(const Norm& norm, int64_t rows, const Tensor& sums, const NormGradients<S>& g) {
  const int64_t channels = norm.shape.channels, width = channel_sums * channels;
  reduce_partials(1, rows, width, width, sums.data<double>(), StoreParameterGradients<S>{g, channels});
}

namespace cuda {

template <class S>
void norm_forward(const NormInputs<S>& in, S* y) {
  if (norm_forward_in_one_pass(in, y)) return;
  const Norm& norm = in.norm;
  const ImageShape& shape = norm.shape;
  with_vectors<S>(shape.channels, [&]<int W>() {
    const PixelPartition partition(shape.images, shape.pixels, lanes_of_pixel(shape.channels, W));
    Tensor partial = empty_partials(shape, partition, 2);
    Tensor moments({shape.images, 2, shape.channels}, DType::f64, Device::cuda);
    launch({partition.grid, row_threads}, moments_kernel<S, W>, partition, shape.channels, in.x,
           partial.data<double>());
    launch({blocks_for(shape.images * norm.groups, 1), row_threads}, statistics_kernel<S>, in, partition.blocks,
           lanes_of_group(norm), partial.data<double>(), moments.data<double>());
    launch({partition.grid, row_threads}, normalise_kernel<S, W>, in, partition.reversed(), y);
  });
}

template <class S>
void norm_backward(const NormInputs<S>& in, const S* dy, const NormGradients<S>& g) {
  using T = compute_t<S>;
  if (norm_backward_in_one_pass(in, dy, g)) return;
  const Norm& norm = in.norm;
  const ImageShape& shape = norm.shape;
  with_vectors<S>(shape.channels, [&]<int W>() {
    const PixelPartition partition(shape.images, shape.pixels, lanes_of_pixel(shape.channels, W));
    Tensor partial = empty_partials(shape, partition, channel_sums);
    Tensor sums({shape.images, channel_sums, shape.channels}, DType::f64, Device::cuda);
    Tensor affines = empty_affines(shape, dtype_of<T>(), Device::cuda);
    auto* const gradient_affines = reinterpret_cast<Affine<T>*>(affines.data<T>());
    launch({partition.grid, row_threads}, gradient_sums_kernel<S, W>, in, partition, dy, partial.data<double>());
    launch({blocks_for(shape.images * norm.groups, 1), row_threads}, group_gradients_kernel<S>, in, partition.blocks,
           lanes_of_group(norm), partial.data<double>(), sums.data<double>(), gradient_affines);
    reduce_parameter_gradients(norm, shape.images, sums, g);
    if (g.dx != nullptr)
      launch({partition.grid, row_threads}, input_gradient_kernel<S, W>, in, partition.reversed(), dy, gradient_affines,
             g.dx);
  });
}

}  // namespace cuda

#define GT_INSTANTIATE(S)                                                                                 \
  template void reduce_parameter_gradients(const Norm&, int64_t, const Tensor&, const NormGradients<S>&); \
  template void cuda::norm_forward(const NormInputs<S>&, S*);                                             \
  template void cuda::norm_backward(const NormInputs<S>&, const S*, const NormGradients<S>&);
GT_INSTANTIATE(float)
GT_INSTANTIATE(double)
GT_INSTANTIATE(bf16)

}  // namespace gt::norm

#endif
