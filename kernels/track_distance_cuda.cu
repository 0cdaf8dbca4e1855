// Distance to a track on CUDA. A block draws a tile of 32 x 32 pixels. It tries only the segments that may be the
// nearest one of some pixel there, so the FLOPs in track_distance.cu are an upper bound. Forward is one launch.
// Backward takes two: the sums of each tile for each segment of the track, and the sums over tiles. The former take 32
// bytes a segment, 1 % of the tile's.
#include "kernels/track_distance.h"

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/cuda/partition.cuh"
#include "kernels/cuda/reduce.cuh"

#if GT_CUDA

namespace gt::polyline {
namespace {

using namespace gpu;

/// For each of the thread's pixels: the squared distance to the nearest segment, and the fixation where that starts.
template <class T>
struct Nearest {
  TilePixels<T> distance2;
  TilePixels<int32_t> start;
};

/// Bounds of a segment's distance from a tile's centre, rounding included.
template <class T>
struct Bounds {
  T lower, upper;
};

/// The disc around a tile. A segment can be the nearest one of some pixel in the tile only if lower <= min upper + 2
/// radius. The minimum is over all segments.
///
/// Proof. Let k be the segment of the smallest upper bound, and j one that fails the test. Exactly,
/// D_j(p) >= D_j(centre) - radius and D_k(p) <= D_k(centre) + radius at every pixel p of the tile, so j is farther from
/// p. That also holds for what closest() computes. Each sum and product in it is off by at most eps / 2 of |p - a| + |b
/// - a|, and an error of t moves q by as much. An offset p - q is therefore off by less than 8 eps (|p - a| + |b - a|).
/// `slack` is four times the sum of that at the centre and at p. The rest covers the rounding of p, of the radius and
/// of the squares. So j has the larger square at p, in any order of j and k. The comparison is written so that a
/// segment with NaN passes.
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
  GT_SHARED(Segment<T>, segments, [tile_threads]);  // of up to 128, those that may be the nearest, in the track's order
  GT_SHARED(int32_t, starts, [tile_threads]);
  GT_SHARED(T, uppers, [tile_warps]);
  GT_SHARED(int, counts, [tile_warps]);
  const int lane = int(threadIdx.x) % warp_size, warp = int(threadIdx.x) / warp_size;
  const TileDisc<T> disc(tile);
  const T px = tile.x();
  TilePixels<T> py;
  for (int r = 0; r < thread_rows; ++r) {
    py[r] = tile.y(r);
    nearest.distance2[r] = std::numeric_limits<T>::infinity();
    nearest.start[r] = int32_t(first);
  }

  T min_upper = std::numeric_limits<T>::infinity();
  const int64_t end = first + segment_count(first, last);
  for (int64_t begin = first; begin < end; begin += tile_threads) {
    const int64_t own = begin + threadIdx.x;
    Segment<T> s{};
    Bounds<T> bounds{0, std::numeric_limits<T>::infinity()};
    if (own < end) {
      s = segment(xy + 2 * own, xy + 2 * segment_end(own, last));
      bounds = disc.bounds(s);
    }
    const T upper = warp_reduce(bounds.upper, Min{});
    if (lane == 0) uppers[warp] = upper;
    __syncthreads();
    for (int w = 0; w < tile_warps; ++w) min_upper = uppers[w] < min_upper ? uppers[w] : min_upper;

    const bool near = own < end && !(bounds.lower > min_upper + 2 * disc.radius);
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
    distance_kernel(const T* xy, const int32_t* ranges, const __grid_constant__ MapPartition<T> maps) {
  const MapTile<T> tile = maps.tile(blockIdx.x);
  const int32_t* range = ranges + 2 * (tile.level * maps.batch + tile.image);
  Nearest<T> nearest;
  search(xy, range[0], range[1], tile, nearest);
  for (int r = 0; r < thread_rows; ++r) nearest.distance2[r] = math::root(nearest.distance2[r]);
  tile.store(nearest.distance2);
}

/// The sums of the tile's pulls -> partial (slots,N,4). A segment has its sums at the fixation where it starts: those
/// for its start (2) and for its end (2).
template <class T>
__global__ void __launch_bounds__(tile_threads)
    pull_kernel(const T* xy, int64_t count, const int32_t* ranges, const __grid_constant__ MapPartition<T> dmaps,
                double* partial) {
  constexpr int chunk = 64;
  GT_SHARED(double, sums, [tile_warps][chunk * 4]);
  const int lane = int(threadIdx.x) % warp_size, warp = int(threadIdx.x) / warp_size;
  const MapTile<T> tile = dmaps.tile(blockIdx.x);
  const int32_t* range = ranges + 2 * (tile.level * dmaps.batch + tile.image);
  const int64_t first = range[0], last = range[1], end = first + segment_count(first, last);
  if (tile.map == nullptr || first == last) return;
  Nearest<T> nearest;
  search(xy, first, last, tile, nearest);

  TilePixels<Pull<T>> pulls;
  TilePixels<int32_t> starts;  // -1 outside the map and where the gradient is 0
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
    for (int64_t done = begin - 1;;) {  // one by one, the segments that the warp has pixels of
      int32_t next = std::numeric_limits<int32_t>::max();
      for (int r = 0; r < thread_rows; ++r)
        if (starts[r] > done && starts[r] < next) next = starts[r];
      next = warp_reduce(next, Min{});
      if (next >= begin + chunk || next >= end) break;
      double sum[4] = {};
      for (int r = 0; r < thread_rows; ++r)
        if (starts[r] == next) pulls[r].add(sum, sum + 2);
      const double total = warp_reduce_scatter(sum);
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

/// The image whose range, of ranges (B,2), has fixation i; -1 if none has. All lanes of the warp must call it.
__device__ inline int64_t image_of(int64_t i, const int32_t* ranges, int64_t batch) {
  for (int64_t first = 0; first < batch; first += warp_size) {
    const int64_t own = first + threadIdx.x % warp_size;
    const bool found_it = own < batch && ranges[2 * own] <= i && i < ranges[2 * own + 1];
    if (const unsigned found = __ballot_sync(full_mask, found_it); found != 0) return first + __ffs(int(found)) - 1;
  }
  return -1;
}

/// dxy: a warp sums a fixation's pulls over levels and tiles, as the start of one segment and as the end of the one
/// before.
template <class T>
__global__ void __launch_bounds__(tile_threads)
    add_pulls_kernel(int64_t count, const int32_t* ranges, const __grid_constant__ MapPartition<T> dmaps,
                     const double* partial, T* dxy) {
  const int lane = int(threadIdx.x) % warp_size;
  const int64_t i = int64_t(blockIdx.x) * tile_warps + threadIdx.x / warp_size;
  if (i >= count) return;
  double sum[2] = {};
  for (int l = 0; l < dmaps.levels; ++l) {
    const typename MapPartition<T>::Level& level = dmaps.level[l];
    if (level.maps == nullptr) continue;
    const int32_t* const of_level = ranges + 2 * l * dmaps.batch;
    const int64_t image = image_of(i, of_level, dmaps.batch);
    if (image < 0) continue;
    const int64_t first = of_level[2 * image], last = of_level[2 * image + 1];
    for (int64_t t = lane; t < level.tiles; t += warp_size) {
      const double* at = partial + 4 * ((level.first_slot + t) * count + i);
      if (i < first + segment_count(first, last)) sum[0] += at[0], sum[1] += at[1];
      if (i > first) sum[0] += at[-2], sum[1] += at[-1];
    }
  }
  const double total = warp_reduce_scatter(sum);
  if (lane % (warp_size / 2) == 0) dxy[2 * i + lane / (warp_size / 2)] = T(total);
}

}  // namespace

namespace cuda {

template <class T>
void track_distance_forward(const T* xy, const int32_t* ranges, int64_t batch, const std::vector<MapSize>& sizes,
                            const std::vector<T*>& maps) {
  const MapPartition<T> partition("track_distance", sizes, maps, batch);
  launch({partition.grid, tile_threads}, distance_kernel<T>, xy, ranges, partition);
}

template <class T>
void track_distance_backward(const T* xy, int64_t count, const int32_t* ranges, int64_t batch,
                             const std::vector<MapSize>& sizes, const std::vector<T*>& dmaps, T* dxy) {
  const MapPartition<T> partition("track_distance", sizes, dmaps, batch);
  Tensor partial({partition.slots, count, 4}, DType::f64, Device::cuda);
  launch({partition.grid, tile_threads}, pull_kernel<T>, xy, count, ranges, partition, partial.data<double>());
  launch({blocks_for(count, tile_warps), tile_threads}, add_pulls_kernel<T>, count, ranges, partition,
         partial.data<double>(), dxy);
}

#define GT_INSTANTIATE(T)                                                                                        \
  template void track_distance_forward(const T*, const int32_t*, int64_t, const std::vector<MapSize>&,           \
                                       const std::vector<T*>&);                                                  \
  template void track_distance_backward(const T*, int64_t, const int32_t*, int64_t, const std::vector<MapSize>&, \
                                        const std::vector<T*>&, T*);
GT_INSTANTIATE(float)
GT_INSTANTIATE(double)

}  // namespace cuda
}  // namespace gt::polyline

#endif
