// Track maps of all levels (METHOD 3.4): a weighted mean of splats and of a Gaussian of the distance to the track.
//
//   M_lb = a S_lb + (1 - a) E_lb,   E_lb = exp(-D_lb^2 / (2 tau_lb^2))
//   dS = a dM,   dD = -(1 - a) dM E D / tau^2
//
// S, D and M are L maps (B,H_l,W_l), tau is (L,B). S may be absent, and is then taken as 0. D may be infinite; E and
// its gradient are 0 there.
//
// Saved: D, which is alive anyway. For each pixel, forward reads 2 values and writes 1, and backward reads 2 and
// writes 2. Either takes an exponential and 6 FLOPs.
//
// CUDA: one launch each way; 16 bytes a thread if all maps are whole vectors.
#include <algorithm>
#include <numeric>

#include "core/dry_run.h"
#include "core/launch.cuh"
#include "core/parallel.h"
#include "kernels/common/math.h"
#include "kernels/common/op_helpers.h"
#include "kernels/common/tracks.h"
#include "kernels/cuda/vector.cuh"
#include "kernels/ops.h"

namespace gt {
namespace {

/// The maps of a level, image after image.
template <class T>
struct Level {
  const T *splats, *distances;  // splats may be null
  T* maps;                      // M; in backward dM
  T *d_splats, *d_distances;    // in backward; may be null
  int64_t pixels;               // of a map
  const T* tau;                 // (B)
};

template <class T>
struct Mixing {
  Level<T> level[max_levels] = {};
  int levels;
  int64_t images;
  T splat_weight;
};

/// The steepness 1 / (2 tau^2) of E as a Gaussian of D.
template <class T>
GT_HD T steepness_of(T tau) {
  return 1 / (2 * tau * tau);
}

template <class T>
GT_HD T mixed(T splat_weight, T steepness, T splat, T distance) {
  return splat_weight * splat + (1 - splat_weight) * math::gaussian(distance, steepness);
}

template <class T>
GT_HD T distance_gradient(T splat_weight, T steepness, T dy, T distance) {
  const T e = math::gaussian(distance, steepness);
  return e > 0 ? -2 * (1 - splat_weight) * dy * e * steepness * distance : T(0);
}

// ---- CPU ------------------------------------------------------------------------------------------------------------

namespace cpu {

/// Calls f(level, steepness, begin, end) for blocks of pixels of one image. begin and end count from the first pixel of
/// the level's first map.
template <class T, class F>
void for_blocks(const Mixing<T>& n, const F& f) {
  for (const Level<T>* level = n.level; level != n.level + n.levels; ++level) {
    constexpr int64_t block = 4096;
    const int64_t blocks = (level->pixels + block - 1) / block;
    parallel_for(n.images * blocks, 1, [&](int64_t k, int64_t) {
      const int64_t image = k / blocks, first = k % blocks * block;
      f(*level, steepness_of(level->tau[image]), image * level->pixels + first,
        image * level->pixels + std::min(first + block, level->pixels));
    });
  }
}

template <class T>
void mix_maps_forward(const Mixing<T>& n) {
  for_blocks(n, [splat_weight = n.splat_weight](const Level<T>& level, T steepness, int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i)
      level.maps[i] =
          mixed(splat_weight, steepness, level.splats == nullptr ? T(0) : level.splats[i], level.distances[i]);
  });
}

template <class T>
void mix_maps_backward(const Mixing<T>& n) {
  for_blocks(n, [splat_weight = n.splat_weight](const Level<T>& level, T steepness, int64_t begin, int64_t end) {
    if (level.d_splats != nullptr)
      for (int64_t i = begin; i < end; ++i) level.d_splats[i] = splat_weight * level.maps[i];
    if (level.d_distances != nullptr)
#pragma omp simd
      for (int64_t i = begin; i < end; ++i)
        level.d_distances[i] = distance_gradient(splat_weight, steepness, level.maps[i], level.distances[i]);
  });
}

}  // namespace cpu

// ---- CUDA -----------------------------------------------------------------------------------------------------------

#if GT_CUDA
using namespace gpu;

constexpr int block = 256;  // threads

/// The number of thread blocks for a map, if a thread takes N pixels.
template <int N, class T>
GT_HD unsigned blocks_of(const Level<T>& level) {
  return unsigned((level.pixels + block * N - 1) / (block * N));
}

/// The N pixels of the running thread, all in one image of one level. Blocks go through the levels, and in each level
/// through the images. Levels are selected without indexing: an index known only at run time would put all levels into
/// local memory.
template <int N, class T>
struct ThreadPixels {
  Level<T> level;
  unsigned image, first;  // the first pixel in the image

  __device__ explicit ThreadPixels(const Mixing<T>& n) : level(n.level[0]) {
    unsigned index = blockIdx.x;
#pragma unroll
    for (int l = 0; l + 1 < max_levels; ++l) {
      const unsigned blocks = unsigned(n.images) * blocks_of<N>(n.level[l]);
      if (l + 1 >= n.levels || index < blocks) break;
      index -= blocks;
      level = n.level[l + 1];
    }
    image = index / blocks_of<N>(level);
    first = (index % blocks_of<N>(level) * block + threadIdx.x) * N;
  }
  __device__ bool inside() const { return first < level.pixels; }
  __device__ int64_t i() const { return image * level.pixels + first; }
};

template <int N, class T>
__global__ void __launch_bounds__(block) mix_maps_forward_kernel(Mixing<T> n) {
  const ThreadPixels<N, T> pixels(n);
  if (!pixels.inside()) return;
  const Level<T>& level = pixels.level;
  const int64_t i = pixels.i();
  const T steepness = steepness_of(level.tau[pixels.image]);
  Vector<T, N> splats{};
  if (level.splats != nullptr) splats = load<N>(level.splats + i);
  const auto distances = load<N>(level.distances + i);
  for (int k = 0; k < N; ++k) splats.v[k] = mixed(n.splat_weight, steepness, splats.v[k], distances.v[k]);
  store(level.maps + i, splats);
}

template <int N, class T>
__global__ void __launch_bounds__(block) mix_maps_backward_kernel(Mixing<T> n) {
  const ThreadPixels<N, T> pixels(n);
  if (!pixels.inside()) return;
  const Level<T>& level = pixels.level;
  const int64_t i = pixels.i();
  const T steepness = steepness_of(level.tau[pixels.image]);
  const auto dy = load<N>(level.maps + i), distances = load<N>(level.distances + i);
  Vector<T, N> d_splats, d_distances;
  for (int k = 0; k < N; ++k) {
    d_splats.v[k] = n.splat_weight * dy.v[k];
    d_distances.v[k] = distance_gradient(n.splat_weight, steepness, dy.v[k], distances.v[k]);
  }
  if (level.d_splats != nullptr) store(level.d_splats + i, d_splats);
  if (level.d_distances != nullptr) store(level.d_distances + i, d_distances);
}

/// Calls f.operator()<N>(grid), where N is the number of pixels that a thread takes.
template <class T, class F>
void with_grid(const Mixing<T>& n, const F& f) {
  int64_t common = 0;
  for (int l = 0; l < n.levels; ++l) common = std::gcd(common, n.level[l].pixels);
  with_vectors<T>(common, [&]<int N>() {
    int64_t blocks = 0;
    for (int l = 0; l < n.levels; ++l) blocks += n.images * blocks_of<N>(n.level[l]);
    f.template operator()<N>(blocks_for(blocks, 1));
  });
}

namespace cuda {

template <class T>
void mix_maps_forward(const Mixing<T>& n) {
  with_grid(n, [&]<int N>(unsigned grid) { launch({grid, block}, mix_maps_forward_kernel<N, T>, n); });
}

template <class T>
void mix_maps_backward(const Mixing<T>& n) {
  with_grid(n, [&]<int N>(unsigned grid) { launch({grid, block}, mix_maps_backward_kernel<N, T>, n); });
}

}  // namespace cuda
#endif

// ---- The op ---------------------------------------------------------------------------------------------------------

/// `maps` are M or dM. A level whose map is undefined is left out, and undefined gradients are not written.
template <class T>
Mixing<T> mixing(const Tensors& splats, const Tensors& distances, const Tensors& maps, const Tensors& d_splats,
                 const Tensors& d_distances, const Tensor& tau, double splat_weight) {
  Mixing<T> n{.levels = 0, .images = tau.dim(1), .splat_weight = T(splat_weight)};
  const T* const taus = operand<T>(tau);
  for (size_t l = 0; l < distances.size(); ++l) {
    if (!maps[l].defined()) continue;
    n.level[n.levels++] = {splats.empty() ? nullptr : operand<T>(splats[l]),
                           operand<T>(distances[l]),
                           operand<T>(maps[l]),
                           d_splats.empty() ? nullptr : operand_or_null<T>(d_splats[l]),
                           d_distances.empty() ? nullptr : operand_or_null<T>(d_distances[l]),
                           distances[l].size() / n.images,
                           taus + int64_t(l) * n.images};
  }
  return n;
}

/// Throws Error if a tau on the CPU is not above 0. On CUDA this check would wait for the device.
void check_positive(const Tensor& tau) {
  if (tau.device() != Device::cpu || dry_run()) return;
  visit_float(tau.dtype(), [&]<class T>() {
    const T* const values = tau.data<T>();
    for (int64_t i = 0; i < tau.size(); ++i)
      GT_CHECK(values[i] > 0, "mix_maps: tau ", values[i], " of level ", i / tau.dim(1), ", track ", i % tau.dim(1),
               ", expected a tau above 0");
  });
}

}  // namespace

Tensors mix_maps(const Tensors& splats, const Tensors& distances, const Tensor& tau, double splat_weight) {
  const size_t levels = distances.size();
  GT_CHECK(levels > 0 && levels <= size_t(max_levels) && (splats.empty() || splats.size() == levels) &&
               tau.rank() == 2 && tau.dim(0) == int64_t(levels) && tau.size() > 0,
           "mix_maps: ", splats.size(), " splats, ", levels, " distances and tau ", tau.shape(),
           ", expected L of each, at most ", max_levels, ", and tau (L,B)");
  check_positive(tau);
  Tensors maps;
  for (size_t l = 0; l < levels; ++l) {
    const Tensor& d = distances[l];
    GT_CHECK(d.rank() == 3 && d.dim(0) == tau.dim(1) && d.size() > 0 && d.dtype() == tau.dtype() &&
                 d.device() == tau.device(),
             "mix_maps: distances ", d.dtype(), d.shape(), " of level ", l, ", expected ", tau.dtype(),
             " (B,H,W) with B ", tau.dim(1), " on the device of tau");
    GT_CHECK(splats.empty() ||
                 (splats[l].shape() == d.shape() && splats[l].dtype() == d.dtype() && splats[l].device() == d.device()),
             "mix_maps: splats of level ", l, " are ", splats[l].dtype(), splats[l].shape(), ", distances ", d.dtype(),
             d.shape(), ", expected one shape, dtype and device");
    maps.emplace_back(d.shape(), d.dtype(), d.device());
  }
  visit_float(tau.dtype(), [&]<class T>() {
    GT_DISPATCH(tau.device(), mix_maps_forward, mixing<T>(splats, distances, maps, {}, {}, tau, splat_weight));
  });
  Tensors inputs = splats;
  inputs.insert(inputs.end(), distances.begin(), distances.end());
  Tensors saved;
  std::vector<bool> needs;
  for (const Tensor& x : inputs) needs.push_back(x.requires_grad());
  for (const Tensor& d : distances) saved.push_back(d.detach());
  return record(
      "mix_maps", maps, inputs, [=, mixed_splats = splats.size(), tau = tau.detach()](const Tensors& dy) -> Tensors {
        Tensors all;
        for (size_t i = 0; i < needs.size(); ++i)
          all.push_back(empty_gradient(saved[i % levels], needs[i] && dy[i % levels].defined()));
        const auto middle = all.begin() + ptrdiff_t(mixed_splats);
        visit_float(tau.dtype(), [&]<class T>() {
          GT_DISPATCH(
              tau.device(), mix_maps_backward,
              mixing<T>({}, saved, dy, Tensors(all.begin(), middle), Tensors(middle, all.end()), tau, splat_weight));
        });
        return all;
      });
}

}  // namespace gt
