#include "gaze/registration.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/ops.h"

namespace gt {
namespace {

struct Point {
  double x = 0, y = 0;
};

/// The mean of the fixations, weighted by duration.
Point centre_of(const Track& track) {
  Point sum;
  double weight = 0;
  for (const Fixation& f : track.fixations) {
    const double w = std::max(f.duration, 1.0);
    sum.x += w * f.x, sum.y += w * f.y, weight += w;
  }
  return {sum.x / weight, sum.y / weight};
}

/// What is learnt of one track: the shift, and the logarithm of the width.
struct Variables {
  double dx = 0, dy = 0, log_width = 0;

  Variables moved(double step, const Variables& direction) const {
    return {dx + step * direction.dx, dy + step * direction.dy, log_width + step * direction.log_width};
  }
};

/// A value that is to be maximised, with its gradient.
struct Objective {
  double overlap = 0, value = 0;
  Variables gradient;
};

class Agreement {
 public:
  Agreement(const Track& track, const Tensor& prediction, const MapOptions& maps, const RegistrationOptions& options)
      : options_(options),
        maps_(maps),
        centre_(centre_of(track)),
        packed_(pack_tracks({&track}, maps)),
        prediction_(reshape(prediction, {1, prediction.dim(0), prediction.dim(1)})),
        sizes_(size_t(map_levels) + 1, {1, 1}) {  // the other maps are not used
    sizes_.back() = {prediction.dim(0), prediction.dim(1)};
    for (const Fixation& f : track.fixations) offsets_.push_back({f.x - centre_.x, f.y - centre_.y});
    squares_ = sum(square(prediction_)).item();
  }

  Objective at(const Variables& v) const {
    const double width = std::exp(v.log_width);
    PackedTracks tracks = packed_;
    tracks.xy = Tensor({int64_t(offsets_.size()), 2});
    float* xy = tracks.xy.data<float>();
    for (const Point& offset : offsets_) {
      *xy++ = float(centre_.x + width * offset.x + v.dx);
      *xy++ = float(centre_.y + width * offset.y + v.dy);
    }
    tracks.xy.set_requires_grad();
    const Tensor map = track_maps(tracks, maps_, sizes_).back();
    const Tensor product = sum(mul(map, prediction_)), energy = scale(sum(square(map)), 1, squares_);
    const Tensor overlap = scale(mul(product, reciprocal(energy)), 2);
    backward(overlap);
    Objective o;
    o.overlap = o.value = overlap.item();
    const std::vector<float> slope = tracks.xy.grad().values<float>();
    for (size_t i = 0; i < offsets_.size(); ++i) {
      const double gx = double(slope[2 * i]), gy = double(slope[2 * i + 1]);
      o.gradient.dx += gx, o.gradient.dy += gy;
      o.gradient.log_width += width * (gx * offsets_[i].x + gy * offsets_[i].y);
    }
    add_prior(o, v);
    return o;
  }

 private:
  void add_prior(Objective& o, const Variables& v) const {
    const double shift = options_.prior_weight / (options_.shift_prior * options_.shift_prior);
    const double width = options_.prior_weight / (options_.width_prior * options_.width_prior);
    o.value -= (shift * (v.dx * v.dx + v.dy * v.dy) + width * v.log_width * v.log_width) / 2;
    o.gradient.dx -= shift * v.dx, o.gradient.dy -= shift * v.dy;
    o.gradient.log_width = options_.widen ? o.gradient.log_width - width * v.log_width : 0;
  }

  const RegistrationOptions& options_;
  const MapOptions& maps_;
  Point centre_;
  PackedTracks packed_;
  Tensor prediction_;
  std::vector<MapSize> sizes_;
  std::vector<Point> offsets_;  // of the fixations from the centre
  double squares_ = 0;          // sum of p^2
};

}  // namespace

Track registered_track(const Track& track, const Registration& r) {
  const Point centre = centre_of(track);
  Track moved = track;
  for (Fixation& f : moved.fixations) {
    f.x = std::clamp(centre.x + r.width * (f.x - centre.x) + r.dx, 0.0, 1.0);
    f.y = std::clamp(centre.y + r.width * (f.y - centre.y) + r.dy, 0.0, 1.0);
  }
  return moved;
}

Registration register_track(const Track& track, const Tensor& prediction, const MapOptions& maps,
                            const RegistrationOptions& options) {
  GT_CHECK(!track.fixations.empty(), "register_track: the track of '", track.image, "' is empty");
  constexpr double first_step = 0.01, min_step = 1e-5;  // lengths in the variables' space
  const Agreement agreement(track, prediction, maps, options);
  Variables best;
  Objective o = agreement.at(best);
  const double before = o.overlap;
  double step = first_step;
  for (int64_t k = 0; k < options.steps && step > min_step; ++k) {
    const Variables& g = o.gradient;
    const double length = std::sqrt(g.dx * g.dx + g.dy * g.dy + g.log_width * g.log_width);
    if (!(length > 0)) break;
    const Variables next = best.moved(step / length, g);
    const Objective there = agreement.at(next);
    if (there.value > o.value) {
      best = next, o = there;
      step *= 1.2;
    } else {
      step /= 2;
    }
  }
  return {best.dx, best.dy, std::exp(best.log_width), before, o.overlap};
}

}  // namespace gt
