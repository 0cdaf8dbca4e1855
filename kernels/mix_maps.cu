// Gaze maps of where and of the way there, for all levels at once (METHOD 3.4).
//
//   M_lb = a S_lb + (1 - a) E_lb,   E_lb = exp(-(zoom_b D_lb)^2 / (2 tau_l^2))
//   dS = a dM,   dD = -(1 - a) dM E zoom^2 D / tau^2
//
// S, D and M are L maps (B,H_l,W_l). S undefined is 0; D may be infinite, where E and its gradient are 0. Saved: D,
// alive anyway. Forward reads 2 values of each pixel and writes one, backward the same the other way round; an
// exponential and 6 FLOPs each. CUDA: a launch each, 16 bytes a thread where all maps have whole vectors.
#include <algorithm>
#include <numeric>
#include <vector>

#include "core/launch.cuh"
#include "core/parallel.h"
#include "kernels/common/math.h"
#include "kernels/common/op_helpers.h"
#include "kernels/common/tracks.h"
#include "kernels/cuda/vector.cuh"
#include "kernels/ops.h"

namespace gt {
namespace {

/// A level's maps, one behind the other.
template <class T>
struct Level {
  const T *splats, *distances;  // splats may be null
  T* maps;                      // of the backward pass dM
  T *d_splats, *d_distances;    // of the backward pass; may be null
  int64_t pixels;               // of a map
  double steepness;             // 1 / (2 tau^2)
};

template <class T>
struct Mixing {
  Level<T> level[max_levels] = {};
  int levels;
  int64_t images;
  const T* zoom;  // (B)
  T share;        // of S
};

/// E falls with D^2 by this much in an image.
template <class T>
GT_HD T steepness_of(const Level<T>& level, T zoom) {
  return T(level.steepness) * zoom * zoom;
}

template <class T>
GT_HD T mixed(T share, T steepness, T splat, T distance) {
  return share * splat + (1 - share) * math::gaussian(distance, steepness);
}

template <class T>
GT_HD T distance_gradient(T share, T steepness, T dy, T distance) {
  const T e = math::gaussian(distance, steepness);
  return e > 0 ? -2 * (1 - share) * dy * e * steepness * distance : T(0);
}

// ---- CPU ------------------------------------------------------------------------------------------------------------

namespace cpu {

/// f(level, steepness, begin, end) for blocks of pixels, counted through the level's maps, of one image each.
template <class T, class F>
void for_blocks(const Mixing<T>& n, const F& f) {
  for (const Level<T>* level = n.level; level != n.level + n.levels; ++level) {
    constexpr int64_t block = 4096;
    const int64_t blocks = (level->pixels + block - 1) / block;
    parallel_for(n.images * blocks, 1, [&](int64_t k, int64_t) {
      const int64_t image = k / blocks, first = k % blocks * block;
      f(*level, steepness_of(*level, n.zoom[image]), image * level->pixels + first,
        image * level->pixels + std::min(first + block, level->pixels));
    });
  }
}

template <class T>
void mix_maps_forward(const Mixing<T>& n) {
  for_blocks(n, [share = n.share](const Level<T>& level, T steepness, int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i)
      level.maps[i] = mixed(share, steepness, level.splats == nullptr ? T(0) : level.splats[i], level.distances[i]);
  });
}

template <class T>
void mix_maps_backward(const Mixing<T>& n) {
  for_blocks(n, [share = n.share](const Level<T>& level, T steepness, int64_t begin, int64_t end) {
    if (level.d_splats != nullptr)
      for (int64_t i = begin; i < end; ++i) level.d_splats[i] = share * level.maps[i];
    if (level.d_distances != nullptr)
#pragma omp simd
      for (int64_t i = begin; i < end; ++i)
        level.d_distances[i] = distance_gradient(share, steepness, level.maps[i], level.distances[i]);
  });
}

}  // namespace cpu

// ---- CUDA -----------------------------------------------------------------------------------------------------------

#if GT_CUDA
using namespace gpu;

constexpr int block = 256;  // threads

/// Blocks over a map, N pixels a thread.
template <int N, class T>
GT_HD unsigned blocks_of(const Level<T>& level) {
  return unsigned((level.pixels + block * N - 1) / (block * N));
}

/// What a thread takes: the N pixels at i, of an image of a level. Blocks go through the levels one after the other,
/// and there through the images. Levels are found by selects, since an index that the compiler does not know would put
/// them all into local memory.
template <int N, class T>
struct Place {
  Level<T> level;
  unsigned image, first;  // its first pixel there

  __device__ explicit Place(const Mixing<T>& n) : level(n.level[0]) {
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
  const Place<N, T> place(n);
  if (!place.inside()) return;
  const Level<T>& level = place.level;
  const int64_t i = place.i();
  const T steepness = steepness_of(level, n.zoom[place.image]);
  Vector<T, N> splats{};
  if (level.splats != nullptr) splats = load<N>(level.splats + i);
  const auto distances = load<N>(level.distances + i);
  for (int k = 0; k < N; ++k) splats.v[k] = mixed(n.share, steepness, splats.v[k], distances.v[k]);
  store(level.maps + i, splats);
}

template <int N, class T>
__global__ void __launch_bounds__(block) mix_maps_backward_kernel(Mixing<T> n) {
  const Place<N, T> place(n);
  if (!place.inside()) return;
  const Level<T>& level = place.level;
  const int64_t i = place.i();
  const T steepness = steepness_of(level, n.zoom[place.image]);
  const auto dy = load<N>(level.maps + i), distances = load<N>(level.distances + i);
  Vector<T, N> d_splats, d_distances;
  for (int k = 0; k < N; ++k) {
    d_splats.v[k] = n.share * dy.v[k];
    d_distances.v[k] = distance_gradient(n.share, steepness, dy.v[k], distances.v[k]);
  }
  if (level.d_splats != nullptr) store(level.d_splats + i, d_splats);
  if (level.d_distances != nullptr) store(level.d_distances + i, d_distances);
}

/// f.operator()<N>(grid), N pixels a thread.
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

}  // namespace

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

namespace {
#endif

// ---- The op ---------------------------------------------------------------------------------------------------------

/// `maps` are the results or their gradients, of which some may be undefined, as may be what is to be filled.
template <class T>
Mixing<T> mixing(const Tensors& splats, const Tensors& distances, const Tensors& maps, const Tensors& d_splats,
                 const Tensors& d_distances, const Tensor& zoom, const std::vector<double>& tau, double share) {
  Mixing<T> n{.levels = 0, .images = zoom.size(), .zoom = operand<T>(zoom), .share = T(share)};
  for (size_t l = 0; l < distances.size(); ++l) {
    if (!maps[l].defined()) continue;
    n.level[n.levels++] = {splats.empty() ? nullptr : operand<T>(splats[l]),
                           operand<T>(distances[l]),
                           operand<T>(maps[l]),
                           d_splats.empty() ? nullptr : operand_or_null<T>(d_splats[l]),
                           d_distances.empty() ? nullptr : operand_or_null<T>(d_distances[l]),
                           distances[l].size() / zoom.size(),
                           1 / (2 * tau[l] * tau[l])};
  }
  return n;
}

}  // namespace

Tensors mix_maps(const Tensors& splats, const Tensors& distances, const Tensor& zoom, const std::vector<double>& tau,
                 double share) {
  const size_t levels = distances.size();
  GT_CHECK(levels > 0 && levels <= size_t(max_levels) && tau.size() == levels &&
               (splats.empty() || splats.size() == levels) && zoom.rank() == 1 && zoom.size() > 0,
           "mix_maps: ", splats.size(), " and ", levels, " levels, ", tau.size(), " tau and zoom ", zoom.shape(),
           ", expected as many of each, at most ", max_levels, ", and zoom (B)");
  Tensors maps;
  for (size_t l = 0; l < levels; ++l) {
    const Tensor& d = distances[l];
    GT_CHECK(d.rank() == 3 && d.dim(0) == zoom.size() && d.size() > 0 && d.dtype() == zoom.dtype() &&
                 d.device() == zoom.device() && tau[l] > 0,
             "mix_maps: distances ", d.dtype(), d.shape(), " and tau ", tau[l], " of level ", l, ", expected ",
             zoom.dtype(), " (B,H,W) with B ", zoom.size(), " and a tau above 0");
    GT_CHECK(splats.empty() ||
                 (splats[l].shape() == d.shape() && splats[l].dtype() == d.dtype() && splats[l].device() == d.device()),
             "mix_maps: maps of level ", l, " are ", splats[l].shape(), " and ", d.shape());
    maps.emplace_back(d.shape(), d.dtype(), d.device());
  }
  visit_float(zoom.dtype(), [&]<class T>() {
    GT_DISPATCH(zoom.device(), mix_maps_forward, mixing<T>(splats, distances, maps, {}, {}, zoom, tau, share));
  });
  Tensors inputs = splats;
  inputs.insert(inputs.end(), distances.begin(), distances.end());
  Tensors saved;
  std::vector<bool> needs;
  for (const Tensor& x : inputs) needs.push_back(x.requires_grad());
  for (const Tensor& d : distances) saved.push_back(d.detach());
  return record(
      "mix_maps", maps, inputs, [=, mixed_splats = splats.size(), zoom = zoom.detach()](const Tensors& dy) -> Tensors {
        Tensors all;
        for (size_t i = 0; i < needs.size(); ++i)
          all.push_back(empty_gradient(saved[i % levels], needs[i] && dy[i % levels].defined()));
        const auto middle = all.begin() + ptrdiff_t(mixed_splats);
        visit_float(zoom.dtype(), [&]<class T>() {
          GT_DISPATCH(
              zoom.device(), mix_maps_backward,
              mixing<T>({}, saved, dy, Tensors(all.begin(), middle), Tensors(middle, all.end()), zoom, tau, share));
        });
        return all;
      });
}

}  // namespace gt
