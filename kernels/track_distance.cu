// Distance from each pixel centre to a track, in image sides. track_distance.h has the maths.
//
// xy (N,2), ranges (L,B,2) i32 -> L maps (B,H_l,W_l).
//
// Saved: xy and ranges. Backward searches for the nearest segment again. Its index would take as many bytes as the maps
// in every forward pass, for a gradient that most runs never ask for. For each level of an image of n segments, forward
// writes 4 H W bytes and takes 16 n H W FLOPs. Backward reads 4 H W bytes and takes as many FLOPs.
//
// On the CPU every segment is tried at every pixel, in a loop without branches over a row. A search structure could
// save little. With some tens of fixations, forward takes 1.0 of the 157 ms of kvasir_small's training step at 128
// pixels. Of the 5 s of the full-size step it takes 2.9 ms (gradtrack train --profile).
#include "kernels/track_distance.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

#include "core/parallel.h"
#include "kernels/common/op_helpers.h"
#include "kernels/common/tracks.h"
#include "kernels/cpu/map_blocks.h"

namespace gt {
namespace polyline {
namespace {

// ---- CPU ------------------------------------------------------------------------------------------------------------

namespace cpu {

constexpr int64_t block_pixels = 2048;

/// The nearest segment to each pixel of a row of a map: its squared distance, infinity if there is none, and the
/// fixation where it starts.
template <class T>
struct Row {
  // As large as T, so that a loop over both is vectorised.
  using Index = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;

  explicit Row(MapSize size) : height(size.height), x(size_t(size.width)), distance2(x.size()), start(x.size()) {
    for (size_t u = 0; u < x.size(); ++u) x[u] = pixel_centre<T>(int64_t(u), size.width);
  }

  /// Finds the nearest segments in row v of the map, for the track of fixations [first, last).
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
void track_distance_forward(const T* xy, const int32_t* ranges, int64_t batch, const std::vector<MapSize>& sizes,
                            const std::vector<T*>& maps) {
  const std::vector<MapBlock> blocks = map_blocks(sizes, batch, block_pixels);
  parallel_for(int64_t(blocks.size()), 1, [&](int64_t k, int64_t) {
    const auto [l, image, begin, end] = blocks[size_t(k)];
    const auto [height, width] = sizes[size_t(l)];
    const int32_t* range = ranges + 2 * (l * batch + image);
    Row<T> row(sizes[size_t(l)]);
    for (int64_t v = begin; v < end; ++v) {
      row.search(xy, range[0], range[1], v);
      T* out = maps[size_t(l)] + (image * height + v) * width;
      for (int64_t u = 0; u < width; ++u) out[u] = std::sqrt(row.distance2[size_t(u)]);
    }
  });
}

/// Writes dxy (N,2) for N = count. A null entry of dmaps is a level without gradient.
template <class T>
void track_distance_backward(const T* xy, int64_t count, const int32_t* ranges, int64_t batch,
                             const std::vector<MapSize>& sizes, const std::vector<T*>& dmaps, T* dxy) {
  const std::vector<MapBlock> blocks = map_blocks(sizes, batch, block_pixels);
  std::vector<std::vector<double>> partial(blocks.size());  // [block] (fixations of the range, 2)
  parallel_for(int64_t(blocks.size()), 1, [&](int64_t k, int64_t) {
    const auto [l, image, row_begin, row_end] = blocks[size_t(k)];
    const auto [height, width] = sizes[size_t(l)];
    const int64_t first = ranges[2 * (l * batch + image)], last = ranges[2 * (l * batch + image) + 1];
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
    const size_t first = size_t(ranges[2 * (blocks[k].level * batch + blocks[k].image)]);
    for (size_t j = 0; j < partial[k].size(); ++j) total[2 * first + j] += partial[k][j];
  }
  std::copy(total.begin(), total.end(), dxy);
}

}  // namespace cpu

void check_track_distance(const Tensor& xy, const Tensor& ranges, const std::vector<MapSize>& sizes) {
  check_sizes("track_distance", sizes);
  GT_CHECK(xy.rank() == 2 && xy.dim(1) == 2, "track_distance: xy is ", xy.shape(), ", expected (N,2)");
  GT_CHECK(ranges.rank() == 3 && ranges.dim(0) == int64_t(sizes.size()) && ranges.dim(2) == 2,
           "track_distance: ranges is ", ranges.shape(), ", expected (", sizes.size(), ",B,2)");
  if (ranges.device() == Device::cuda) return;  // reading values would wait for the device
  const std::vector<int32_t> range = ranges.values<int32_t>();
  int64_t last = 0;  // the end of the level's ranges so far
  for (size_t i = 0; i < range.size(); i += 2) {
    if (i % size_t(2 * ranges.dim(1)) == 0) last = 0;
    GT_CHECK(0 <= range[i] && range[i] <= range[i + 1] && range[i + 1] <= xy.dim(0), "track_distance: got fixations ",
             range[i], " to ", range[i + 1], " of ", xy.dim(0), ", expected a range of them");
    if (range[i] == range[i + 1]) continue;
    GT_CHECK(last <= range[i], "track_distance: got fixations ", range[i], " to ", range[i + 1], " after those to ",
             last, ", expected ranges in order");
    last = range[i + 1];
  }
}

// ---- The op ---------------------------------------------------------------------------------------------------------

Tensors distance_maps(const Tensor& xy, const Tensor& ranges, const std::vector<MapSize>& sizes) {
  check_track_distance(xy, ranges, sizes);
  Tensors maps = empty_maps(sizes, ranges.dim(1), xy.dtype(), xy.device());
  visit_float(xy.dtype(), [&]<class T>() {
    GT_DISPATCH(xy.device(), track_distance_forward, operand<T>(xy), operand<int32_t>(ranges), ranges.dim(1), sizes,
                operands_or_null<T>(maps));
  });
  return record(
      "track_distance", maps, {xy}, [xy = xy.detach(), ranges = ranges.detach(), sizes](const Tensors& dy) -> Tensors {
        Tensor dxy = empty_gradient(xy, true);
        visit_float(xy.dtype(), [&]<class T>() {
          GT_DISPATCH(xy.device(), track_distance_backward, operand<T>(xy), xy.dim(0), operand<int32_t>(ranges),
                      ranges.dim(1), sizes, operands_or_null<T>(dy), operand<T>(dxy));
        });
        return {dxy};
      });
}

}  // namespace
}  // namespace polyline

Tensors track_distance(const Tensor& xy, const Tensor& ranges, const std::vector<MapSize>& sizes) {
  return polyline::distance_maps(xy, ranges, sizes);
}

}  // namespace gt
