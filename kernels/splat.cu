// Gaussian splat of fixations into maps, and the same divided by each map's maximum.
//
//   S_lb(p) = sum_i w_li exp(-(p_x - x_i)^2 / (2 s_lbx^2)) exp(-(p_y - y_i)^2 / (2 s_lby^2)), i in track b
//
// xy (N,2), weight (L,N), sigma (L,B,2), offsets (B+1) -> L maps (B,H_l,W_l). The Gaussian is separable: a fixation is
// a row gx (W) and a column gy (H), and S = sum_i w_i gy_i gx_i^T.
//
// Backward, with G = dL/dS and the moments g, d g, d^2 g of the distance d = p - x along each axis: every gradient is a
// bilinear form (column moment)^T G (row moment):
//   dw  = gy.G.gx                    dx  = w / s_x^2  gy.G.(d gx)     ds_x = w / s_x^3  gy.G.(d^2 gx)
//                                    dy  = w / s_y^2  (d gy).G.gx     ds_y = w / s_y^3  (d^2 gy).G.gx
// so the columns are summed first, once for each of the three moments, and five dot products finish a block of rows.
// On the CPU both are products of small matrices: S = gy^T (w gx) over the fixations, and moments^T G over the rows.
//
// Normalised, Y = S / m with m = max S: G = (dL/dY - [p is the first maximum] sum_p dL/dY Y) / m. The forms are linear
// in G, and sum_p dL/dY Y = sum_i w_i (gy_i.dL/dY.gx_i) / m: the forms of dL/dY are all that is needed, and neither Y
// nor G.
//
// Saved: xy, weight, sigma, offsets, and m with its place; the profiles are computed again, (H+W) N exponentials being
// little beside the sums. Per image of n fixations and level: forward writes 4 H W bytes and takes 2 n H W FLOPs,
// backward reads 4 H W bytes and takes 6 n H W FLOPs.
//
// CUDA: a block draws a tile of 32 x 32 pixels, so profiles are 64 exponentials for 2048 FLOPs. splat is one launch,
// and so is splat_normalized where the device holds a map's tiles at once: they wait for each other's maxima with their
// pixels in registers (meeting.cuh). Else it takes three, for the maxima of the tiles, those of the maps, and the maps;
// it draws them twice (4 n H W FLOPs) and writes them once. Backward takes two: the forms of each tile and fixation (40
// bytes, 1 % of the tile's), then their sums, in the order of the tiles.
#include <algorithm>
#include <limits>
#include <vector>

#include "core/parallel.h"
#include "kernels/common/math.h"
#include "kernels/common/op_helpers.h"
#include "kernels/common/tracks.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cuda/grid_barrier.cuh"
#include "kernels/cuda/map_tiles.cuh"
#include "kernels/cuda/vector.cuh"
#include "kernels/ops.h"

namespace gt {
namespace {

// ---- Maths ----------------------------------------------------------------------------------------------------------

/// exp(-d^2 / (2 sigma^2)), as a function of d.
template <class T>
struct Profile {
  T steepness;

  GT_HD explicit Profile(T sigma) : steepness(1 / (2 * sigma * sigma)) {}
  GT_HD T operator()(T d) const { return math::gaussian(d, steepness); }
};

/// The five bilinear forms of the header comment, of one fixation.
struct Forms {
  double g = 0, dx = 0, dy = 0, dxx = 0, dyy = 0;
};

inline Forms operator+(const Forms& a, const Forms& b) {
  return {a.g + b.g, a.dx + b.dx, a.dy + b.dy, a.dxx + b.dxx, a.dyy + b.dyy};
}

/// A fixation's share of the gradients, from its forms.
struct Gradients {
  double w, x, y, sigma_x, sigma_y;
};

template <class T>
GT_HD inline Gradients gradients(const Forms& f, double w, const T* sigma) {
  const double sx = double(sigma[0]), sy = double(sigma[1]);
  return {f.g, w * f.dx / (sx * sx), w * f.dy / (sy * sy), w * f.dxx / (sx * sx * sx), w * f.dyy / (sy * sy * sy)};
}

/// S / m; 0 where there is nothing above 0.
template <class T>
GT_HD inline T normalized(T value, T maximum) {
  return maximum > 0 ? value / maximum : T(0);
}

/// A map's maximum, where it is, and sum_p dL/dY Y.
struct Normalization {
  double maximum, x, y, through;
};

/// The forms of G from those of dL/dY.
template <class T>
GT_HD inline Forms through_normalization(const Forms& f, const T* xy, const T* sigma, const Normalization& n) {
  if (!(n.maximum > 0)) return {};
  const double dx = n.x - double(xy[0]), dy = n.y - double(xy[1]);
  const double g = n.through * Profile(double(sigma[0]))(dx) * Profile(double(sigma[1]))(dy);
  return {(f.g - g) / n.maximum, (f.dx - dx * g) / n.maximum, (f.dy - dy * g) / n.maximum,
          (f.dxx - dx * dx * g) / n.maximum, (f.dyy - dy * dy * g) / n.maximum};
}

template <class T>
struct Fixations {
  const T* xy;             // (N,2)
  const T* weight;         // (L,N)
  const T* sigma;          // (L,B,2)
  const int32_t* offsets;  // (B+1)
  int64_t batch, count;    // B, N
};

/// Maxima of maps and their places, the first in each map; null without normalisation.
template <class T>
struct Peaks {
  T* value;
  int32_t* place;
};

/// The normalisation of map i, of this size; sum is that of dL/dY S.
template <class T>
GT_HD inline Normalization normalization(const Peaks<T>& peaks, int64_t i, int64_t height, int64_t width, double sum) {
  const int64_t place = peaks.place[i];
  const double maximum = double(peaks.value[i]);
  return {maximum, double(pixel_centre<T>(place % width, width)), double(pixel_centre<T>(place / width, height)),
          sum / maximum};
}

// ---- CPU ------------------------------------------------------------------------------------------------------------

namespace cpu {

constexpr int64_t block_pixels = 1 << 14;  // of a matrix product

/// Profiles of all fixations along both axes of every level, as factors of matrix products.
template <class T>
struct Profiles {
  std::vector<std::vector<T>> rows;     // [level] image by image, gx (n,W)
  std::vector<std::vector<T>> columns;  // [level] image by image, of gy (H,n) or its moments (H,3,n)
};

/// column(i, d, g, out) writes what is wanted of fixation i, whose gy is g at the distance d, to out[0], out[n] ..
template <int64_t Columns, class T, class F>
Profiles<T> make_profiles(const Fixations<T>& f, const std::vector<MapSize>& sizes, const F& column) {
  Profiles<T> p{std::vector<std::vector<T>>(sizes.size()), std::vector<std::vector<T>>(sizes.size())};
  for (size_t l = 0; l < sizes.size(); ++l) {
    p.rows[l].resize(size_t(f.count * sizes[l].width));
    p.columns[l].resize(size_t(f.count * sizes[l].height * Columns));
  }
  parallel_for(int64_t(sizes.size()) * f.batch, 1, [&](int64_t map, int64_t) {
    const int64_t l = map / f.batch, image = map % f.batch, first = f.offsets[image];
    const int64_t n = f.offsets[image + 1] - first;
    const auto [height, width] = sizes[size_t(l)];
    const T* xy = f.xy + 2 * first;
    const Profile<T> profile_x(f.sigma[2 * map]), profile_y(f.sigma[2 * map + 1]);
    for (int64_t i = 0; i < n; ++i) {
      T* row = p.rows[size_t(l)].data() + (first + i) * width;
#pragma omp simd
      for (int64_t u = 0; u < width; ++u) row[u] = profile_x(pixel_centre<T>(u, width) - xy[2 * i]);
    }
    for (int64_t v = 0; v < height; ++v) {
      T* out = p.columns[size_t(l)].data() + (first * height + v * n) * Columns;
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) {
        const T d = pixel_centre<T>(v, height) - xy[2 * i + 1];
        column(l * f.count + first + i, d, profile_y(d), n, out + i);
      }
    }
  });
  return p;
}

template <class T>
void splat_forward(const Fixations<T>& f, const std::vector<MapSize>& sizes, const std::vector<T*>& maps,
                   const Peaks<T>& peaks) {
  const Profiles<T> profiles =
      make_profiles<1>(f, sizes, [weight = f.weight](int64_t i, T, T g, int64_t, T* out) { *out = weight[i] * g; });
  const std::vector<MapBlock> blocks = map_blocks(sizes, f.batch, block_pixels);
  parallel_for(int64_t(blocks.size()), 1, [&](int64_t block, int64_t) {
    const auto [l, image, begin, end] = blocks[size_t(block)];
    const auto [height, width] = sizes[size_t(l)];
    const int64_t first = f.offsets[image], n = f.offsets[image + 1] - first;
    multiply(end - begin, width, n, profiles.columns[size_t(l)].data() + first * height + begin * n, false,
             profiles.rows[size_t(l)].data() + first * width, false,
             maps[size_t(l)] + (image * height + begin) * width);
  });
  if (peaks.value == nullptr) return;
  parallel_for(int64_t(sizes.size()) * f.batch, 1, [&](int64_t k, int64_t) {
    const auto [height, width] = sizes[size_t(k / f.batch)];
    const int64_t size = height * width;
    T* map = maps[size_t(k / f.batch)] + k % f.batch * size;
    T most = 0;
#pragma omp simd reduction(max : most)
    for (int64_t i = 0; i < size; ++i) most = map[i] > most ? map[i] : most;
    peaks.value[k] = most;
    peaks.place[k] = int32_t(std::find(map, map + size, most) - map);
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) map[i] = normalized(map[i], most);
  });
}

/// The five forms of one fixation, from gy^T G and the same with the first and second moments of gy, each (W).
template <class T>
Forms finish_forms(int64_t width, T x, const T* gx, const T* c0, const T* c1, const T* c2) {
  T g = 0, dx = 0, dy = 0, dxx = 0, dyy = 0;
#pragma omp simd reduction(+ : g, dx, dy, dxx, dyy)
  for (int64_t u = 0; u < width; ++u) {
    const T d = pixel_centre<T>(u, width) - x, c = c0[u] * gx[u];
    g += c;
    dx += d * c;
    dxx += d * d * c;
    dy += c1[u] * gx[u];
    dyy += c2[u] * gx[u];
  }
  return {double(g), double(dx), double(dy), double(dxx), double(dyy)};
}

/// The forms of every level and fixation (L,N), summed over the blocks. A null entry of dmaps is a level without
/// gradient.
template <class T>
std::vector<Forms> all_forms(const Fixations<T>& f, const std::vector<MapSize>& sizes, const std::vector<T*>& dmaps) {
  const Profiles<T> profiles = make_profiles<3>(f, sizes, [](int64_t, T d, T g, int64_t n, T* out) {
    out[0] = g;
    out[n] = d * g;
    out[2 * n] = d * d * g;
  });
  const std::vector<MapBlock> blocks = map_blocks(sizes, f.batch, block_pixels);
  std::vector<std::vector<Forms>> partial(blocks.size());  // [block][fixation of the block's image]
  parallel_for(int64_t(blocks.size()), 1, [&](int64_t k, int64_t) {
    const auto [l, image, begin, end] = blocks[size_t(k)];
    const auto [height, width] = sizes[size_t(l)];
    const int64_t first = f.offsets[image], n = f.offsets[image + 1] - first;
    if (dmaps[size_t(l)] == nullptr || n == 0) return;
    std::vector<T> sums(size_t(3 * n * width));  // (3,n,W)
    multiply(3 * n, width, end - begin, profiles.columns[size_t(l)].data() + 3 * (first * height + begin * n), true,
             dmaps[size_t(l)] + (image * height + begin) * width, false, sums.data());
    for (int64_t i = 0; i < n; ++i) {
      const T *gx = profiles.rows[size_t(l)].data() + (first + i) * width, *c = sums.data() + i * width;
      partial[size_t(k)].push_back(finish_forms(width, f.xy[2 * (first + i)], gx, c, c + n * width, c + 2 * n * width));
    }
  });

  std::vector<Forms> forms(sizes.size() * size_t(f.count));
  for (size_t k = 0; k < blocks.size(); ++k) {
    Forms* to = forms.data() + blocks[k].level * f.count + f.offsets[blocks[k].image];
    for (const Forms& from : partial[k]) *to = *to + from, ++to;
  }
  return forms;
}

/// dw (L,N), dxy (N,2), dsigma (L,B,2), each null if not wanted. A null entry of dmaps is a level without gradient.
template <class T>
void splat_backward(const Fixations<T>& f, const std::vector<MapSize>& sizes, const std::vector<T*>& dmaps,
                    const Peaks<T>& peaks, T* dw, T* dxy, T* dsigma) {
  std::vector<Forms> forms = all_forms(f, sizes, dmaps);
  std::vector<double> sum_xy(size_t(f.count * 2));
  for (int64_t map = 0; map < int64_t(sizes.size()) * f.batch; ++map) {
    const int64_t l = map / f.batch, begin = f.offsets[map % f.batch], end = f.offsets[map % f.batch + 1];
    const T *weight = f.weight + l * f.count, *sigma = f.sigma + 2 * map;
    Forms* form = forms.data() + l * f.count;
    if (peaks.value != nullptr) {
      double sum = 0;
      for (int64_t i = begin; i < end; ++i) sum += double(weight[i]) * form[i].g;
      const auto [height, width] = sizes[size_t(l)];
      const Normalization n = normalization(peaks, map, height, width, sum);
      for (int64_t i = begin; i < end; ++i) form[i] = through_normalization(form[i], f.xy + 2 * i, sigma, n);
    }
    double sum_sigma[2] = {};
    for (int64_t i = begin; i < end; ++i) {
      const Gradients g = gradients(form[i], double(weight[i]), sigma);
      if (dw != nullptr) dw[l * f.count + i] = T(g.w);
      sum_xy[size_t(2 * i)] += g.x;
      sum_xy[size_t(2 * i + 1)] += g.y;
      sum_sigma[0] += g.sigma_x;
      sum_sigma[1] += g.sigma_y;
    }
    if (dsigma != nullptr) std::copy_n(sum_sigma, 2, dsigma + 2 * map);
  }
  if (dxy != nullptr) std::copy(sum_xy.begin(), sum_xy.end(), dxy);
}

}  // namespace cpu

// ---- CUDA -----------------------------------------------------------------------------------------------------------

#if GT_CUDA
/// S at the thread's pixels. All threads must call it.
template <class T>
__device__ void add_fixations(const Fixations<T>& f, const MapTile<T>& tile, Pixels<T>& sum) {
  using Rows = Vector<T, thread_rows>;
  using Four = Vector<T, 4>;
  GT_SHARED(Four, fixations, [tile_warps][warp_size]);  // those of 32 that count, each warp's own: x, y and weight
  GT_SHARED(T, gx, [warp_size][tile_size]);             // their profiles over the tile
  GT_SHARED(Rows, gy, [warp_size][tile_warps]);         // times their weights
  const int lane = tile.lane(), warp = int(threadIdx.x) / warp_size;
  const T* sigma = f.sigma + 2 * (tile.level * f.batch + tile.image);
  const Profile<T> profile_x(sigma[0]), profile_y(sigma[1]);
  const T px = tile.x(), py = tile.centre_of_row(lane);
  const int64_t end = f.offsets[tile.image + 1];
  for (int64_t begin = f.offsets[tile.image]; begin < end; begin += warp_size) {
    const int64_t own = begin + lane;
    const T w = own < end ? f.weight[tile.level * f.count + own] : T(0);
    const unsigned counted = __ballot_sync(full_mask, w != 0);  // the others are truncated away
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

/// Of the tile's pixels, in every thread. All threads must call it.
template <class T>
__device__ Peak<T> peak_of_pixels(const MapTile<T>& tile, const Pixels<T>& sum) {
  Peak<T> peak = no_peak<T>;
  tile.for_pixels([&](int64_t v, int64_t u, int r) { peak = higher(peak, {sum[r], int32_t(v * tile.width + u)}); });
  return highest(peak);
}

/// Of a map, from those of its tiles, in every thread. All threads must call it.
template <class T>
__device__ Peak<T> peak_of_tiles(const Peaks<T>& of_tiles, int64_t first, int64_t tiles) {
  Peak<T> peak = no_peak<T>;
  for (int64_t t = first + threadIdx.x; t < first + tiles; t += tile_threads)
    peak = higher(peak, {of_tiles.value[t], of_tiles.place[t]});
  return highest(peak);
}

template <class T>
__device__ void note(const Peaks<T>& peaks, int64_t i, const Peak<T>& peak) {
  if (threadIdx.x == 0) peaks.value[i] = peak.value, peaks.place[i] = peak.place;
}

template <class T>
__device__ void store_normalized(const MapTile<T>& tile, Pixels<T>& sum, T maximum) {
  for (int r = 0; r < thread_rows; ++r) sum[r] = normalized(sum[r], maximum);
  tile.store(sum);
}

enum class Draw { maps, peaks, normalized };  // what a launch writes: maps, the tiles' peaks, or maps over their peaks

/// `peaks` are those of the tiles to write, or those of the maps to divide by.
template <Draw draw, class T>
__global__ void __launch_bounds__(tile_threads, 4)
    splat_kernel(Fixations<T> f, const __grid_constant__ TiledMaps<T> maps, Peaks<T> peaks) {
  const MapTile<T> tile = maps.tile(blockIdx.x);
  Pixels<T> sum = {};
  add_fixations(f, tile, sum);
  if constexpr (draw == Draw::maps) tile.store(sum);
  if constexpr (draw == Draw::peaks) note(peaks, blockIdx.x, peak_of_pixels(tile, sum));
  if constexpr (draw == Draw::normalized) store_normalized(tile, sum, peaks.value[tile.level * f.batch + tile.image]);
}

/// The peak of each map (L,B) from those of its tiles, a block to a map.
template <class T>
__global__ void __launch_bounds__(tile_threads)
    map_peaks_kernel(const __grid_constant__ TiledMaps<T> maps, Peaks<T> tile_peaks, Peaks<T> peaks) {
  const typename TiledMaps<T>::Level& level = maps.level[int(blockIdx.x / maps.batch)];
  const int64_t first = level.first + blockIdx.x % maps.batch * level.tiles;
  note(peaks, blockIdx.x, peak_of_tiles(tile_peaks, first, level.tiles));
}

__device__ unsigned counters[GridBarrier::counters_of(max_barriers)];  // of the barrier, one for each map

/// All of it: the tiles of a map meet. tile_peaks is room.
template <class T>
__global__ void __launch_bounds__(tile_threads, 4)
    splat_normalized_kernel(Fixations<T> f, const __grid_constant__ TiledMaps<T> maps, Peaks<T> tile_peaks,
                            Peaks<T> peaks) {
  const GridBarrier barrier{counters};
  const unsigned ticket = barrier.ticket();
  const MapTile<T> tile = maps.tile(ticket);
  const int64_t map = tile.level * f.batch + tile.image;
  Pixels<T> sum = {};
  add_fixations(f, tile, sum);
  note(tile_peaks, ticket, peak_of_pixels(tile, sum));
  barrier.arrive_and_wait(map, unsigned(tile.tiles));
  const Peak<T> peak = peak_of_tiles(tile_peaks, ticket - tile.index, tile.tiles);
  if (tile.index == 0) note(peaks, map, peak);
  store_normalized(tile, sum, peak.value);
  barrier.leave(maps.levels * f.batch);
}

/// The forms of the tile's part of G -> partial (slot,N). A lane has a column of it, a warp takes every fourth
/// fixation.
template <class T>
__global__ void __launch_bounds__(tile_threads)
    forms_kernel(Fixations<T> f, const __grid_constant__ TiledMaps<T> dmaps, bool weights, Forms* partial) {
  using Four = Vector<T, 4>;
  GT_SHARED(Four, moments, [tile_warps][tile_size]);  // of the column profile of a warp's fixation
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
  const T px = tile.x(), py = tile.centre_of_row(lane);
  for (int64_t i = f.offsets[tile.image] + warp; i < f.offsets[tile.image + 1]; i += tile_warps) {
    T form[8] = {};
    if (weights || f.weight[tile.level * f.count + i] != 0) {
      const T dx = px - f.xy[2 * i], dy = py - f.xy[2 * i + 1];
      const T g0 = profile_y(dy), g1 = dy * g0, g2 = dy * g1;
      __syncwarp();  // all have read the last fixation's
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
      form[0] = c, form[1] = dx * c, form[2] = c1 * gx, form[3] = dx * dx * c, form[4] = c2 * gx;  // as in Forms
    }
    const T sum = warp_sums(form);
    double* const to = reinterpret_cast<double*>(partial + tile.slot * f.count + i);
    if (lane % 4 == 0 && lane / 4 < 5) to[lane / 4] = double(sum);
  }
}

constexpr int finish_threads = 512, finish_warps = finish_threads / warp_size;

/// Gradients of one image's fixations from the tiles' forms, which it overwrites; in the block after the last image's,
/// 0 for the fixations after the last track.
template <class T>
__global__ void __launch_bounds__(finish_threads, 1)
    finish_kernel(Fixations<T> f, const __grid_constant__ TiledMaps<T> dmaps, Peaks<T> peaks, Forms* partial, T* dw,
                  T* dxy, T* dsigma) {
  const int lane = int(threadIdx.x) % warp_size, warp = int(threadIdx.x) / warp_size;
  const int64_t image = blockIdx.x, begin = f.offsets[image], end = image < f.batch ? f.offsets[image + 1] : f.count;
  const int levels = image < f.batch ? dmaps.levels : 0;

  const int64_t values = 5 * (end - begin);  // the forms of tile 0 become those of the map
  for (int64_t k = threadIdx.x; k < levels * values; k += finish_threads) {
    const typename TiledMaps<T>::Level& level = dmaps.level[int(k / values)];
    double* const at = reinterpret_cast<double*>(partial + level.slot * f.count + begin) + k % values;
    double sum = 0;
    if (level.maps != nullptr)
#pragma unroll 8
      for (int64_t t = 0; t < level.tiles; ++t) sum += at[5 * t * f.count];
    *at = sum;
  }
  __syncthreads();

  for (int l = warp; l < levels; l += finish_warps) {  // those of dL/dY become those of G, a lane has every 32nd
    const typename TiledMaps<T>::Level& level = dmaps.level[l];
    const int64_t map = l * f.batch + image;
    const T *weight = f.weight + l * f.count, *sigma = f.sigma + 2 * map;
    Forms* forms = partial + level.slot * f.count;
    if (peaks.value != nullptr) {
      double through[1] = {};
      for (int64_t i = begin + lane; i < end; i += warp_size) through[0] += double(weight[i]) * forms[i].g;
      const Normalization n = normalization(peaks, map, level.height, level.width, warp_sums(through));
      for (int64_t i = begin + lane; i < end; i += warp_size)
        forms[i] = through_normalization(forms[i], f.xy + 2 * i, sigma, n);
    }
    double sums[2] = {};
    for (int64_t i = begin + lane; i < end; i += warp_size) {
      const Gradients g = gradients(forms[i], double(weight[i]), sigma);
      sums[0] += g.sigma_x;
      sums[1] += g.sigma_y;
    }
    const double sum = warp_sums(sums);
    if (dsigma != nullptr && lane % (warp_size / 2) == 0) dsigma[2 * map + lane / (warp_size / 2)] = T(sum);
  }
  __syncthreads();

  for (int64_t i = begin + threadIdx.x; i < end; i += finish_threads) {
    double x = 0, y = 0;
    for (int l = 0; l < dmaps.levels; ++l) {
      const int64_t slot = dmaps.level[l].slot, at = l * f.count + i;
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

namespace cuda {

template <class T>
void splat_forward(const Fixations<T>& f, const std::vector<MapSize>& sizes, const std::vector<T*>& maps,
                   const Peaks<T>& peaks) {
  const TiledMaps<T> tiled("splat", sizes, maps, f.batch);
  const Launch grid{tiled.blocks, tile_threads};
  if (peaks.value == nullptr) return launch(grid, splat_kernel<Draw::maps, T>, f, tiled, peaks);
  const Tensor value({tiled.blocks}, dtype_of<T>(), Device::cuda), place({tiled.blocks}, DType::i32, Device::cuda);
  const Peaks<T> tile_peaks{value.data<T>(), place.data<int32_t>()};
  const auto at_once = splat_normalized_kernel<T>;
  if (fit_at_once(tiled.levels * f.batch, tiled.max_tiles, blocks_at_once(at_once, tile_threads, 0)))
    return launch(grid, at_once, f, tiled, tile_peaks, peaks);
  launch(grid, splat_kernel<Draw::peaks, T>, f, tiled, tile_peaks);
  launch({blocks_for(tiled.levels * f.batch, 1), tile_threads}, map_peaks_kernel<T>, tiled, tile_peaks, peaks);
  launch(grid, splat_kernel<Draw::normalized, T>, f, tiled, peaks);
}

template <class T>
void splat_backward(const Fixations<T>& f, const std::vector<MapSize>& sizes, const std::vector<T*>& dmaps,
                    const Peaks<T>& peaks, T* dw, T* dxy, T* dsigma) {
  const TiledMaps<T> tiled("splat", sizes, dmaps, f.batch);
  const Tensor partial({tiled.slots, f.count, 5}, DType::f64, Device::cuda);
  Forms* const forms = reinterpret_cast<Forms*>(partial.data<double>());
  launch({tiled.blocks, tile_threads}, forms_kernel<T>, f, tiled, dw != nullptr, forms);
  launch({unsigned(f.batch + 1), finish_threads}, finish_kernel<T>, f, tiled, peaks, forms, dw, dxy, dsigma);
}

}  // namespace cuda
#endif

template <class T>
Fixations<T> fixations(const Tensor& xy, const Tensor& weight, const Tensor& sigma, const Tensor& offsets) {
  return {xy.data<T>(), weight.data<T>(), sigma.data<T>(), offsets.data<int32_t>(), offsets.dim(0) - 1, xy.dim(0)};
}

void check_splat(const char* op, const Tensor& xy, const Tensor& weight, const Tensor& sigma, const Tensor& offsets,
                 const std::vector<MapSize>& sizes) {
  const int64_t levels = int64_t(sizes.size());
  check_sizes(op, sizes);
  GT_CHECK(xy.rank() == 2 && xy.dim(1) == 2, op, ": xy is ", xy.shape(), ", expected (N,2)");
  check_offsets(op, offsets, xy.dim(0));
  const Shape weight_shape{levels, xy.dim(0)}, sigma_shape{levels, offsets.dim(0) - 1, 2};
  GT_CHECK(weight.shape() == weight_shape, op, ": weight is ", weight.shape(), ", expected ", weight_shape);
  GT_CHECK(sigma.shape() == sigma_shape, op, ": sigma is ", sigma.shape(), ", expected ", sigma_shape);
  GT_CHECK(weight.dtype() == xy.dtype() && sigma.dtype() == xy.dtype(), op, ": xy is ", xy.dtype(), ", weight ",
           weight.dtype(), ", sigma ", sigma.dtype(), ": expected one type");
}

template <class T>
Peaks<T> peaks(const Tensor& maximum, const Tensor& place) {
  return {pointer<T>(maximum), pointer<int32_t>(place)};
}

/// Both ops: maximum (L,B) and place (L,B) are defined where maps are to be normalised.
Tensors draw(const char* op, const Tensor& xy, const Tensor& weight, const Tensor& sigma, const Tensor& offsets,
             const std::vector<MapSize>& sizes, const Tensor& maximum, const Tensor& place) {
  Tensors maps = empty_maps(sizes, offsets.dim(0) - 1, xy.dtype(), xy.device());
  visit_float(xy.dtype(), [&]<class T>() {
    GT_DISPATCH(xy.device(), splat_forward, fixations<T>(xy, weight, sigma, offsets), sizes, pointers<T>(maps),
                peaks<T>(maximum, place));
  });
  return record(op, maps, {xy, weight, sigma},
                [xy = xy.detach(), weight = weight.detach(), sigma = sigma.detach(), offsets = offsets.detach(), sizes,
                 maximum, place, xy_needs = xy.requires_grad(), weight_needs = weight.requires_grad(),
                 sigma_needs = sigma.requires_grad()](const Tensors& dy) -> Tensors {
                  const Tensor dxy = gradient_of(xy, xy_needs);
                  const Tensor dw = gradient_of(weight, weight_needs);
                  const Tensor dsigma = gradient_of(sigma, sigma_needs);
                  visit_float(xy.dtype(), [&]<class T>() {
                    GT_DISPATCH(xy.device(), splat_backward, fixations<T>(xy, weight, sigma, offsets), sizes,
                                pointers<T>(dy), peaks<T>(maximum, place), pointer<T>(dw), pointer<T>(dxy),
                                pointer<T>(dsigma));
                  });
                  return {dxy, dw, dsigma};
                });
}

}  // namespace

// ---- The ops --------------------------------------------------------------------------------------------------------

Tensors splat(const Tensor& xy, const Tensor& weight, const Tensor& sigma, const Tensor& offsets,
              const std::vector<MapSize>& sizes) {
  check_splat("splat", xy, weight, sigma, offsets, sizes);
  return draw("splat", xy, weight, sigma, offsets, sizes, {}, {});
}

Tensors splat_normalized(const Tensor& xy, const Tensor& weight, const Tensor& sigma, const Tensor& offsets,
                         const std::vector<MapSize>& sizes) {
  check_splat("splat_normalized", xy, weight, sigma, offsets, sizes);
  for (const auto [height, width] : sizes)  // places are i32
    GT_CHECK(height <= std::numeric_limits<int32_t>::max() / width, "splat_normalized: map of ", height, " x ", width);
  const Shape maps{int64_t(sizes.size()), offsets.dim(0) - 1};
  return draw("splat_normalized", xy, weight, sigma, offsets, sizes, Tensor(maps, xy.dtype(), xy.device()),
              Tensor(maps, DType::i32, xy.device()));
}

}  // namespace gt
