// The norms on CUDA in one pass over device memory. A block holds its pixels of an image in shared memory, and waits at
// a barrier for the sums of the image's other blocks (grid_barrier.cuh). It then continues with the pixels it holds.
// Besides elements, forward moves 16 bytes per group and block, backward also 24 per channel and block.
#include "kernels/norm_cuda.cuh"

#if GT_CUDA

namespace gt::norm {
namespace {

using namespace gpu;

__device__ unsigned counters[GridBarrier::counter_count(max_barriers)];  // of the barriers, one for each image

// ---- What a block holds ---------------------------------------------------------------------------------------------

/// Neighbouring groups that a launch is for, in all images.
struct GroupRange {
  int64_t first, count;

  __device__ ChannelRange channels(const Norm& norm) const {
    return {norm.shape.channels, first * norm.group_channels(), count * norm.group_channels()};
  }
};

/// A block's pixels of a tensor in shared memory, (pixels, channels of the range).
template <class S, int W>
struct SharedTile {
  S* elements;
  int64_t begin;  // the first pixel
  ChannelRange channels;

  /// The W elements from the tensor's element i on, which is in pixel p.
  __device__ Vector<S, W> at(int64_t p, int64_t i) const { return load<W>(elements + index(p, i)); }

  /// The W channels from c on of the first pixel. Another thread may have fetched them.
  __device__ Vector<S, W> first_pixel(int64_t c) const { return load<W>(elements + (c - channels.first)); }

  /// Starts to copy the elements that the thread will read from the tensor.
  __device__ void fetch(const PixelPartition& partition, const S* tensor) const {
    for_channels<W, 1>(partition, channels, [&](int64_t, int64_t) {
      return PixelPass{[](int64_t, int64_t) { return 0; },
                       [&](int64_t p, int64_t i, int) { copy_to_shared<W>(elements + index(p, i), tensor + i); }};
    });
  }

 private:
  __device__ int index(int64_t p, int64_t i) const {
    return int(p - begin) * int(channels.count) + int(i - p * channels.stride - channels.first);
  }
};

// ---- Sums over an image's blocks ------------------------------------------------------------------------------------

/// Sums over each group's channels and over the image's blocks. The running block adds term(i) for channel i of the
/// range. When all of the image's blocks have arrived, some thread calls use(g, sum) for each group. partial
/// (B,blocks,G) is workspace.
template <class Pair, class Term, class Use>
__device__ void reduce_image(const GridBarrier& barrier, const PixelPartition& partition, int64_t groups,
                             int64_t group_channels, Pair* partial, const Term& term, const Use& use) {
  Pair* const of_image = partial + partition.image() * partition.blocks * groups;
  const int64_t warp = threadIdx.x / warp_size, warps = row_threads / warp_size;
  const bool first_lane = threadIdx.x % warp_size == 0;
  for (int64_t g = warp; g < groups; g += warps) {
    const Pair sum = warp_reduce_pairs<Pair>(group_channels, [&](int64_t k) { return term(g * group_channels + k); });
    if (first_lane) of_image[partition.block() * groups + g] = sum;
  }
  barrier.arrive_and_wait(partition.image(), partition.blocks);
  for (int64_t g = warp; g < groups; g += warps) {
    const Pair sum = warp_reduce_pairs<Pair>(partition.blocks, [&](int64_t b) { return of_image[b * groups + g]; });
    if (first_lane) use(g, sum);
  }
  __syncthreads();
}

// ---- Kernels --------------------------------------------------------------------------------------------------------

/// The statistics, affine functions and y of the launch's groups. partial (B,blocks,G) is workspace.
template <class S, int W, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads, 3)
    norm_kernel(NormInputs<S> in, GroupRange groups, PixelPartition all, Moments* partial, S* y) {
  GT_DYNAMIC_SHARED(char, shared);
  const Norm& norm = in.norm;
  const ChannelRange channels = groups.channels(norm);
  const GridBarrier barrier{counters};
  const PixelPartition partition = all.with_ticket(barrier.ticket());
  ForwardArena<T> arena(channels.count, groups.count, shared);
  const SharedTile<S, W> x{arena.template take<S>(partition.block_pixels * channels.count), partition.begin(),
                           channels};
  x.fetch(partition, in.x);
  const auto read = [=](int64_t p, int64_t i) { return x.at(p, i); };
  wait_for_copies();
  __syncthreads();  // every thread reads the first pixel

  block_reduce_pixels<2, W, 2, T>(
      partition, channels,
      [&](int64_t, int64_t c, T(&sums)[2][W]) { return moments_pass(sums, x.first_pixel(c), read); },
      [=](int n, int64_t i, double sum) { arena.sums[n * channels.count + i] = sum; });
  const int pixels = int(partition.end() - partition.begin());
  reduce_image(
      barrier, partition, groups.count, norm.group_channels(), partial,
      [&](int64_t i) {
        return moments_of(in, channels.first + i, double(x.elements[i]), pixels,
                          {arena.sums[i], arena.sums[channels.count + i]});
      },
      [&](int64_t g, const Moments& m) {
        arena.stats[g] = statistics(m, norm.group_size(), norm.eps);
        if (partition.block() == 0) in.stats[partition.image() * norm.groups + groups.first + g] = arena.stats[g];
      });
  for (int64_t i = threadIdx.x; i < channels.count; i += row_threads) {
    const int64_t c = channels.first + i;
    const Affine<double> z = in.affine(arena.stats[norm.group_of(i)], c);
    arena.affines[i] = {T(z.scale), T(z.shift)};
    if (partition.block() == 0) in.affines[partition.image() * channels.stride + c] = arena.affines[i];
  }
  __syncthreads();
  for_channels<W, 2>(partition, channels, [&](int64_t, int64_t c) {
    return normalise_pass(load<W>(arena.affines + c - channels.first), T(norm.slope), y, read);
  });
  barrier.leave(norm.shape.images);
}

/// dx, unless it is null, and the blocks' channel sums (B,blocks,channel_sums,C), for the launch's groups. partial
/// (B,blocks,G) is workspace.
template <class S, int W, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads, W == 1 ? 2 : 3)  // of single elements, more would spill registers
    norm_gradients_kernel(NormInputs<S> in, GroupRange groups, PixelPartition all, const S* dy, GradientMeans* partial,
                          double* block_sums, S* dx) {
  GT_DYNAMIC_SHARED(char, shared);
  const Norm& norm = in.norm;
  const ChannelRange channels = groups.channels(norm);
  const GridBarrier barrier{counters};
  const PixelPartition partition = all.with_ticket(barrier.ticket());
  BackwardArena<T> arena(channels.count, groups.count, shared);
  const int64_t tile = partition.block_pixels * channels.count;
  const SharedTile<S, W> x{arena.template take<S>(tile), partition.begin(), channels};
  const SharedTile<S, W> gradient{arena.template take<S>(tile), partition.begin(), channels};
  x.fetch(partition, in.x);
  gradient.fetch(partition, dy);
  const auto read = [=](int64_t p, int64_t i) { return XAndGradient<S, W>{x.at(p, i), gradient.at(p, i)}; };
  const int64_t image = partition.image();
  const auto affines_of_z = [=](int64_t c) { return load<W>(in.affines + image * channels.stride + c); };
  wait_for_copies();
  __syncthreads();  // every thread reads the first pixel

  block_reduce_pixels<channel_sums, W, 2, T>(
      partition, channels,
      [&](int64_t, int64_t c, T(&sums)[channel_sums][W]) {
        return gradient_sums_pass(sums, x.first_pixel(c), affines_of_z(c), T(norm.slope), read);
      },
      [=](int n, int64_t i, double sum) { arena.sums[n * channels.count + i] = sum; });
  const int pixels = int(partition.end() - partition.begin());
  const auto sums = [=](ChannelSum which) { return arena.sums + which * channels.count; };
  reduce_image(
      barrier, partition, groups.count, norm.group_channels(), partial,
      [&](int64_t i) {
        return means_of(in, image, channels.first + i, double(x.elements[i]), pixels, sums(of_dz)[i],
                        sums(of_dz_xhat)[i], sums(of_dx)[i]);
      },
      [&](int64_t g, const GradientMeans& means) { arena.means[g] = means; });
  double* const to = block_sums + (image * partition.blocks + partition.block()) * channel_sums * channels.stride;
  for (int64_t i = threadIdx.x; i < channels.count; i += row_threads) {
    const int64_t c = channels.first + i;
    const Affine<double> affine = gradient_affine(in.channel(image, c), arena.means[norm.group_of(i)]);
    const double dz = sums(of_dz)[i], x_sum = sums(of_dx)[i];
    arena.affines[i] = {T(affine.scale), T(affine.shift)};
    to[of_dz * channels.stride + c] = dz;
    to[of_dz_xhat * channels.stride + c] = sums(of_dz_xhat)[i];
    to[of_dx * channels.stride + c] = sum_of_gradients(in.affine(image, c).scale, dz, affine, x_sum, pixels);
  }
  __syncthreads();
  if (dx != nullptr)
    for_channels<W, 2>(partition, channels, [&](int64_t, int64_t c) {
      return input_gradient_pass(affines_of_z(c), load<W>(arena.affines + c - channels.first), T(norm.slope), dx, read);
    });
  barrier.leave(norm.shape.images);
}

// ---- Launches -------------------------------------------------------------------------------------------------------

/// Whether the device holds enough blocks of the kernel at once.
template <class... Parameters>
bool fits(const NormPlan& plan, const Norm& norm, void (*kernel)(Parameters...)) {
  return plan.launches > 0 &&
         barriers_fit(norm.shape.images, plan.partition.blocks, blocks_at_once(kernel, row_threads, plan.shared_bytes));
}

/// Workspace for two doubles for each group of a launch in each block.
Tensor empty_pairs(const NormPlan& plan, const Norm& norm) {
  return Tensor({norm.shape.images, plan.partition.blocks, norm.groups / plan.launches, 2}, DType::f64, Device::cuda);
}

/// launch() for each range of groups.
template <class S, class... Parameters, class... Arguments>
void launch_each(const NormPlan& plan, void (*kernel)(Parameters...), const NormInputs<S>& in,
                 const Arguments&... arguments) {
  const int64_t count = in.norm.groups / plan.launches;
  for (int64_t i = 0; i < plan.launches; ++i)
    launch({plan.partition.grid, row_threads, plan.shared_bytes}, kernel, in, GroupRange{i * count, count},
           plan.partition, arguments...);
}

}  // namespace

template <class S, int W>
bool norm_forward_in_one_pass(const NormPlan& plan, const NormInputs<S>& in, S* y) {
  const auto kernel = norm_kernel<S, W>;
  if (!fits(plan, in.norm, kernel)) return false;
  Tensor partial = empty_pairs(plan, in.norm);
  launch_each(plan, kernel, in, reinterpret_cast<Moments*>(partial.data<double>()), y);
  return true;
}

template <class S, int W>
bool norm_backward_in_one_pass(const NormPlan& plan, const NormInputs<S>& in, const S* dy, const NormGradients<S>& g) {
  const auto kernel = norm_gradients_kernel<S, W>;
  if (!fits(plan, in.norm, kernel)) return false;
  Tensor partial = empty_pairs(plan, in.norm);
  Tensor block_sums = empty_partials(in.norm.shape, plan.partition, channel_sums);
  launch_each(plan, kernel, in, dy, reinterpret_cast<GradientMeans*>(partial.data<double>()), block_sums.data<double>(),
              g.dx);
  reduce_parameter_gradients(in.norm, plan.partition.grid, block_sums, g);
  return true;
}

#define GT_INSTANTIATE_FOR(S, W)                                                                 \
  template bool norm_forward_in_one_pass<S, W>(const NormPlan&, const NormInputs<S>&, S*);       \
  template bool norm_backward_in_one_pass<S, W>(const NormPlan&, const NormInputs<S>&, const S*, \
                                                const NormGradients<S>&);
#define GT_INSTANTIATE(S)  \
  GT_INSTANTIATE_FOR(S, 1) \
  GT_INSTANTIATE_FOR(S, vector_length<S>)
GT_INSTANTIATE(float)
GT_INSTANTIATE(double)
GT_INSTANTIATE(bf16)

}  // namespace gt::norm

#endif
