// The norms on CUDA. There are two ways, which give the same bits.
//
// In one pass (norm_cuda_one_pass.cu): a block holds its pixels in shared memory while it waits for the sums of its
// image's other blocks. With elements of s bytes, forward moves 2s an element in 1 launch, backward 3s in 2.
//
// In two passes (here): the way if the device cannot hold twice an image's blocks at once. Forward moves 3s an element
// in 3 launches, backward 5s in 4. The first pass sums each channel over blocks of pixels. A block for each group then
// adds these sums as one pass does, and finds the channels' affine functions. The second pass begins where the first
// ended, with what is still in the L2 cache. Besides elements, 16 or 24 bytes per channel and block of pixels are
// written and read, some hundredths of the total.
//
// A thread adds its first 32 terms at most in the compute dtype; all further sums are in double. x, y and their
// gradients may be bf16.
#include "kernels/norm_cuda.cuh"

#if GT_CUDA

namespace gt::norm {
namespace {

using namespace gpu;

/// x0 of W channels from c on, in the block of pixels that starts at `begin`.
template <int W, class S>
__device__ Vector<S, W> first_pixel(const NormInputs<S>& in, int64_t begin, int64_t c) {
  return load<W>(in.x + begin * in.norm.shape.channels + c);
}

template <class S, int W, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads, 4)
    moments_kernel(NormInputs<S> in, PixelPartition partition, double* partial) {
  store_partials<2, W, 4, T>(partition, in.norm.shape.channels, partial, [=](int64_t, int64_t c, T(&sums)[2][W]) {
    return moments_pass(sums, first_pixel<W>(in, partition.begin(), c),
                        [=](int64_t, int64_t i) { return load<W>(in.x + i); });
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

/// The sum over a group's channels and an image's blocks of pixels, in every thread. A warp adds term(b, i) over the
/// group's channels i for each block b. pairs (blocks) is workspace. All threads must call it.
template <class Pair, class Term>
__device__ Pair reduce_group(int64_t blocks, int64_t group_channels, Pair* pairs, const Term& term) {
  for (int64_t b = threadIdx.x / warp_size; b < blocks; b += row_threads / warp_size) {
    const Pair sum = warp_reduce_pairs<Pair>(group_channels, [&](int64_t i) { return term(b, i); });
    if (threadIdx.x % warp_size == 0) pairs[b] = sum;
  }
  __syncthreads();
  return warp_reduce_pairs<Pair>(blocks, [&](int64_t b) { return pairs[b]; });
}

/// A block for each group of every image: the statistics and the channels' affine functions. partial
/// (B,blocks,2,C) are the moments of x - x0, pairs (B,G,blocks) is workspace.
template <class S, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads, 1)
    statistics_kernel(NormInputs<S> in, PixelPartition partition, const double* partial, Moments* pairs) {
  const BlockOfGroup group(in.norm);
  const int64_t channels = in.norm.shape.channels, blocks = partition.blocks;
  const Moments all =
      reduce_group<Moments>(blocks, group.count, pairs + blockIdx.x * blocks, [&](int64_t b, int64_t i) {
        const double* const of_block = partial + (group.image * blocks + b) * 2 * channels + group.first + i;
        const int64_t c = group.first + i, begin = partition.begin(group.image, b);
        return moments_of(in, c, double(first_pixel<1>(in, begin, c).v[0]),
                          double(partition.end(group.image, b) - begin), {of_block[0], of_block[channels]});
      });
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

/// The sums of dz, dz (x - x0) and x - x0.
template <class S, int W, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads, 3)
    gradient_sums_kernel(NormInputs<S> in, PixelPartition partition, const S* dy, double* partial) {
  const int64_t channels = in.norm.shape.channels;
  store_partials<channel_sums, W, 2, T>(
      partition, channels, partial, [=](int64_t image, int64_t first, T(&sums)[channel_sums][W]) {
        return gradient_sums_pass(sums, first_pixel<W>(in, partition.begin(), first),
                                  load<W>(in.affines + image * channels + first), T(in.norm.slope),
                                  [=](int64_t, int64_t i) {
                                    return XAndGradient<S, W>{load<W>(in.x + i), load<W>(dy + i)};
                                  });
      });
}

/// A block for each group of every image: gradient_affine() of each channel (B,C). partial (B,blocks,channel_sums,C)
/// are the sums of gradient_sums_kernel(), which become the channel sums. pairs (B,G,blocks) is workspace.
template <class S, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads)
    group_gradients_kernel(NormInputs<S> in, PixelPartition partition, double* partial, GradientMeans* pairs,
                           Affine<T>* gradient_affines) {
  const BlockOfGroup group(in.norm);
  const int64_t channels = in.norm.shape.channels, blocks = partition.blocks;
  const auto sums = [=](int64_t b, ChannelSum which) {
    return partial + ((group.image * blocks + b) * channel_sums + which) * channels;
  };
  const GradientMeans means =
      reduce_group<GradientMeans>(blocks, group.count, pairs + blockIdx.x * blocks, [&](int64_t b, int64_t i) {
        const int64_t c = group.first + i, begin = partition.begin(group.image, b);
        return means_of(in, group.image, c, double(first_pixel<1>(in, begin, c).v[0]),
                        double(partition.end(group.image, b) - begin), sums(b, of_dz)[c], sums(b, of_dz_xhat)[c],
                        sums(b, of_dx)[c]);
      });
  for (int64_t k = threadIdx.x; k < blocks * group.count; k += row_threads) {
    const int64_t b = k / group.count, c = group.first + k % group.count;
    const Affine<double> affine = gradient_affine(in.channel(group.image, c), means);
    double& dx = sums(b, of_dx)[c];
    dx = sum_of_gradients(in.affine(group.image, c).scale, sums(b, of_dz)[c], affine, dx,
                          double(partition.end(group.image, b) - partition.begin(group.image, b)));
    if (b == 0) gradient_affines[group.image * channels + c] = {T(affine.scale), T(affine.shift)};
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

/// Workspace for two doubles for each group and block.
Tensor empty_pairs(const Norm& norm, const PixelPartition& partition) {
  return Tensor({norm.shape.images, norm.groups, partition.blocks, 2}, DType::f64, Device::cuda);
}

}  // namespace

template <class S>
void reduce_parameter_gradients(const Norm& norm, int64_t rows, const Tensor& sums, const NormGradients<S>& g) {
  const int64_t channels = norm.shape.channels, width = channel_sums * channels;
  reduce_partials(1, rows, width, width, sums.data<double>(), StoreParameterGradients<S>{g, channels});
}

namespace cuda {

template <class S>
void norm_forward(const NormInputs<S>& in, S* y) {
  const Norm& norm = in.norm;
  with_vectors<S>(norm.shape.channels, [&]<int W>() {
    const NormPlan plan = make_plan<S, ForwardArena<compute_t<S>>>(norm, W, 1);
    if (norm_forward_in_one_pass<S, W>(plan, in, y)) return;
    const PixelPartition& partition = plan.partition;
    Tensor partial = empty_partials(norm.shape, partition, 2), pairs = empty_pairs(norm, partition);
    launch({partition.grid, row_threads}, moments_kernel<S, W>, in, partition, partial.data<double>());
    launch({blocks_for(norm.shape.images * norm.groups, 1), row_threads}, statistics_kernel<S>, in, partition,
           partial.data<double>(), reinterpret_cast<Moments*>(pairs.data<double>()));
    launch({partition.grid, row_threads}, normalise_kernel<S, W>, in, partition.reversed(), y);
  });
}

template <class S>
void norm_backward(const NormInputs<S>& in, const S* dy, const NormGradients<S>& g) {
  using T = compute_t<S>;
  const Norm& norm = in.norm;
  with_vectors<S>(norm.shape.channels, [&]<int W>() {
    const NormPlan plan = make_plan<S, BackwardArena<T>>(norm, W, 2);
    if (norm_backward_in_one_pass<S, W>(plan, in, dy, g)) return;
    const PixelPartition& partition = plan.partition;
    Tensor partial = empty_partials(norm.shape, partition, channel_sums), pairs = empty_pairs(norm, partition);
    Tensor affines = empty_affines(norm.shape, dtype_of<T>(), Device::cuda);
    auto* const gradient_affines = reinterpret_cast<Affine<T>*>(affines.data<T>());
    launch({partition.grid, row_threads}, gradient_sums_kernel<S, W>, in, partition, dy, partial.data<double>());
    launch({blocks_for(norm.shape.images * norm.groups, 1), row_threads}, group_gradients_kernel<S>, in, partition,
           partial.data<double>(), reinterpret_cast<GradientMeans*>(pairs.data<double>()), gradient_affines);
    reduce_parameter_gradients(norm, partition.grid, partial, g);
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
