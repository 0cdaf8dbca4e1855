// Maths of the distance to a track, for the CPU (track_distance.cu) and CUDA (track_distance_cuda.cu). A track is the
// polyline through its fixations, in image sides.
//
//   D_l(p) = min over segments a -> b of |p - q|,  q = a + t (b - a),  t = clamp((p - a).(b - a) / |b - a|^2, 0, 1)
//
// One fixation is a segment of length 0; without fixations the distance is infinite.
//
// Backward: at the minimum, t and the choice of segment do not change to first order (envelope theorem), so
//   dD/da = -(1-t) (p-q)/D,  dD/db = -t (p-q)/D;  0 at D = 0;  of equally close segments the first counts.
#pragma once

#include <limits>
#include <vector>

#include "kernels/common/math.h"
#include "kernels/ops.h"

namespace gt::polyline {

/// A segment: its start, its direction, and 1 / length^2, or 0 for a point, so that t is 0.
template <class T>
struct Segment {
  T x, y, dx, dy, inverse;
};

template <class T>
GT_HD inline Segment<T> segment(const T* a, const T* b) {
  const T dx = b[0] - a[0], dy = b[1] - a[1], length2 = dx * dx + dy * dy;
  return {a[0], a[1], dx, dy, length2 > std::numeric_limits<T>::min() ? 1 / length2 : T(0)};
}

/// The closest point q of a segment to p: its t on the segment, and the offset p - q.
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

/// The number of segments of a track of fixations [first, last).
GT_HD inline int64_t segment_count(int64_t first, int64_t last) {
  return last - first > 1 ? last - first - 1 : last - first;
}

/// The fixation at the end of the segment from fixation `start`; `start` itself if the track has no other.
GT_HD inline int64_t segment_end(int64_t start, int64_t last) { return start + 1 < last ? start + 1 : last - 1; }

/// A pixel's gradient for its closest point q, -g (p - q) / D for a map gradient g. The segment's end gets the part t
/// of it, its start the rest.
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

#if GT_CUDA
namespace cuda {

template <class T>
void track_distance_forward(const T* xy, const int32_t* ranges, int64_t batch, const std::vector<MapSize>& sizes,
                            const std::vector<T*>& maps);

/// Writes dxy (N,2) for N = count. A null entry of dmaps is a level without gradient.
template <class T>
void track_distance_backward(const T* xy, int64_t count, const int32_t* ranges, int64_t batch,
                             const std::vector<MapSize>& sizes, const std::vector<T*>& dmaps, T* dxy);

}  // namespace cuda
#endif

}  // namespace gt::polyline
