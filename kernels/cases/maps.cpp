// Rows of the op table: maps drawn from tracks. splat and track_distance are compared with plain loops in double,
// written from the definitions.

#include <cmath>
#include <limits>

#include "kernels/cases/packed_tracks.h"

namespace gt {
namespace {

// ---- Packed tracks --------------------------------------------------------------------------------------------------

/// Pixels of all maps.
double map_pixels(const Sizes& s) {
  double sum = 0;
  for (size_t i = 2; i < s.size(); i += 2) sum += double(s[0] * s[i] * s[i + 1]);
  return sum;
}

/// The map sizes as the shape (0,H_1,W_1,..,H_L,W_L) of a tensor without elements. An op can thus get them among its
/// inputs, without waiting for the device.
Tensor pack_sizes(const Sizes& s) {
  Shape shape(s.begin() + 1, s.end());
  shape[0] = 0;
  return Tensor(shape, DType::u8);
}

/// The map sizes from pack_sizes().
std::vector<MapSize> unpack_sizes(const Tensor& packed) {
  std::vector<MapSize> sizes;
  for (int i = 1; i < packed.rank(); i += 2) sizes.push_back({packed.dim(i), packed.dim(i + 1)});
  return sizes;
}

/// f(pixel, x, y) for every pixel of a map, with its centre in image sides.
template <class F>
void for_each_centre(MapSize size, const F& f) {
  for (int64_t v = 0; v < size.height; ++v)
    for (int64_t u = 0; u < size.width; ++u)
      f(v * size.width + u, (double(u) + 0.5) / double(size.width), (double(v) + 0.5) / double(size.height));
}

Tensors zero_maps(const std::vector<MapSize>& sizes, int64_t batch) {
  Tensors maps;
  for (const auto [height, width] : sizes) maps.push_back(Tensor::zeros({batch, height, width}, DType::f64));
  return maps;
}

Tensors cast_all(Tensors tensors, DType dtype) {
  for (Tensor& t : tensors)
    if (t.defined()) t = t.cast(dtype);
  return tensors;
}

// ---- splat ----------------------------------------------------------------------------------------------------------

/// xy, weight, sigma, offsets, sizes.
Tensors splat_inputs(const Sizes& s, Maker& m) {
  const Tensor offsets = offsets_of(s);
  const int64_t count = offsets.data<int32_t>()[s[0]], levels = level_count(s);
  const Tensor weight = mul(m.uniform({levels, count}, 0.2, 1), m.zero_one({levels, count}, 0.7));  // 0: truncated away
  return {m.param(m.uniform({count, 2}, -0.2, 1.2)), m.param(weight), m.param(m.uniform({levels, s[0], 2}, 0.05, 0.3)),
          offsets, pack_sizes(s)};
}

Tensors run_splat(const Tensors& x) { return splat(x[0], x[1], x[2], x[3], unpack_sizes(x[4])); }

/// Inputs without maps of 0, where normalisation is discontinuous: each track's first fixation has a weight above 0.
Tensors normalized_inputs(const Sizes& s, Maker& m) {
  Tensors inputs = splat_inputs(s, m);
  Tensor weight = inputs[1].cast(DType::f64);
  const int32_t* offsets = inputs[3].data<int32_t>();
  for (int64_t l = 0; l < weight.dim(0); ++l)
    for (int64_t b = 0; b < s[0]; ++b)
      if (offsets[b] < offsets[b + 1]) weight.data<double>()[l * weight.dim(1) + offsets[b]] = 0.7;
  inputs[1] = m.param(weight.cast(m.dtype));
  return inputs;
}

Tensors run_splat_normalized(const Tensors& x) { return splat_normalized(x[0], x[1], x[2], x[3], unpack_sizes(x[4])); }

Tensors composed_normalized(const Tensors& x) {
  Tensors maps = run_splat(x);
  for (Tensor& map : maps) map = normalize_max(map);
  return maps;
}

/// f(l, b, i, pixel, d_x, d_y, Gaussian) for every pixel of every map and every fixation i of its track.
template <class F>
void for_each_splat_term(const Tensors& x, const F& f) {
  const Tensor xy = x[0].cast(DType::f64), sigma = x[2].cast(DType::f64);
  const std::vector<MapSize> sizes = unpack_sizes(x[4]);
  const int32_t* offsets = x[3].data<int32_t>();
  for (int64_t l = 0; l < int64_t(sizes.size()); ++l)
    for (int64_t b = 0; b + 1 < x[3].dim(0); ++b)
      for (int64_t i = offsets[b]; i < offsets[b + 1]; ++i)
        for_each_centre(sizes[size_t(l)], [&](int64_t pixel, double px, double py) {
          const double dx = px - xy.data<double>()[2 * i], dy = py - xy.data<double>()[2 * i + 1];
          const double* s = sigma.data<double>() + 2 * (l * sigma.dim(1) + b);
          f(l, b, i, pixel, dx, dy, std::exp(-dx * dx / (2 * s[0] * s[0]) - dy * dy / (2 * s[1] * s[1])));
        });
}

Tensors naive_splat(const Tensors& x) {
  const DType dtype = x[0].dtype();
  Tensors maps = zero_maps(unpack_sizes(x[4]), x[3].dim(0) - 1);
  const Tensor weight = x[1].cast(DType::f64), sigma = x[2].cast(DType::f64);
  const int64_t count = weight.dim(1);
  for_each_splat_term(x, [&](int64_t l, int64_t b, int64_t i, int64_t pixel, double, double, double g) {
    Tensor& map = maps[size_t(l)];
    map.data<double>()[b * map.dim(1) * map.dim(2) + pixel] += weight.data<double>()[l * count + i] * g;
  });
  const Tensors saved{x[0].detach(), x[1].detach(), x[2].detach(), x[3], x[4]};
  return record("naive_splat", cast_all(maps, dtype), {x[0], x[1], x[2]}, [=](const Tensors& dy) -> Tensors {
    const Tensors grad = cast_all(dy, DType::f64);
    Tensor dxy = Tensor::zeros({count, 2}, DType::f64), dw = Tensor::zeros(weight.shape(), DType::f64),
           ds = Tensor::zeros(sigma.shape(), DType::f64);
    for_each_splat_term(saved, [&](int64_t l, int64_t b, int64_t i, int64_t pixel, double dx, double dy, double g) {
      const Tensor& map = grad[size_t(l)];
      if (!map.defined()) return;
      const double value = map.data<double>()[b * map.dim(1) * map.dim(2) + pixel] * g;
      const double whole = value * weight.data<double>()[l * count + i];
      const int64_t at = 2 * (l * sigma.dim(1) + b);
      const double sx = sigma.data<double>()[at], sy = sigma.data<double>()[at + 1];
      dw.data<double>()[l * count + i] += value;
      dxy.data<double>()[2 * i] += whole * dx / (sx * sx);
      dxy.data<double>()[2 * i + 1] += whole * dy / (sy * sy);
      ds.data<double>()[at] += whole * dx * dx / (sx * sx * sx);
      ds.data<double>()[at + 1] += whole * dy * dy / (sy * sy * sy);
    });
    return cast_all({dxy, dw, ds}, dtype);
  });
}

// ---- track_distance -------------------------------------------------------------------------------------------------

/// The point of a polyline that is closest to some point p.
struct Nearest {
  double distance = std::numeric_limits<double>::infinity();
  int64_t start = -1, stop = -1;  // the fixations of its segment
  double t = 0, x = 0, y = 0;
  bool clear = true;  // whether p is far from where the segment or the clamping of t changes
};

/// On one segment: the nearer end, or the foot of the perpendicular if that is inside.
Nearest nearest_on_segment(const double* xy, int64_t start, int64_t stop, double px, double py) {
  const double *a = xy + 2 * start, *b = xy + 2 * stop;
  const auto to = [&](double t) {
    const double x = a[0] + t * (b[0] - a[0]), y = a[1] + t * (b[1] - a[1]);
    return Nearest{std::hypot(px - x, py - y), start, stop, t, x, y};
  };
  Nearest best = to(0);
  if (start == stop) return best;
  if (to(1).distance < best.distance) best = to(1);
  const double length = std::hypot(b[0] - a[0], b[1] - a[1]);
  const double along = ((px - a[0]) * (b[0] - a[0]) + (py - a[1]) * (b[1] - a[1])) / length;
  if (along > 0 && along < length) best = to(along / length);
  const double margin = 1e-3 * (1 + best.distance / length);
  best.clear = std::fabs(along) > margin && std::fabs(along - length) > margin;
  return best;
}

Nearest nearest_on_track(const double* xy, int64_t first, int64_t last, double px, double py) {
  const int64_t segments = std::max(last - first - 1, std::min<int64_t>(last - first, 1));
  const auto nearest = [&](int64_t k) {
    return nearest_on_segment(xy, first + k, std::min(first + k + 1, last - 1), px, py);
  };
  Nearest best;
  for (int64_t k = 0; k < segments; ++k) {
    const Nearest next = nearest(k);
    if (next.distance < best.distance) best = next;
  }
  // Neighbouring segments may share the closest point. All others must be farther away.
  for (int64_t k = 0; k < segments; ++k) {
    const Nearest next = nearest(k);
    const bool same_point = std::hypot(next.x - best.x, next.y - best.y) < 1e-9;
    if (next.distance < best.distance + 1e-3 && !(same_point && next.clear)) best.clear = false;
  }
  return best;
}

/// xy, ranges, sizes, and for each level of small maps a mask that is 1 where the closest point is clear.
Tensors distance_inputs(const Sizes& s, Maker& m) {
  const Tensor offsets = offsets_of(s);
  const int32_t* o = offsets.data<int32_t>();
  const int64_t levels = level_count(s);
  Tensor xy64 = m.uniform({o[s[0]], 2}, 0, 1).cast(DType::f64);
  double* p = xy64.data<double>();
  // Each track starts on a pixel centre, and every fifth fixation repeats the one before.
  for (int64_t b = 0; b < s[0]; ++b)
    for (int64_t i = o[b]; i < o[b + 1]; ++i) {
      if (i == o[b]) p[2 * i] = p[2 * i + 1] = 0.5;
      if (i % 5 == 4 && i > o[b]) std::copy_n(p + 2 * (i - 1), 2, p + 2 * i);
    }
  Tensor ranges({levels, s[0], 2}, DType::i32);
  Tensors inputs{m.param(xy64.cast(m.dtype)), ranges, pack_sizes(s)}, masks;
  if (map_pixels(s) < 1 << 16) masks = zero_maps(unpack_sizes(inputs[2]), s[0]);
  for (int64_t l = 0; l < levels; ++l)
    for (int64_t b = 0; b < s[0]; ++b) {
      int32_t* range = ranges.data<int32_t>() + 2 * (l * s[0] + b);
      range[0] = o[b] + int32_t(l * (o[b + 1] - o[b]) / levels);  // higher levels have less of the track's beginning
      range[1] = o[b + 1];
      if (masks.empty()) continue;
      Tensor& mask = masks[size_t(l)];
      for_each_centre(unpack_sizes(inputs[2])[size_t(l)], [&](int64_t pixel, double px, double py) {
        mask.data<double>()[b * mask.dim(1) * mask.dim(2) + pixel] =
            nearest_on_track(xy64.data<double>(), range[0], range[1], px, py).clear;
      });
    }
  for (const Tensor& mask : masks) inputs.push_back(mask.cast(m.dtype));
  return inputs;
}

Tensors naive_distance(const Tensor& xy, const Tensor& ranges, const std::vector<MapSize>& sizes) {
  const Tensor xy64 = xy.cast(DType::f64);
  const int64_t batch = ranges.dim(1);
  const auto for_each_pixel = [=](const auto& f) {  // f(l, index in the map, centre, closest point)
    for (int64_t l = 0; l < int64_t(sizes.size()); ++l)
      for (int64_t b = 0; b < batch; ++b) {
        const int32_t* range = ranges.data<int32_t>() + 2 * (l * batch + b);
        const MapSize size = sizes[size_t(l)];
        for_each_centre(size, [&](int64_t pixel, double px, double py) {
          f(size_t(l), b * size.height * size.width + pixel, px, py,
            nearest_on_track(xy64.data<double>(), range[0], range[1], px, py));
        });
      }
  };
  Tensors maps = zero_maps(sizes, batch);
  for_each_pixel(
      [&](size_t l, int64_t i, double, double, const Nearest& n) { maps[l].data<double>()[i] = n.distance; });
  return record("naive_distance", cast_all(maps, xy.dtype()), {xy},
                [=, dtype = xy.dtype()](const Tensors& dy) -> Tensors {
                  const Tensors grad = cast_all(dy, DType::f64);
                  Tensor dxy = Tensor::zeros(xy64.shape(), DType::f64);
                  for_each_pixel([&](size_t l, int64_t i, double px, double py, const Nearest& n) {
                    if (!grad[l].defined() || n.start < 0 || n.distance == 0) return;
                    const double g = -grad[l].data<double>()[i] / n.distance;
                    dxy.data<double>()[2 * n.start] += (1 - n.t) * g * (px - n.x);
                    dxy.data<double>()[2 * n.start + 1] += (1 - n.t) * g * (py - n.y);
                    dxy.data<double>()[2 * n.stop] += n.t * g * (px - n.x);
                    dxy.data<double>()[2 * n.stop + 1] += n.t * g * (py - n.y);
                  });
                  return {dxy.cast(dtype)};
                });
}

/// A Gaussian of the distances where these are clear, which makes infinite ones 0 and small ones smooth. Without masks,
/// the distances.
template <class F>
std::function<Tensors(const Tensors&)> clear_distances(const F& distance) {
  return [=](const Tensors& x) {
    Tensors maps = distance(x[0], x[1], unpack_sizes(x[2]));
    if (x.size() == 3) return maps;
    for (size_t l = 0; l < maps.size(); ++l) maps[l] = mul(gaussian(maps[l], 0.5), x[3 + l]);
    return maps;
  };
}

// ---- The rows -------------------------------------------------------------------------------------------------------

// On CUDA a tile has 32 x 32 pixels. Fixations are taken by 32, segments by 64 or by 128.
const std::vector<Sizes> map_sizes = {{2, 1, 1, 1},
                                      {2, 3, 5, 7},
                                      {3, 9, 4, 6, 17, 33},
                                      {1, 20, 8, 8, 16, 16, 45, 50},
                                      {2, 70, 36, 68, 3, 70},
                                      {1, 150, 33, 4},
                                      {1, 4, 1, 2, 2, 1, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8}};
// A map of one pixel is 1 for every track. Another map with it gives the errors their scale.
const std::vector<Sizes> normalized_cases = {
    {3, 2, 1, 1, 1, 2}, {2, 3, 5, 7}, {3, 9, 4, 6, 17, 33}, {2, 70, 36, 68, 3, 70}, {1, 150, 33, 4}};
const std::vector<Sizes> map_steps = {{8, 40, 16, 16, 32, 32, 64, 64, 128, 128, 128, 128},
                                      {8, 40, 28, 28, 56, 56, 112, 112, 224, 224, 224, 224},
                                      {256, 40, 28, 28, 56, 56, 112, 112, 224, 224, 224, 224}};

// ---- mix_maps -------------------------------------------------------------------------------------------------------

/// The splats of all levels if `splats`, the distances, tau.
Tensors mix_inputs(const Sizes& s, Maker& m, bool splats) {
  Tensors inputs;
  const std::vector<MapSize> sizes = unpack_sizes(pack_sizes(s));
  for (int kind = splats ? 0 : 1; kind < 2; ++kind)
    for (const auto [height, width] : sizes) inputs.push_back(m.param(m.uniform({s[0], height, width}, 0, 1)));
  inputs.push_back(m.uniform({int64_t(sizes.size()), s[0]}, 0.2, 0.6));
  return inputs;
}

/// 1 / tau of each level, (B).
Tensors inverse_taus(const Tensor& tau) {
  const std::vector<double> values = tau.to(Device::cpu).cast(DType::f64).values<double>();
  Tensors rows;
  for (int64_t l = 0; l < tau.dim(0); ++l) {
    std::vector<double> row;
    for (int64_t b = 0; b < tau.dim(1); ++b) row.push_back(1 / values[size_t(l * tau.dim(1) + b)]);
    rows.push_back(Tensor::of({tau.dim(1)}, row).cast(tau.dtype()).to(tau.device()));
  }
  return rows;
}

std::function<Tensors(const Tensors&)> run_mix(bool splats, double splat_weight) {
  return [=](const Tensors& x) {
    const auto middle = splats ? x.begin() + x.back().dim(0) : x.begin();
    return mix_maps(Tensors(x.begin(), middle), Tensors(middle, x.end() - 1), x.back(), splat_weight);
  };
}

std::function<Tensors(const Tensors&)> composed_mix(bool splats, double splat_weight) {
  return [=](const Tensors& x) {
    const Tensors inverse_tau = inverse_taus(x.back());
    const size_t levels = inverse_tau.size();
    Tensors maps;
    for (size_t l = 0; l < levels; ++l) {
      const Tensor& distance = x[splats ? levels + l : l];
      const Tensor flat = reshape(distance, {distance.dim(0), distance.dim(1) * distance.dim(2)});
      const Tensor e = gaussian(reshape(mul_pixels(flat, inverse_tau[l]), distance.shape()), 1);
      const Tensor path = scale(e, 1 - splat_weight);
      maps.push_back(splats ? add(scale(x[l], splat_weight), path) : path);
    }
    return maps;
  };
}

OpCase mix_row(const std::string& name, bool splats, double splat_weight, std::vector<Sizes> large) {
  OpCase c;
  c.name = name;
  c.sizes = map_sizes;
  c.large = std::move(large);
  c.inputs = [=](const Sizes& s, Maker& m) { return mix_inputs(s, m, splats); };
  c.op = run_mix(splats, splat_weight);
  c.composed = composed_mix(splats, splat_weight);
  c.wrong = [] { mix_maps({}, {Tensor({2, 4, 4})}, Tensor({1, 3}), 0.5); };
  c.cost = [=](const Sizes& s) { return Cost{4 * map_pixels(s) * (splats ? 3 : 2), 30 * map_pixels(s)}; };
  c.backward = [=](const Sizes& s) { return Cost{4 * map_pixels(s) * (splats ? 4 : 3), 30 * map_pixels(s)}; };
  c.fuses = true;
  return c;
}

}  // namespace

std::vector<OpCase> map_cases() {
  const auto wrong_splat = [] {
    splat(Tensor({4, 2}), Tensor({1, 3}), Tensor({1, 1, 2}), Tensor::of<int32_t>({2}, {0, 4}), {{8, 8}});
  };
  const auto wrong_distance = [] { track_distance(Tensor({4, 2}), Tensor::of<int32_t>({1, 1, 2}, {2, 5}), {{8, 8}}); };
  const auto splat_cost = [](const Sizes& s) {
    return Cost{4 * map_pixels(s), 2 * map_pixels(s) * double(3 * s[1]) / 4};  // every second track is half as long
  };
  const auto normalized_cost = [=](const Sizes& s) {  // more if the maps are drawn twice
    return Cost{4 * map_pixels(s), splat_cost(s).flops + map_pixels(s)};
  };
  const auto wrong_normalized = [] {
    splat_normalized(Tensor({4, 2}), Tensor({1, 4}), Tensor({1, 2, 2}), Tensor::of<int32_t>({2}, {0, 4}), {{8, 8}});
  };
  const auto splat_backward = [](const Sizes& s) {
    return Cost{4 * map_pixels(s), 6 * map_pixels(s) * double(3 * s[1]) / 4};
  };
  // In each direction at least the nearest segment of a pixel is tried.
  const auto distance_cost = [](const Sizes& s) { return Cost{4 * map_pixels(s), 16 * map_pixels(s)}; };
  const auto distance = clear_distances(track_distance), naive = clear_distances(naive_distance);
  return {
      {"splat", map_sizes, map_steps, splat_inputs, run_splat, naive_splat, wrong_splat, splat_cost, splat_backward},
      {"splat, one map",
       {{2, 5, 9, 7, 6, 8}},
       {},
       splat_inputs,
       only(1, run_splat),
       only(1, naive_splat),
       wrong_splat,
       splat_cost},
      {"splat_normalized", normalized_cases, map_steps, normalized_inputs, run_splat_normalized, composed_normalized,
       wrong_normalized, normalized_cost, splat_backward, true, 3e-5},  // terms of sigma's gradient have either sign
      {"splat_normalized, one map",
       {{2, 5, 9, 7, 6, 8}},
       {},
       normalized_inputs,
       only(1, run_splat_normalized),
       only(1, composed_normalized),
       wrong_normalized,
       normalized_cost},
      {"track_distance", map_sizes, map_steps, distance_inputs, distance, naive, wrong_distance, distance_cost,
       distance_cost},
      {"track_distance, one map",
       {{2, 5, 9, 7, 6, 8}},
       {},
       distance_inputs,
       only(1, distance),
       only(1, naive),
       wrong_distance,
       distance_cost},
      mix_row("mix_maps", true, 0.4, map_steps),
      mix_row("mix_maps, distances alone", false, 0, {})};
}

}  // namespace gt
