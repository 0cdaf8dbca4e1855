#include "gaze/maps.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace gt {

namespace {

// ---- The heat map's Gaussian filter ---------------------------------------------------------------------------------

constexpr int64_t canvas = 768;  // pixels a side of GazeMedSeg's heat maps, and of its images as they were shown

/// exp(-k^2 / (2 sigma^2)) for |k| <= 4 sigma, scaled to the sum 1, as scipy.ndimage.gaussian_filter's kernel.
std::vector<double> gaussian_kernel(double sigma) {
  const int64_t radius = int64_t(4 * sigma + 0.5);
  std::vector<double> kernel(size_t(2 * radius + 1));
  double total = 0;
  for (int64_t k = -radius; k <= radius; ++k)
    total += kernel[size_t(k + radius)] = std::exp(-0.5 * double(k * k) / (sigma * sigma));
  for (double& v : kernel) v /= total;
  return kernel;
}

/// Filters a row of the canvas with a unit impulse at pixel p. The boundary is reflected (d c b a | a b c d | d c b a):
/// impulses are at p and -p - 1, repeated with the period 2 canvas.
void filter_impulse(const std::vector<double>& kernel, int64_t p, float* row) {
  const int64_t radius = int64_t(kernel.size()) / 2, period = 2 * canvas, reach = radius / period + 1;
  std::vector<double> sum(size_t(canvas), 0.0);
  for (int64_t n = -reach; n <= reach; ++n)
    for (const int64_t at : {p + n * period, -p - 1 + n * period})
      for (int64_t i = std::max<int64_t>(0, at - radius); i <= std::min(canvas - 1, at + radius); ++i)
        sum[size_t(i)] += kernel[size_t(i - at + radius)];
  std::copy(sum.begin(), sum.end(), row);
}

int64_t canvas_pixel(double position) { return std::clamp<int64_t>(int64_t(position * double(canvas)), 0, canvas - 1); }

// ---- A track's spread and levels ------------------------------------------------------------------------------------

constexpr double min_spread = 0.03;  // image sides; about an eye tracker's error

/// The weighted median of pairs (value, weight): half of the weight is below it and half above.
double weighted_median(std::vector<std::pair<double, double>> values) {
  std::sort(values.begin(), values.end());
  double total = 0, sum = 0;
  for (const auto& [value, weight] : values) total += weight;
  for (size_t i = 0; i < values.size(); ++i) {
    sum += values[i].second;
    if (sum > total / 2) return values[i].first;
    if (sum == total / 2) return (values[i].first + values[std::min(i + 1, values.size() - 1)].first) / 2;
  }
  return 0;
}

/// The factor of a track's sigma and tau.
double track_scale(const std::vector<Fixation>& track, const MapOptions& options) {
  return std::pow(std::max(track_spread(track), min_spread) / options.spread, options.spread_exponent);
}

/// The entry of the options' lists that map l uses. The full track's map uses the finest level's.
size_t options_level(int64_t l) { return size_t(std::min(l, map_levels - 1)); }

}  // namespace

std::pair<int64_t, int64_t> truncate(const std::vector<Fixation>& track, double keep, const MapOptions& options) {
  const int64_t n = int64_t(track.size());
  const bool last = options.keep_end == "last", by_time = options.keep_by == "time";
  const auto share = [&](int64_t k) {  // of the k-th fixation, counted from the end that is kept
    return by_time ? track[size_t(last ? n - 1 - k : k)].duration : 1.0;
  };
  double total = 0;
  for (int64_t k = 0; k < n; ++k) total += share(k);
  const double required = keep * total * (1 - 1e-12);  // rounding must not add a fixation to an exact share
  double sum = 0;
  int64_t count = 0;
  while (count < n && (count == 0 || sum < required)) sum += share(count++);
  return last ? std::pair{n - count, n} : std::pair{int64_t(0), count};
}

double track_spread(const std::vector<Fixation>& track) {
  const auto median = [&](auto value) {
    std::vector<std::pair<double, double>> values;
    for (const Fixation& f : track) values.push_back({value(f), f.duration});
    return weighted_median(std::move(values));
  };
  const double x = median([](const Fixation& f) { return f.x; });
  const double y = median([](const Fixation& f) { return f.y; });
  return median([&](const Fixation& f) { return std::hypot(f.x - x, f.y - y); });
}

PackedTracks pack_tracks(const std::vector<const Track*>& tracks, const MapOptions& options, DType dtype) {
  const int64_t batch = int64_t(tracks.size());
  std::vector<int32_t> offsets(1, 0);
  for (const Track* track : tracks) offsets.push_back(offsets.back() + int32_t(track->fixations.size()));
  const int64_t total = offsets.back();

  std::vector<double> xy, scales, sigma, tau, weight(size_t((map_levels + 1) * total), 0.0);
  std::vector<int32_t> kept(size_t((map_levels + 1) * batch * 2));
  for (int64_t b = 0; b < batch; ++b) {
    const std::vector<Fixation>& f = tracks[size_t(b)]->fixations;
    const int64_t n = int64_t(f.size()), first = offsets[size_t(b)];
    scales.push_back(track_scale(f, options));
    double time = 0;
    for (const Fixation& fixation : f) {
      xy.insert(xy.end(), {fixation.x, fixation.y});
      time += fixation.duration;
    }
    for (int64_t l = 0; l <= map_levels; ++l) {
      const auto [begin, end] =
          l < map_levels ? truncate(f, options.keep[size_t(l)], options) : std::pair{int64_t(0), n};
      for (int64_t i = begin; i < end; ++i)
        weight[size_t(l * total + first + i)] =
            f[size_t(i)].duration / std::max(time, 1e-300) * std::pow(options.gamma, double(n - 1 - i));
      kept[size_t((l * batch + b) * 2)] = int32_t(first + begin);
      kept[size_t((l * batch + b) * 2 + 1)] = int32_t(first + end);
    }
  }
  for (int64_t l = 0; l <= map_levels; ++l)
    for (const double s : scales) {
      sigma.insert(sigma.end(), {options.sigma_x[options_level(l)] * s, options.sigma_y[options_level(l)] * s});
      tau.push_back(options.tau[options_level(l)] * s);
    }
  return {Tensor::of({total, 2}, xy).cast(dtype),
          Tensor::of({map_levels + 1, total}, weight).cast(dtype),
          Tensor::of({map_levels + 1, batch, 2}, sigma).cast(dtype),
          Tensor::of({map_levels + 1, batch}, tau).cast(dtype),
          Tensor::of({map_levels + 1, batch, 2}, kept),
          Tensor::of({batch + 1}, offsets)};
}

PackedTracks to_device(const PackedTracks& t, Device device) {
  return {t.xy.to(device),  t.weight.to(device), t.sigma.to(device),
          t.tau.to(device), t.kept.to(device),   t.offsets.to(device)};
}

PackedTracks with_capacity(const PackedTracks& tracks, int64_t fixations) {
  const int64_t count = tracks.xy.dim(0), rows = tracks.weight.dim(0);
  GT_CHECK(count <= fixations, "with_capacity: ", count, " fixations, the capacity is ", fixations);
  PackedTracks padded = tracks;
  padded.xy = Tensor::zeros({fixations, 2}, tracks.xy.dtype());
  padded.weight = Tensor::zeros({rows, fixations}, tracks.weight.dtype());
  visit_float(tracks.xy.dtype(), [&]<class T>() {
    std::copy_n(tracks.xy.data<T>(), 2 * count, padded.xy.data<T>());
    for (int64_t l = 0; l < rows; ++l)
      std::copy_n(tracks.weight.data<T>() + l * count, count, padded.weight.data<T>() + l * fixations);
  });
  return padded;
}

Tensors track_maps(const PackedTracks& tracks, const MapOptions& options, const std::vector<MapSize>& sizes) {
  GT_CHECK(int64_t(sizes.size()) == map_levels + 1, "track_maps: expected ", map_levels + 1, " sizes, got ",
           sizes.size());
  Tensors splats;
  if (options.mix > 0) splats = splat_normalized(tracks.xy, tracks.weight, tracks.sigma, tracks.offsets, sizes);
  if (options.mix == 1) return splats;
  return mix_maps(splats, track_distance(tracks.xy, tracks.kept, sizes), tracks.tau, options.mix);
}

Tensor heat_map(const Track& track, int64_t height, int64_t width, double sigma) {
  GT_CHECK(!track.fixations.empty(), "heat_map: the track of ", track.image, " has no fixations");
  // The Gaussian is separable, so each filtered impulse is an outer product of two rows.
  const std::vector<double> kernel = gaussian_kernel(sigma);
  const size_t n = track.fixations.size();
  std::vector<float> across(n * canvas), down(n * canvas);
  for (size_t i = 0; i < n; ++i) {
    filter_impulse(kernel, canvas_pixel(track.fixations[i].x), &across[i * canvas]);
    filter_impulse(kernel, canvas_pixel(track.fixations[i].y), &down[i * canvas]);
  }
  Tensor sum = Tensor::zeros({1, canvas, canvas, 1});
  float* const values = sum.data<float>();
  for (int64_t y = 0; y < canvas; ++y)
    for (size_t i = 0; i < n; ++i) {
      const float weight = float(track.fixations[i].duration) * down[i * canvas + size_t(y)];
      for (int64_t x = 0; x < canvas; ++x) values[y * canvas + x] += weight * across[i * canvas + size_t(x)];
    }
  const auto [min, max] = std::minmax_element(values, values + sum.size());
  const double range = double(*max) - double(*min), factor = range > 0 ? 1 / range : 0;
  const Tensor map = scale(sum, factor, -factor * double(*min));
  return resize_bilinear(map, height, width).view({height, width});
}

}  // namespace gt
