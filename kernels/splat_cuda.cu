// The Gaussian splat on CUDA. A block draws a tile of 32 x 32 pixels, whose profiles are 64 exponentials for 2048 FLOPs
// a fixation.
//
// splat is one launch. So is splat_normalized if the device can hold a map's tiles at once. They hold their pixels in
// registers and wait for each other's maxima at a barrier (grid_barrier.cuh). Otherwise it takes three launches, for
// the maxima of the tiles, the maxima of the maps, and the maps. It then draws the maps twice (4 n H W FLOPs) and
// writes them once. Backward takes two launches: the forms of each tile and fixation, and their sums in the order of
// the tiles. The forms take 40 bytes a fixation, 1 % of the tile's.
#include "kernels/splat.h"

#include <vector>

#include "kernels/cuda/grid_barrier.cuh"
#include "kernels/cuda/partition.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/vector.cuh"

#if GT_CUDA

namespace gt::splatting {
namespace {

using namespace gpu;

/// Adds all fixations of the tile's track to S at the thread's pixels. All threads must call it.
template <class T>
__device__ void add_fixations(const Fixations<T>& f, const MapTile<T>& tile, TilePixels<T>& sum) {
  using Rows = Vector<T, thread_rows>;
  using Four = Vector<T, 4>;
  GT_SHARED(Four, fixations, [tile_warps][warp_size]);  // for each warp: x, y and weight of up to 32 fixations
  GT_SHARED(T, gx, [warp_size][tile_size]);             // their row profiles over the tile
  GT_SHARED(Rows, gy, [warp_size][tile_warps]);         // their column profiles times their weights
  const int lane = tile.lane(), warp = int(threadIdx.x) / warp_size;
  const T* sigma = f.sigma + 2 * (tile.level * f.batch + tile.image);
  const Profile<T> profile_x(sigma[0]), profile_y(sigma[1]);
  const T px = tile.x(), py = tile.row_centre(lane);
  const int64_t end = f.offsets[tile.image + 1];
  for (int64_t begin = f.offsets[tile.image]; begin < end; begin += warp_size) {
    const int64_t own = begin + lane;
    const T w = own < end ? f.weight[tile.level * f.count + own] : T(0);
    const unsigned counted = __ballot_sync(full_mask, w != 0);  // others have been truncated away
    const int count = __popc(counted), slot = __popc(counted & ((1u << lane) - 1));
    if (w != 0) fixations[warp][slot] = {f.xy[2 * own], f.xy[2 * own + 1], w, 0};
    __syncwarp();
    for (int k = warp; k < count; k += tile_warps) {
      const Four at = fixations[warp][k];
      gx[k][lane] = profile_x(px - at.v[0]);
      gy[k][lane / thread_rows].v[lane % thread_rows] = at.v[2] * profile_y(py - at.v[1]);
    }
    __syncthreads();
    for (int k = 0; k < count; ++k) {
      const T g = gx[k][lane];
      const Rows rows = gy[k][warp];
      for (int r = 0; r < thread_rows; ++r) sum[r] += rows.v[r] * g;
    }
    __syncthreads();
  }
}

/// The maximum of the tile's pixels, in every thread. All threads must call it.
template <class T>
__device__ ArgMax<T> max_of_pixels(const MapTile<T>& tile, const TilePixels<T>& sum) {
  ArgMax<T> max = ArgMax<T>::none();
  tile.for_pixels([&](int64_t v, int64_t u, int r) {
    max = Max{}(max, ArgMax<T>{sum[r], int32_t(v * tile.width + u)});
  });
  return block_reduce<tile_threads>(max, Max{});
}

/// The maximum of a map, from the maxima of its tiles, in every thread. All threads must call it.
template <class T>
__device__ ArgMax<T> max_of_tiles(const Maxima<T>& of_tiles, int64_t first, int64_t tiles) {
  ArgMax<T> max = ArgMax<T>::none();
  for (int64_t t = first + threadIdx.x; t < first + tiles; t += tile_threads)
    max = Max{}(max, ArgMax<T>{of_tiles.value[t], of_tiles.index[t]});
  return block_reduce<tile_threads>(max, Max{});
}

template <class T>
__device__ void store_max(const Maxima<T>& maxima, int64_t i, const ArgMax<T>& max) {
  if (threadIdx.x == 0) maxima.value[i] = max.value, maxima.index[i] = max.index;
}

template <class T>
__device__ void store_normalized(const MapTile<T>& tile, TilePixels<T>& sum, T maximum) {
  for (int r = 0; r < thread_rows; ++r) sum[r] = normalized(sum[r], maximum);
  tile.store(sum);
}

/// What a launch writes: the maps, the maxima of the tiles, or the normalised maps.
enum class Draw { maps, maxima, normalized };

/// `maxima` are written for the tiles, or read for the maps.
template <Draw draw, class T>
__global__ void __launch_bounds__(tile_threads, 4)
    splat_kernel(Fixations<T> f, const __grid_constant__ MapPartition<T> maps, Maxima<T> maxima) {
  const MapTile<T> tile = maps.tile(blockIdx.x);
  TilePixels<T> sum = {};
  add_fixations(f, tile, sum);
  if constexpr (draw == Draw::maps) tile.store(sum);
  if constexpr (draw == Draw::maxima) store_max(maxima, blockIdx.x, max_of_pixels(tile, sum));
  if constexpr (draw == Draw::normalized) store_normalized(tile, sum, maxima.value[tile.level * f.batch + tile.image]);
}

/// The maximum of each map (L,B) from those of its tiles, a block a map.
template <class T>
__global__ void __launch_bounds__(tile_threads)
    map_maxima_kernel(const __grid_constant__ MapPartition<T> maps, Maxima<T> tile_maxima, Maxima<T> maxima) {
  const typename MapPartition<T>::Level& level = maps.level[int(blockIdx.x / maps.batch)];
  const int64_t first = level.first_tile + blockIdx.x % maps.batch * level.tiles;
  store_max(maxima, blockIdx.x, max_of_tiles(tile_maxima, first, level.tiles));
}

__device__ unsigned counters[GridBarrier::counter_count(max_barriers)];  // of the barriers, one for each map

/// The normalised maps and their maxima. The tiles of a map wait for each other. tile_maxima is workspace.
template <class T>
__global__ void __launch_bounds__(tile_threads, 4)
    splat_normalized_kernel(Fixations<T> f, const __grid_constant__ MapPartition<T> maps, Maxima<T> tile_maxima,
                            Maxima<T> maxima) {
  const GridBarrier barrier{counters};
  const unsigned ticket = barrier.ticket();
  const MapTile<T> tile = maps.tile(ticket);
  const int64_t map = tile.level * f.batch + tile.image;
  TilePixels<T> sum = {};
  add_fixations(f, tile, sum);
  store_max(tile_maxima, ticket, max_of_pixels(tile, sum));
  barrier.arrive_and_wait(map, unsigned(tile.tiles));
  const ArgMax<T> max = max_of_tiles(tile_maxima, ticket - tile.index, tile.tiles);
  if (tile.index == 0) store_max(maxima, map, max);
  store_normalized(tile, sum, max.value);
  barrier.leave(maps.levels * f.batch);
}

/// The forms with the tile's part of G -> partial (slots,N). A lane holds a column of G, a warp takes every fourth
/// fixation. If `weights`, fixations of weight 0 get forms, too.
template <class T>
__global__ void __launch_bounds__(tile_threads)
    forms_kernel(Fixations<T> f, const __grid_constant__ MapPartition<T> dmaps, bool weights, Forms* partial) {
  using Four = Vector<T, 4>;
  GT_SHARED(Four, moments, [tile_warps][tile_size]);  // for each warp: of its fixation's column profile
  const int lane = int(threadIdx.x) % warp_size, warp = int(threadIdx.x) / warp_size;
  const MapTile<T> tile = dmaps.tile(blockIdx.x);
  if (tile.map == nullptr) return;
  T grad[tile_size];
#pragma unroll
  for (int r = 0; r < tile_size; ++r) {
    const bool inside = tile.row + r < tile.height && tile.column + lane < tile.width;
    grad[r] = inside ? tile.map[(tile.row + r) * tile.width + tile.column + lane] : T(0);
  }
  const T* sigma = f.sigma + 2 * (tile.level * f.batch + tile.image);
  const Profile<T> profile_x(sigma[0]), profile_y(sigma[1]);
  const T px = tile.x(), py = tile.row_centre(lane);
  for (int64_t i = f.offsets[tile.image] + warp; i < f.offsets[tile.image + 1]; i += tile_warps) {
    T form[8] = {};
    if (weights || f.weight[tile.level * f.count + i] != 0) {
      const T dx = px - f.xy[2 * i], dy = py - f.xy[2 * i + 1];
      const T g0 = profile_y(dy), g1 = dy * g0, g2 = dy * g1;
      __syncwarp();  // all lanes have read those of the last fixation
      moments[warp][lane] = {g0, g1, g2, 0};
      __syncwarp();
      T c0 = 0, c1 = 0, c2 = 0;
#pragma unroll
      for (int r = 0; r < tile_size; ++r) {
        const Four g = moments[warp][r];
        c0 += g.v[0] * grad[r];
        c1 += g.v[1] * grad[r];
        c2 += g.v[2] * grad[r];
      }
      const T gx = profile_x(dx), c = c0 * gx;
      form[0] = c, form[1] = dx * c, form[2] = c1 * gx, form[3] = dx * dx * c, form[4] = c2 * gx;  // the order of Forms
    }
    const T sum = warp_reduce_scatter(form);
    double* const to = reinterpret_cast<double*>(partial + tile.slot * f.count + i);
    if (lane % 4 == 0 && lane / 4 < 5) to[lane / 4] = double(sum);
  }
}

constexpr int finish_threads = 512, finish_warps = finish_threads / warp_size;

/// The gradients for one image's fixations, from the tiles' forms, which it overwrites. One more block writes 0 for the
/// fixations after the last track.
template <class T>
__global__ void __launch_bounds__(finish_threads, 1)
    finish_kernel(Fixations<T> f, const __grid_constant__ MapPartition<T> dmaps, Maxima<T> maxima, Forms* partial,
                  T* dw, T* dxy, T* dsigma) {
  const int lane = int(threadIdx.x) % warp_size, warp = int(threadIdx.x) / warp_size;
  const int64_t image = blockIdx.x, begin = f.offsets[image], end = image < f.batch ? f.offsets[image + 1] : f.count;
  const int levels = image < f.batch ? dmaps.levels : 0;

  // The forms of tile 0 become those of the map.
  const int64_t values = 5 * (end - begin);
  for (int64_t k = threadIdx.x; k < levels * values; k += finish_threads) {
    const typename MapPartition<T>::Level& level = dmaps.level[int(k / values)];
    double* const at = reinterpret_cast<double*>(partial + level.first_slot * f.count + begin) + k % values;
    double sum = 0;
    if (level.maps != nullptr)
#pragma unroll 8
      for (int64_t t = 0; t < level.tiles; ++t) sum += at[5 * t * f.count];
    *at = sum;
  }
  __syncthreads();

  // The forms of dL/dY become those of G: a warp takes a level, a lane every 32nd fixation.
  for (int l = warp; l < levels; l += finish_warps) {
    const typename MapPartition<T>::Level& level = dmaps.level[l];
    const int64_t map = l * f.batch + image;
    const T *weight = f.weight + l * f.count, *sigma = f.sigma + 2 * map;
    Forms* forms = partial + level.first_slot * f.count;
    if (maxima.value != nullptr) {
      double sum = 0;
      for (int64_t i = begin + lane; i < end; i += warp_size) sum += double(weight[i]) * forms[i].g;
      const Normalization n = normalization(maxima, map, level.height, level.width, warp_reduce(sum));
      for (int64_t i = begin + lane; i < end; i += warp_size)
        forms[i] = through_normalization(forms[i], f.xy + 2 * i, sigma, n);
    }
    double sums[2] = {};
    for (int64_t i = begin + lane; i < end; i += warp_size) {
      const Gradients g = gradients(forms[i], double(weight[i]), sigma);
      sums[0] += g.sigma_x;
      sums[1] += g.sigma_y;
    }
    const double sum = warp_reduce_scatter(sums);
    if (dsigma != nullptr && lane % (warp_size / 2) == 0) dsigma[2 * map + lane / (warp_size / 2)] = T(sum);
  }
  __syncthreads();

  for (int64_t i = begin + threadIdx.x; i < end; i += finish_threads) {
    double x = 0, y = 0;
    for (int l = 0; l < dmaps.levels; ++l) {
      const int64_t slot = dmaps.level[l].first_slot, at = l * f.count + i;
      const Forms form = l < levels ? partial[slot * f.count + i] : Forms{};
      const Gradients g =
          l < levels ? gradients(form, double(f.weight[at]), f.sigma + 2 * (l * f.batch + image)) : Gradients{};
      if (dw != nullptr) dw[at] = T(g.w);
      x += g.x;
      y += g.y;
    }
    if (dxy != nullptr) dxy[2 * i] = T(x), dxy[2 * i + 1] = T(y);
  }
}

}  // namespace

namespace cuda {

template <class T>
void splat_forward(const Fixations<T>& f, const std::vector<MapSize>& sizes, const std::vector<T*>& maps,
                   const Maxima<T>& maxima) {
  const MapPartition<T> partition("splat", sizes, maps, f.batch);
  const Launch grid{partition.grid, tile_threads};
  if (maxima.value == nullptr) return launch(grid, splat_kernel<Draw::maps, T>, f, partition, maxima);
  Tensor value({partition.grid}, dtype_of<T>(), Device::cuda), index({partition.grid}, DType::i32, Device::cuda);
  const Maxima<T> tile_maxima{value.data<T>(), index.data<int32_t>()};
  const auto at_once = splat_normalized_kernel<T>;
  if (barriers_fit(partition.levels * f.batch, partition.max_tiles, blocks_at_once(at_once, tile_threads, 0)))
    return launch(grid, at_once, f, partition, tile_maxima, maxima);
  launch(grid, splat_kernel<Draw::maxima, T>, f, partition, tile_maxima);
  launch({blocks_for(partition.levels * f.batch, 1), tile_threads}, map_maxima_kernel<T>, partition, tile_maxima,
         maxima);
  launch(grid, splat_kernel<Draw::normalized, T>, f, partition, maxima);
}

template <class T>
void splat_backward(const Fixations<T>& f, const std::vector<MapSize>& sizes, const std::vector<T*>& dmaps,
                    const Maxima<T>& maxima, T* dw, T* dxy, T* dsigma) {
  const MapPartition<T> partition("splat", sizes, dmaps, f.batch);
  Tensor partial({partition.slots, f.count, 5}, DType::f64, Device::cuda);
  Forms* const forms = reinterpret_cast<Forms*>(partial.data<double>());
  launch({partition.grid, tile_threads}, forms_kernel<T>, f, partition, dw != nullptr, forms);
  launch({unsigned(f.batch + 1), finish_threads}, finish_kernel<T>, f, partition, maxima, forms, dw, dxy, dsigma);
}

#define GT_INSTANTIATE(T)                                                                                \
  template void splat_forward(const Fixations<T>&, const std::vector<MapSize>&, const std::vector<T*>&,  \
                              const Maxima<T>&);                                                         \
  template void splat_backward(const Fixations<T>&, const std::vector<MapSize>&, const std::vector<T*>&, \
                               const Maxima<T>&, T*, T*, T*);
GT_INSTANTIATE(float)
GT_INSTANTIATE(double)

}  // namespace cuda
}  // namespace gt::splatting

#endif
