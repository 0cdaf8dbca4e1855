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
#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

#include "core/parallel.h"
#include "kernels/op.h"
#include "kernels/ops.h"
#include "kernels/tracks.h"

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
  const T along = (rx * s.dx + ry * s.dy) * s.inverse;
  const T t = along < 0 ? T(0) : along > 1 ? T(1) : along;
  return {t, rx - t * s.dx, ry - t * s.dy};
}

// ---- CPU ------------------------------------------------------------------------------------------------------------

namespace cpu {

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
    const int64_t segments = std::max<int64_t>(last - first - 1, last > first ? 1 : 0);
    for (int64_t i = first; i < first + segments; ++i) offer(segment(xy + 2 * i, xy + 2 * next(i, last)), Index(i));
  }

  /// The fixation that the segment from `start` ends at: itself, if the track has only one.
  static int64_t next(int64_t start, int64_t last) { return std::min(start + 1, last - 1); }

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
      const Closest<T> c = closest(s, px[u], y);
      const T d2 = c.x * c.x + c.y * c.y;
      from[u] = d2 < best[u] ? i : from[u];
      best[u] = d2 < best[u] ? d2 : best[u];
    }
  }
};

template <class T>
void track_distance_forward(const T* xy, const int32_t* kept, int64_t batch, const std::vector<MapSize>& sizes,
                            const std::vector<T*>& maps) {
  const std::vector<MapBlock> blocks = map_blocks(sizes, batch);
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
  const std::vector<MapBlock> blocks = map_blocks(sizes, batch);
  std::vector<std::vector<double>> partial(blocks.size());  // [block] (kept fixations, 2)
  parallel_for(int64_t(blocks.size()), 1, [&](int64_t k, int64_t) {
    const auto [l, image, begin, end] = blocks[size_t(k)];
    const auto [height, width] = sizes[size_t(l)];
    const int64_t first = kept[2 * (l * batch + image)], last = kept[2 * (l * batch + image) + 1];
    if (dmaps[size_t(l)] == nullptr || first == last) return;
    std::vector<double>& sum = partial[size_t(k)];
    sum.resize(size_t(2 * (last - first)));
    Row<T> row(sizes[size_t(l)]);
    for (int64_t v = begin; v < end; ++v) {
      row.search(xy, first, last, v);
      const T* grad = dmaps[size_t(l)] + (image * height + v) * width;
      for (int64_t u = 0; u < width; ++u) {
        const T distance = std::sqrt(row.distance2[size_t(u)]);
        if (distance == 0) continue;
        const int64_t start = row.start[size_t(u)], stop = row.next(start, last);
        const Closest<T> c = closest(segment(xy + 2 * start, xy + 2 * stop), row.x[size_t(u)], row.y);
        const double gx = double(-grad[u] * c.x / distance), gy = double(-grad[u] * c.y / distance), t = double(c.t);
        double *a = &sum[size_t(2 * (start - first))], *b = &sum[size_t(2 * (stop - first))];
        a[0] += (1 - t) * gx;
        a[1] += (1 - t) * gy;
        b[0] += t * gx;
        b[1] += t * gy;
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

#if GT_CUDA
namespace cuda = cpu;  // its CUDA bodies are not written yet
#endif

void check_track_distance(const Tensor& xy, const Tensor& kept, const std::vector<MapSize>& sizes) {
  check_sizes("track_distance", sizes);
  GT_CHECK(xy.rank() == 2 && xy.dim(1) == 2, "track_distance: xy is ", xy.shape(), ", expected (N,2)");
  GT_CHECK(kept.rank() == 3 && kept.dim(0) == int64_t(sizes.size()) && kept.dim(2) == 2, "track_distance: kept is ",
           kept.shape(), ", expected (", sizes.size(), ",B,2)");
  if (kept.device() == Device::cuda) return;  // looking would have to wait for the device
  const std::vector<int32_t> range = kept.values<int32_t>();
  for (size_t i = 0; i < range.size(); i += 2)
    GT_CHECK(0 <= range[i] && range[i] <= range[i + 1] && range[i + 1] <= xy.dim(0), "track_distance: kept fixations ",
             range[i], " to ", range[i + 1], " of ", xy.dim(0));
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
