// Distance from each pixel centre to the polyline through a track's kept fixations, in image sides.
//
//   D_l(p) = min over segments a -> b of |p - q|,  q = a + t (b - a),  t = clamp((p - a).(b - a) / |b - a|^2, 0, 1)
//
// xy (N,2), kept (L,B,2) i32 -> L maps (B,H_l,W_l). One fixation is a segment of length 0; no fixation, infinity.
//
// Backward: at the minimum, t and the choice of segment do not change to first order (envelope theorem), so that
//   dD/da = -(1-t) (p-q)/D,  dD/db = -t (p-q)/D;  0 at D = 0;  of equally close segments the first counts.
//
// Saved: xy and kept. Backward looks for the closest segment again: the segment's index would cost as many bytes as the
// maps themselves, in every forward, for a gradient that most runs never ask for.
// Per image of n segments and level: forward writes 4 H W bytes and takes 16 n H W FLOPs; backward reads 4 H W bytes
// and takes as many FLOPs.
//
// On the CPU the cost grows as pixels times segments: every segment is offered to every pixel, in a loop without
// branches over a row. A structure that spares most of them could save little: with some tens of kept fixations the
// forward pass takes 1.0 of the 157 ms of kvasir_small's training step at 128 pixels, 2.9 ms of the 5 s of the
// full-size step (gradtrack train --profile).
//
// CUDA: a block draws a tile of 32 x 32 pixels and takes into account only the segments that may be the nearest of one
// of them, so that the FLOPs above are the most. Forward is one launch, backward two: the sums of each tile for each
// of the track's segments (32 bytes, 1 % of the tile's), then their sums, by a tree of the tiles.
#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

#include "core/parallel.h"
#include "kernels/common/math.h"
#include "kernels/common/op_helpers.h"
#include "kernels/common/tracks.h"
#include "kernels/cuda/map_tiles.cuh"
#include "kernels/ops.h"

namespace gt {
namespace {

// ---- Maths ----------------------------------------------------------------------------------------------------------

/// A segment as its start, its direction, and 1 / length^2 (0 for a point, which makes t = 0).
template <class T>
struct Segment {
  T x, y, dx, dy, inverse;
};

template <class T>
GT_HD inline Segment<T> segment(const T* a, const T* b) {
  const T dx = b[0] - a[0], dy = b[1] - a[1], length2 = dx * dx + dy * dy;
  return {a[0], a[1], dx, dy, length2 > std::numeric_limits<T>::min() ? 1 / length2 : T(0)};
}

/// Closest point of a segment, as t along it and the offset p - q from it.
template <class T>
struct Closest {
  T t, x, y;
};

template <class T>
GT_HD inline Closest<T> closest(const Segment<T>& s, T px, T py) {
  const T rx = px - s.x, ry = py - s.y;
  const T t = math::saturate((rx * s.dx + ry * s.dy) * s.inverse);
  return {t, rx - t * s.dx, ry - t * s.dy};
}

template <class T>
GT_HD inline T squared_distance(const Closest<T>& c) {
  return c.x * c.x + c.y * c.y;
}

/// Segments of the track of fixations [first, last).
GT_HD inline int64_t segment_count(int64_t first, int64_t last) {
  return last - first > 1 ? last - first - 1 : last - first;
}

/// The fixation that the segment from `start` ends at: itself, if the track has only one.
GT_HD inline int64_t segment_end(int64_t start, int64_t last) { return start + 1 < last ? start + 1 : last - 1; }

/// What a pixel of gradient g, at distance D from its closest point q, gives to q: -g (p - q) / D. Of that the
/// segment's end has the part t, its start the rest.
template <class T>
struct Pull {
  T x, y, t;

  GT_HD void add(double* start, double* end) const {
    start[0] += (1 - double(t)) * double(x);
    start[1] += (1 - double(t)) * double(y);
    end[0] += double(t) * double(x);
    end[1] += double(t) * double(y);
  }
};

template <class T>
GT_HD inline Pull<T> pull(T g, const Closest<T>& c, T distance) {
  const T slope = -g / distance;
  return {slope * c.x, slope * c.y, c.t};
}

// ---- CPU ------------------------------------------------------------------------------------------------------------

namespace cpu {

constexpr int64_t block_pixels = 2048;

/// The segment nearest to each pixel of a row: its squared distance, infinity if there is none, and the fixation that
/// it starts at.
template <class T>
struct Row {
  // As wide as T, so that a loop over both is vectorised.
  using Index = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;

  explicit Row(MapSize size) : height(size.height), x(size_t(size.width)), distance2(x.size()), start(x.size()) {
    for (size_t u = 0; u < x.size(); ++u) x[u] = pixel_centre<T>(int64_t(u), size.width);
  }

  /// Row v of the map, for fixations [first, last).
  void search(const T* xy, int64_t first, int64_t last, int64_t v) {
    std::fill(distance2.begin(), distance2.end(), std::numeric_limits<T>::infinity());
    std::fill(start.begin(), start.end(), Index(first));
    y = pixel_centre<T>(v, height);
    for (int64_t i = first; i < first + segment_count(first, last); ++i)
      offer(segment(xy + 2 * i, xy + 2 * segment_end(i, last)), Index(i));
  }

  int64_t height;
  std::vector<T> x;  // of the pixel centres
  T y = 0;
  std::vector<T> distance2;
  std::vector<Index> start;

 private:
  void offer(const Segment<T>& s, Index i) {
    const T* __restrict px = x.data();
    T* __restrict best = distance2.data();
    Index* __restrict from = start.data();
    for (size_t u = 0; u < x.size(); ++u) {
      const T d2 = squared_distance(closest(s, px[u], y));
      from[u] = d2 < best[u] ? i : from[u];
      best[u] = d2 < best[u] ? d2 : best[u];
    }
  }
};

template <class T>
void track_distance_forward(const T* xy, const int32_t* kept, int64_t batch, const std::vector<MapSize>& sizes,
                            const std::vector<T*>& maps) {
  const std::vector<MapBlock> blocks = map_blocks(sizes, batch, block_pixels);
  parallel_for(int64_t(blocks.size()), 1, [&](int64_t k, int64_t) {
    const auto [l, image, begin, end] = blocks[size_t(k)];
    const auto [height, width] = sizes[size_t(l)];
    const int32_t* range = kept + 2 * (l * batch + image);
    Row<T> row(sizes[size_t(l)]);
    for (int64_t v = begin; v < end; ++v) {
      row.search(xy, range[0], range[1], v);
      T* out = maps[size_t(l)] + (image * height + v) * width;
      for (int64_t u = 0; u < width; ++u) out[u] = std::sqrt(row.distance2[size_t(u)]);
    }
  });
}

/// dxy (N,2). A null entry of dmaps is a level without gradient.
template <class T>
void track_distance_backward(const T* xy, int64_t count, const int32_t* kept, int64_t batch,
                             const std::vector<MapSize>& sizes, const std::vector<T*>& dmaps, T* dxy) {
  const std::vector<MapBlock> blocks = map_blocks(sizes, batch, block_pixels);
  std::vector<std::vector<double>> partial(blocks.size());  // [block] (kept fixations, 2)
  parallel_for(int64_t(blocks.size()), 1, [&](int64_t k, int64_t) {
    const auto [l, image, row_begin, row_end] = blocks[size_t(k)];
    const auto [height, width] = sizes[size_t(l)];
    const int64_t first = kept[2 * (l * batch + image)], last = kept[2 * (l * batch + image) + 1];
    if (dmaps[size_t(l)] == nullptr || first == last) return;
    std::vector<double>& sum = partial[size_t(k)];
    sum.resize(size_t(2 * (last - first)));
    Row<T> row(sizes[size_t(l)]);
    for (int64_t v = row_begin; v < row_end; ++v) {
      row.search(xy, first, last, v);
      const T* grad = dmaps[size_t(l)] + (image * height + v) * width;
      for (int64_t u = 0; u < width; ++u) {
        const T distance = std::sqrt(row.distance2[size_t(u)]);
        if (distance == 0) continue;
        const int64_t start = row.start[size_t(u)], end = segment_end(start, last);
        const Closest<T> c = closest(segment(xy + 2 * start, xy + 2 * end), row.x[size_t(u)], row.y);
        pull(grad[u], c, distance).add(&sum[size_t(2 * (start - first))], &sum[size_t(2 * (end - first))]);
      }
    }
  });

  std::vector<double> total(size_t(2 * count));
  for (size_t k = 0; k < blocks.size(); ++k) {
    const size_t first = size_t(kept[2 * (blocks[k].level * batch + blocks[k].image)]);
    for (size_t j = 0; j < partial[k].size(); ++j) total[2 * first + j] += partial[k][j];
  }
  std::copy(total.begin(), total.end(), dxy);
}

}  // namespace cpu

// ---- CUDA -----------------------------------------------------------------------------------------------------------

#if GT_CUDA
/// The nearest segment to each of the thread's pixels, as Row has it.
template <class T>
struct Nearest {
  Pixels<T> distance2;
  Pixels<int32_t> start;
};

/// Least and largest distance of a segment from a tile's centre, within rounding.
template <class T>
struct Bounds {
  T lower, upper;
};

/// Which segments may be the nearest of one of a tile's pixels: those with lower <= the least upper + 2 radius.
///
/// Any other, j, is at every pixel p of the tile farther than the segment k that has the least upper, and by what
/// closest() makes of it too. Exactly, D_j(p) >= D_j(centre) - radius and D_k(p) <= D_k(centre) + radius. Rounding
/// moves an offset p - q by less than 8 eps (|p - a| + |b - a|), as each sum and product in it is off by eps / 2 of no
/// more than that, and an error of t moves q by as much. `slack` is four times what that makes at the centre and at p
/// together, which leaves room for the rounding of p, of the radius and of the squares. So j has the larger square at
/// p, and may come before or after k. Comparisons are such that a segment which is not a number is kept.
template <class T>
struct TileDisc {
  T x, y, radius;

  __device__ explicit TileDisc(const MapTile<T>& tile) {
    const int64_t end = tile.column + tile_size < tile.width ? tile.column + tile_size : tile.width;
    const int64_t below = tile.row + tile_size < tile.height ? tile.row + tile_size : tile.height;
    const T left = T(tile.column) * tile.column_width, right = T(end) * tile.column_width;  // edges of pixels
    const T top = T(tile.row) * tile.row_height, bottom = T(below) * tile.row_height;
    x = (left + right) / 2;
    y = (top + bottom) / 2;
    radius = math::root((right - left) * (right - left) + (bottom - top) * (bottom - top)) / 2;
  }

  __device__ Bounds<T> bounds(const Segment<T>& s) const {
    const T distance = math::root(squared_distance(closest(s, x, y)));
    const T scale = 1 + std::fabs(x - s.x) + std::fabs(y - s.y) + std::fabs(s.dx) + std::fabs(s.dy);
    const T slack = 64 * std::numeric_limits<T>::epsilon() * scale;
    return {distance - slack, distance + slack};
  }
};

/// Searches the track of fixations [first, last) for the thread's pixels. All threads must call it.
template <class T>
__device__ void search(const T* xy, int64_t first, int64_t last, const MapTile<T>& tile, Nearest<T>& nearest) {
  GT_SHARED(Segment<T>, segments, [tile_threads]);  // those of up to 128 that may be the nearest, in the track's order
  GT_SHARED(int32_t, starts, [tile_threads]);
  GT_SHARED(T, uppers, [tile_warps]);
  GT_SHARED(int, counts, [tile_warps]);
  const int lane = int(threadIdx.x) % warp_size, warp = int(threadIdx.x) / warp_size;
  const TileDisc<T> disc(tile);
  const T px = tile.x();
  Pixels<T> py;
  for (int r = 0; r < thread_rows; ++r) {
    py[r] = tile.y(r);
    nearest.distance2[r] = std::numeric_limits<T>::infinity();
    nearest.start[r] = int32_t(first);
  }

  T least = std::numeric_limits<T>::infinity();
  const int64_t end = first + segment_count(first, last);
  for (int64_t begin = first; begin < end; begin += tile_threads) {
    const int64_t own = begin + threadIdx.x;
    Segment<T> s{};
    Bounds<T> bounds{0, std::numeric_limits<T>::infinity()};
    if (own < end) {
      s = segment(xy + 2 * own, xy + 2 * segment_end(own, last));
      bounds = disc.bounds(s);
    }
    T upper = bounds.upper;
    for (int d = warp_size / 2; d > 0; d /= 2) {
      const T other = __shfl_xor_sync(full_mask, upper, d);
      upper = other < upper ? other : upper;
    }
    if (lane == 0) uppers[warp] = upper;
    __syncthreads();
    for (int w = 0; w < tile_warps; ++w) least = uppers[w] < least ? uppers[w] : least;

    const bool near = own < end && !(bounds.lower > least + 2 * disc.radius);
    const unsigned mask = __ballot_sync(full_mask, near);
    if (lane == 0) counts[warp] = __popc(mask);
    __syncthreads();
    int slot = __popc(mask & ((1u << lane) - 1)), count = 0;
    for (int w = 0; w < tile_warps; ++w) {
      slot += w < warp ? counts[w] : 0;
      count += counts[w];
    }
    if (near) segments[slot] = s, starts[slot] = int32_t(own);
    __syncthreads();

    for (int k = 0; k < count; ++k) {
      const Segment<T> of_track = segments[k];
      const int32_t start = starts[k];
      for (int r = 0; r < thread_rows; ++r) {
        const T d2 = squared_distance(closest(of_track, px, py[r]));
        nearest.start[r] = d2 < nearest.distance2[r] ? start : nearest.start[r];
        nearest.distance2[r] = d2 < nearest.distance2[r] ? d2 : nearest.distance2[r];
      }
    }
  }
}

template <class T>
__global__ void __launch_bounds__(tile_threads)
    distance_kernel(const T* xy, const int32_t* kept, const __grid_constant__ TiledMaps<T> maps) {
  const MapTile<T> tile = maps.tile(blockIdx.x);
  const int32_t* range = kept + 2 * (tile.level * maps.batch + tile.image);
  Nearest<T> nearest;
  search(xy, range[0], range[1], tile, nearest);
  for (int r = 0; r < thread_rows; ++r) nearest.distance2[r] = math::root(nearest.distance2[r]);
  tile.store(nearest.distance2);
}

/// The sums of the tile's pulls -> partial (slot,N,4), at the fixations that segments start at.
template <class T>
__global__ void __launch_bounds__(tile_threads)
    pull_kernel(const T* xy, int64_t count, const int32_t* kept, const __grid_constant__ TiledMaps<T> dmaps,
                double* partial) {
  constexpr int chunk = 64;
  GT_SHARED(double, sums, [tile_warps][chunk * 4]);
  const int lane = int(threadIdx.x) % warp_size, warp = int(threadIdx.x) / warp_size;
  const MapTile<T> tile = dmaps.tile(blockIdx.x);
  const int32_t* range = kept + 2 * (tile.level * dmaps.batch + tile.image);
  const int64_t first = range[0], last = range[1], end = first + segment_count(first, last);
  if (tile.map == nullptr || first == last) return;
  Nearest<T> nearest;
  search(xy, first, last, tile, nearest);

  Pixels<Pull<T>> pulls;
  Pixels<int32_t> starts;  // none outside the map and where the gradient is 0
  for (int r = 0; r < thread_rows; ++r) starts[r] = -1;
  tile.for_pixels([&](int64_t v, int64_t u, int r) {
    const T distance = math::root(nearest.distance2[r]);
    if (distance == 0) return;
    const int64_t start = starts[r] = nearest.start[r];
    const Segment<T> s = segment(xy + 2 * start, xy + 2 * segment_end(start, last));
    pulls[r] = pull(tile.map[v * tile.width + u], closest(s, tile.x(), tile.y(r)), distance);
  });

  for (int64_t begin = first; begin < end; begin += chunk) {
    for (int k = lane; k < chunk * 4; k += warp_size) sums[warp][k] = 0;
    __syncwarp();
    for (int64_t done = begin - 1;;) {  // from segment to segment of those that the warp has pixels of
      int32_t next = std::numeric_limits<int32_t>::max();
      for (int r = 0; r < thread_rows; ++r)
        if (starts[r] > done && starts[r] < next) next = starts[r];
      for (int d = warp_size / 2; d > 0; d /= 2) {
        const int32_t other = __shfl_xor_sync(full_mask, next, d);
        next = other < next ? other : next;
      }
      if (next >= begin + chunk || next >= end) break;
      double sum[4] = {};
      for (int r = 0; r < thread_rows; ++r)
        if (starts[r] == next) pulls[r].add(sum, sum + 2);
      const double total = warp_sums(sum);
      if (lane % 8 == 0) sums[warp][4 * (next - begin) + lane / 8] = total;
      done = next;
    }
    __syncthreads();
    const int64_t values = 4 * (end - begin < chunk ? end - begin : chunk);
    for (int64_t k = threadIdx.x; k < values; k += tile_threads) {
      double total = 0;
      for (int w = 0; w < tile_warps; ++w) total += sums[w][k];
      partial[4 * (tile.slot * count + begin) + k] = total;
    }
    __syncthreads();
  }
}

/// The image that keeps fixation i, its ranges being (B,2); -1 if none does. All lanes of the warp must call it.
__device__ inline int64_t image_that_keeps(int64_t i, const int32_t* ranges, int64_t batch) {
  for (int64_t first = 0; first < batch; first += warp_size) {
    const int64_t own = first + threadIdx.x % warp_size;
    const bool keeps = own < batch && ranges[2 * own] <= i && i < ranges[2 * own + 1];
    if (const unsigned found = __ballot_sync(full_mask, keeps); found != 0) return first + __ffs(int(found)) - 1;
  }
  return -1;
}

/// dxy, a warp to each fixation: the sums over levels and tiles of the pulls at the start of one segment and the end of
/// the one before.
template <class T>
__global__ void __launch_bounds__(tile_threads)
    add_pulls_kernel(int64_t count, const int32_t* kept, const __grid_constant__ TiledMaps<T> dmaps,
                     const double* partial, T* dxy) {
  const int lane = int(threadIdx.x) % warp_size;
  const int64_t i = int64_t(blockIdx.x) * tile_warps + threadIdx.x / warp_size;
  if (i >= count) return;
  double sum[2] = {};
  for (int l = 0; l < dmaps.levels; ++l) {
    const typename TiledMaps<T>::Level& level = dmaps.level[l];
    if (level.maps == nullptr) continue;
    const int32_t* const ranges = kept + 2 * l * dmaps.batch;
    const int64_t image = image_that_keeps(i, ranges, dmaps.batch);
    if (image < 0) continue;
    const int64_t first = ranges[2 * image], last = ranges[2 * image + 1];
    for (int64_t t = lane; t < level.tiles; t += warp_size) {
      const double* at = partial + 4 * ((level.slot + t) * count + i);
      if (i < first + segment_count(first, last)) sum[0] += at[0], sum[1] += at[1];
      if (i > first) sum[0] += at[-2], sum[1] += at[-1];
    }
  }
  const double total = warp_sums(sum);
  if (lane % (warp_size / 2) == 0) dxy[2 * i + lane / (warp_size / 2)] = T(total);
}

namespace cuda {

template <class T>
void track_distance_forward(const T* xy, const int32_t* kept, int64_t batch, const std::vector<MapSize>& sizes,
                            const std::vector<T*>& maps) {
  const TiledMaps<T> tiled("track_distance", sizes, maps, batch);
  launch({tiled.blocks, tile_threads}, distance_kernel<T>, xy, kept, tiled);
}

template <class T>
void track_distance_backward(const T* xy, int64_t count, const int32_t* kept, int64_t batch,
                             const std::vector<MapSize>& sizes, const std::vector<T*>& dmaps, T* dxy) {
  const TiledMaps<T> tiled("track_distance", sizes, dmaps, batch);
  const Tensor partial({tiled.slots, count, 4}, DType::f64, Device::cuda);
  launch({tiled.blocks, tile_threads}, pull_kernel<T>, xy, count, kept, tiled, partial.data<double>());
  launch({blocks_for(count, tile_warps), tile_threads}, add_pulls_kernel<T>, count, kept, tiled, partial.data<double>(),
         dxy);
}

}  // namespace cuda
#endif

void check_track_distance(const Tensor& xy, const Tensor& kept, const std::vector<MapSize>& sizes) {
  check_sizes("track_distance", sizes);
  GT_CHECK(xy.rank() == 2 && xy.dim(1) == 2, "track_distance: xy is ", xy.shape(), ", expected (N,2)");
  GT_CHECK(kept.rank() == 3 && kept.dim(0) == int64_t(sizes.size()) && kept.dim(2) == 2, "track_distance: kept is ",
           kept.shape(), ", expected (", sizes.size(), ",B,2)");
  if (kept.device() == Device::cuda) return;  // looking would have to wait for the device
  const std::vector<int32_t> range = kept.values<int32_t>();
  int64_t last = 0;  // of the level's images so far
  for (size_t i = 0; i < range.size(); i += 2) {
    if (i % size_t(2 * kept.dim(1)) == 0) last = 0;
    GT_CHECK(0 <= range[i] && range[i] <= range[i + 1] && range[i + 1] <= xy.dim(0), "track_distance: kept fixations ",
             range[i], " to ", range[i + 1], " of ", xy.dim(0));
    if (range[i] == range[i + 1]) continue;
    GT_CHECK(last <= range[i], "track_distance: kept fixations ", range[i], " to ", range[i + 1], " after those to ",
             last);
    last = range[i + 1];
  }
}

}  // namespace

// ---- The op ---------------------------------------------------------------------------------------------------------

Tensors track_distance(const Tensor& xy, const Tensor& kept, const std::vector<MapSize>& sizes) {
  check_track_distance(xy, kept, sizes);
  Tensors maps = empty_maps(sizes, kept.dim(1), xy.dtype(), xy.device());
  visit_float(xy.dtype(), [&]<class T>() {
    GT_DISPATCH(xy.device(), track_distance_forward, xy.data<T>(), kept.data<int32_t>(), kept.dim(1), sizes,
                pointers<T>(maps));
  });
  return record("track_distance", maps, {xy},
                [xy = xy.detach(), kept = kept.detach(), sizes](const Tensors& dy) -> Tensors {
                  const Tensor dxy = gradient_of(xy, true);
                  visit_float(xy.dtype(), [&]<class T>() {
                    GT_DISPATCH(xy.device(), track_distance_backward, xy.data<T>(), xy.dim(0), kept.data<int32_t>(),
                                kept.dim(1), sizes, pointers<T>(dy), dxy.data<T>());
                  });
                  return {dxy};
                });
}

}  // namespace gt
