// Truncation, packing, track maps and the heat map.
#include "gaze/maps.h"

#include <algorithm>
#include <cmath>

#include "tests/catch.h"
#include "tests/differences.h"
#include "tests/temp_folder.h"

using namespace gt;

namespace {

Track track_of(const std::vector<Fixation>& fixations) { return {"a", fixations, 100, 100}; }

std::vector<Fixation> with_durations(const std::vector<double>& durations) {
  std::vector<Fixation> f;
  for (const double d : durations) f.push_back({0.1 + 0.1 * double(f.size()), 0.5, d, 400.0 * double(f.size())});
  return f;
}

}  // namespace

TEST_CASE("maps: truncation keeps the shortest end of a track with the given share", "[gaze]") {
  using Kept = std::pair<int64_t, int64_t>;
  const std::vector<Fixation> track = with_durations({100, 100, 100, 300, 200, 200});  // 1000 ms
  MapOptions options;
  CHECK(truncate(track, 1.0, options) == Kept{0, 6});
  CHECK(truncate(track, 0.7, options) == Kept{3, 6});
  CHECK(truncate(track, 0.71, options) == Kept{2, 6});
  CHECK(truncate(track, 0.4, options) == Kept{4, 6});
  CHECK(truncate(track, 0.0, options) == Kept{5, 6});
  options.keep_end = "first";
  CHECK(truncate(track, 0.3, options) == Kept{0, 3});
  CHECK(truncate(track, 0.0, options) == Kept{0, 1});
  options.keep_by = "count";
  CHECK(truncate(track, 0.5, options) == Kept{0, 3});
  options.keep_end = "last";
  CHECK(truncate(track, 0.51, options) == Kept{2, 6});
  CHECK(truncate(with_durations(std::vector<double>(20, 100)), 0.55, options) == Kept{9, 20});  // 11.000000000000002
  CHECK(truncate(with_durations({80}), 0.25, options) == Kept{0, 1});
}

TEST_CASE("maps: a tau that is not above 0 is refused", "[gaze]") {
  const Tensor distances = Tensor::full({2, 3, 3}, 0.1);
  CHECK_NOTHROW(mix_maps({}, {distances}, Tensor::full({1, 2}, 0.2), 0));
  for (const double tau : {0.0, -0.1, std::nan("")})
    CHECK(error_of([&] {
            mix_maps({}, {distances}, Tensor::of({1, 2}, std::vector<double>{0.2, tau}).cast(DType::f32), 0);
          }).find("of level 0, track 1, expected a tau above 0") != std::string::npos);
}

TEST_CASE("maps: packed tracks have their weights, kept parts and offsets", "[gaze]") {
  const Track a = track_of(with_durations({100, 300})), b = track_of(with_durations({200, 200, 400}));
  MapOptions options;
  options.gamma = 0.5;
  const PackedTracks packed = pack_tracks({&a, &b}, options, DType::f64);
  CHECK(packed.xy.shape() == Shape{5, 2});
  CHECK(packed.offsets.values<int32_t>() == std::vector<int32_t>{0, 2, 5});
  CHECK(packed.kept.shape() == Shape{5, 2, 2});
  CHECK(packed.kept.values<int32_t>() ==
        std::vector<int32_t>{0, 2, 2, 5, 1, 2, 3, 5, 1, 2, 4, 5, 1, 2, 4, 5, 0, 2, 2, 5});
  const std::vector<double> w = packed.weight.values<double>();
  const std::vector<double> full = {0.25 * 0.5, 0.75, 0.25 * 0.25, 0.25 * 0.5, 0.5};
  for (size_t i = 0; i < 5; ++i) {
    CHECK(w[i] == Approx(full[i]));
    CHECK(w[20 + i] == Approx(full[i]));                           // the full track's map
    CHECK(w[15 + i] == Approx(i == 1 || i == 4 ? full[i] : 0.0));  // the finest level's
  }
}

TEST_CASE("maps: a track's spread is the median distance from its median centre, by duration", "[gaze]") {
  CHECK(track_spread({}) == 0);
  CHECK(track_spread({{0.3, 0.8, 100, 0}}) == 0);
  CHECK(track_spread({{0.2, 0.5, 100, 0}, {0.6, 0.5, 100, 0}}) == Approx(0.2));
  std::vector<Fixation> ring = {{0.4, 0.5, 90, 0}, {0.5, 0.4, 90, 0}, {0.6, 0.5, 90, 0}, {0.5, 0.6, 90, 0}};
  CHECK(track_spread(ring) == Approx(0.1));
  ring.push_back({0.5, 0.5, 60, 0});
  ring.push_back({1, 0, 60, 0});  // a glance elsewhere
  CHECK(track_spread(ring) == Approx(0.1));
  ring.push_back({0.5, 0.5, 1000, 0});  // most of the time at the centre
  CHECK(track_spread(ring) == Approx(0));
}

TEST_CASE("maps: sigma and tau grow with a track's spread", "[gaze]") {
  const Track wide = track_of({{0.2, 0.5, 100, 0}, {0.6, 0.5, 100, 0}}), point = track_of({{0.3, 0.3, 100, 0}});
  MapOptions options;
  options.sigma_x = {0.4, 0.3, 0.2, 0.1};
  options.sigma_y = {0.8, 0.7, 0.6, 0.5};
  options.tau = {0.12, 0.11, 0.1, 0.09};
  options.spread = 0.05;
  for (const double exponent : {0.0, 0.5, 1.0}) {
    options.spread_exponent = exponent;
    const PackedTracks packed = pack_tracks({&wide, &point}, options, DType::f64);
    REQUIRE(packed.sigma.shape() == Shape{5, 2, 2});
    REQUIRE(packed.tau.shape() == Shape{5, 2});
    const std::vector<double> factors = {std::pow(4, exponent), std::pow(0.6, exponent)};  // the minimum spread is 0.03
    for (size_t b = 0; b < 2; ++b) {
      for (size_t l = 0; l < 5; ++l) {
        const double* sigma = packed.sigma.data<double>() + 2 * (2 * l + b);
        CHECK(sigma[0] == Approx(options.sigma_x[std::min(l, size_t(3))] * factors[b]));
        CHECK(sigma[1] == Approx(options.sigma_y[std::min(l, size_t(3))] * factors[b]));
        CHECK(packed.tau.data<double>()[2 * l + b] == Approx(options.tau[std::min(l, size_t(3))] * factors[b]));
      }
    }
  }
}

TEST_CASE("maps: with spread_exponent 1, a track of twice the size has a map of twice the size", "[gaze]") {
  const Track small = track_of({{0.45, 0.47, 200, 0}, {0.55, 0.5, 150, 0}, {0.5, 0.56, 250, 0}, {0.46, 0.5, 90, 0}});
  Track large = small;
  for (Fixation& f : large.fixations) f.x = 0.5 + 2 * (f.x - 0.5), f.y = 0.5 + 2 * (f.y - 0.5);
  MapOptions options;
  options.spread_exponent = 1;
  const auto maps_of = [&](const Track& track, int64_t n) {
    return track_maps(pack_tracks({&track}, options, DType::f64), options, std::vector<MapSize>(5, MapSize{n, n}));
  };
  const int64_t n = 16;
  const Tensors inner = maps_of(small, 2 * n), whole = maps_of(large, n);
  for (size_t l = 0; l < 5; ++l)
    for (int64_t v = 0; v < n; ++v)
      for (int64_t u = 0; u < n; ++u)  // the centre of the finer map has the coarser map's pixels
        CHECK(inner[l].data<double>()[(v + n / 2) * 2 * n + u + n / 2] ==
              Approx(whole[l].data<double>()[v * n + u]).margin(1e-12));
}

TEST_CASE("maps: they agree with the formula", "[gaze]") {
  const Track a = track_of({{0.2, 0.3, 100, 0}, {0.7, 0.4, 200, 200}, {0.5, 0.8, 150, 600}}),
              b = track_of({{0.9, 0.1, 80, 0}});
  MapOptions options;
  options.sigma_x = {0.2, 0.15, 0.1, 0.09};
  options.tau = {0.3, 0.2, 0.1, 0.05};
  const std::vector<MapSize> sizes = {{3, 4}, {5, 5}, {8, 7}, {9, 11}, {6, 6}};
  for (const auto& [mix, exponent] : std::vector<std::pair<double, double>>{{0, 0}, {0.3, 0}, {1, 0}, {0.3, 0.7}}) {
    options.mix = mix;
    options.spread_exponent = exponent;
    const double factor = std::pow(track_spread(a.fixations) / options.spread, exponent);
    const PackedTracks packed = pack_tracks({&a, &b}, options, DType::f64);
    const Tensors maps = track_maps(packed, options, sizes);
    REQUIRE(maps.size() == 5);
    for (size_t l = 0; l < 5; ++l) {
      const size_t level = std::min(l, size_t(3));
      const auto [height, width] = sizes[l];
      REQUIRE(maps[l].shape() == Shape{2, height, width});
      const auto centre = [&](int64_t i, int64_t n) { return (double(i) + 0.5) / double(n); };
      const auto [begin, end] =
          l < 4 ? truncate(a.fixations, options.keep[l], options) : std::pair{int64_t(0), int64_t(3)};
      std::vector<double> splat, path;
      for (int64_t i = 0; i < height * width; ++i) {
        const double x = centre(i % width, width), y = centre(i / width, height);
        double s = 0, d = 1e9;
        for (int64_t k = begin; k < end; ++k) {
          const Fixation &f = a.fixations[size_t(k)], &g = a.fixations[size_t(std::min(k + 1, end - 1))];
          s += f.duration * std::exp(-0.5 * (std::pow((x - f.x) / (options.sigma_x[level] * factor), 2) +
                                             std::pow((y - f.y) / (options.sigma_y[level] * factor), 2)));
          for (int64_t j = 0; j <= 2000; ++j) {  // along the path
            const double t = double(j) / 2000;
            d = std::min(d, std::hypot(x - f.x - t * (g.x - f.x), y - f.y - t * (g.y - f.y)));
          }
        }
        splat.push_back(s);
        path.push_back(std::exp(-0.5 * std::pow(d / (options.tau[level] * factor), 2)));
      }
      const double max = *std::max_element(splat.begin(), splat.end());
      for (size_t i = 0; i < splat.size(); ++i)
        CHECK(maps[l].data<double>()[i] == Approx(mix * splat[i] / max + (1 - mix) * path[i]).margin(1e-5));
    }
  }
  CHECK_THROWS_AS(track_maps(pack_tracks({&a}, options), options, {{2, 2}}), Error);
}

TEST_CASE("maps: the heat map is a filtered, normalised sum of durations", "[gaze]") {
  // Filtering by hand, with a kernel of 4 sigma and a reflected canvas.
  const double sigma = 70;
  const Track track = track_of({{0.05, 0.5, 100, 0}, {0.6, 0.97, 250, 200}, {1, 0, 70, 500}});
  const auto filtered = [&](double at, int64_t pixel) {
    const int64_t source = std::min<int64_t>(767, int64_t(at * 768));
    double weight = 0, total = 0;
    for (int64_t k = -280; k <= 280; ++k) {
      int64_t from = pixel + k;
      if (from < 0) from = -1 - from;
      if (from > 767) from = 2 * 768 - 1 - from;
      const double g = std::exp(-0.5 * double(k * k) / (sigma * sigma));
      total += g;
      weight += from == source ? g : 0;
    }
    return weight / total;
  };
  std::vector<double> expected(768 * 768, 0.0);
  for (const Fixation& f : track.fixations) {
    std::vector<double> across, down;
    for (int64_t i = 0; i < 768; ++i) {
      across.push_back(filtered(f.x, i));
      down.push_back(filtered(f.y, i));
    }
    for (size_t i = 0; i < expected.size(); ++i) expected[i] += f.duration * down[i / 768] * across[i % 768];
  }
  const auto [min, max] = std::minmax_element(expected.begin(), expected.end());
  const double lo = *min, range = *max - *min;
  const Tensor heat = heat_map(track, 768, 768, sigma);
  REQUIRE(heat.shape() == Shape{768, 768});
  double worst = 0;
  for (size_t i = 0; i < expected.size(); ++i)
    worst = larger_difference(worst, double(heat.data<float>()[i]), (expected[i] - lo) / range);
  CHECK(worst < 1e-5);

  CHECK(heat_map(track, 31, 47).shape() == Shape{31, 47});
  CHECK_THROWS_AS(heat_map(track_of({}), 8, 8), Error);
}
