// Augmentation: images, masks and fixations move together, and exactly where they can.
#include <array>
#include <cmath>

#include "core/random.h"
#include "kernels/ops.h"
#include "tests/catch.h"
#include "tests/differences.h"

using namespace gt;

namespace {

using Geometry = std::array<double, 6>;

constexpr Geometry identity{1, 0, 0, 0, 1, 0};

Tensor geometry_of(const std::vector<Geometry>& rows, DType dtype = DType::f32) {
  std::vector<double> values;
  for (const Geometry& g : rows) values.insert(values.end(), g.begin(), g.end());
  return Tensor::of({int64_t(rows.size()), 2, 3}, values).cast(dtype);
}

/// Turns by `angle` about the centre and reads `scale` times as far from it.
Geometry turn(double angle, double scale) {
  const double c = scale * std::cos(angle), s = scale * std::sin(angle);
  return {c, -s, 0.5 - 0.5 * (c - s), s, c, 0.5 - 0.5 * (s + c)};
}

/// Colour that leaves the channels as they are.
Tensor same_colour(int64_t batch, int64_t channels, DType dtype = DType::f32) {
  Tensor colour = Tensor::zeros({batch, channels, channels + 1}, DType::f64);
  for (int64_t i = 0; i < batch * channels; ++i) colour.data<double>()[i * (channels + 1) + i % channels] = 1;
  return colour.cast(dtype);
}

Tensor random_bytes(const Shape& shape, uint64_t seed) {
  Random random(seed);
  Tensor t(shape, DType::u8);
  for (int64_t i = 0; i < t.size(); ++i) t.data<uint8_t>()[i] = uint8_t(random.below(256));
  return t;
}

/// Channel c of the image (H,W,C) at position (x, y) in image sides, by the definition.
double bilinear(const uint8_t* image, int64_t height, int64_t width, int64_t channels, int64_t c, double x, double y) {
  const auto inside = [](double s, int64_t n) { return std::min(std::max(s, 0.0), double(n - 1)); };
  const double px = inside(x * double(width) - 0.5, width), py = inside(y * double(height) - 0.5, height);
  double value = 0;
  for (int64_t v = 0; v < height; ++v)
    for (int64_t u = 0; u < width; ++u) {
      const double weight = std::max(0.0, 1 - std::fabs(px - double(u))) * std::max(0.0, 1 - std::fabs(py - double(v)));
      value += weight * image[(v * width + u) * channels + c];
    }
  return value;
}

/// Brightness-weighted mean position of a map (H,W), in image sides.
std::array<double, 2> centroid(const Tensor& map) {
  const std::vector<double> values = map.cast(DType::f64).values<double>();
  const int64_t height = map.dim(1), width = map.dim(2);
  double sum = 0, x = 0, y = 0;
  for (int64_t i = 0; i < height * width; ++i) {
    const double v = values[size_t(i)];
    sum += v;
    x += v * (double(i % width) + 0.5) / double(width);
    y += v * (double(i / width) + 0.5) / double(height);
  }
  return {x / sum, y / sum};
}

}  // namespace

TEST_CASE("augment: identity gives pixel / 255 exactly, flips and quarter turns copy pixels", "[augment]") {
  for (const auto& [height, width] : {std::pair<int64_t, int64_t>{1, 1}, {7, 13}, {100, 63}, {224, 224}, {3, 1023}}) {
    const Tensor images = random_bytes({2, height, width, 3}, 1);
    const Tensor colour = same_colour(2, 3);
    const std::vector<uint8_t> pixels = images.values<uint8_t>();
    const std::vector<float> same = augment(images, geometry_of({identity, identity}), colour).values<float>();
    const Geometry flip{-1, 0, 1, 0, 1, 0};
    const std::vector<float> flipped = augment(images, geometry_of({flip, flip}), colour).values<float>();
    bool equal = true;
    for (int64_t i = 0; i < 2 * height * width; ++i)
      for (int64_t c = 0; c < 3; ++c) {
        const int64_t mirror = i - i % width + width - 1 - i % width;
        equal &= same[size_t(3 * i + c)] == float(pixels[size_t(3 * i + c)]) / 255;
        equal &= flipped[size_t(3 * i + c)] == float(pixels[size_t(3 * mirror + c)]) / 255;
      }
    INFO(height << " x " << width);
    CHECK(equal);
  }

  const int64_t n = 224;
  const Tensor square = random_bytes({1, n, n, 1}, 2);
  const std::vector<float> turned =
      augment(square, geometry_of({turn(std::acos(-1.0) / 2, 1)}), same_colour(1, 1)).values<float>();
  bool equal = true;
  for (int64_t v = 0; v < n; ++v)
    for (int64_t u = 0; u < n; ++u)  // output (u, v) is read at (-v, u) about the centre
      equal &= turned[size_t(v * n + u)] == float(square.data<uint8_t>()[u * n + (n - 1 - v)]) / 255;
  CHECK(equal);
}

TEST_CASE("augment: geometry and colour by their definitions, in f32 and f64", "[augment]") {
  const int64_t height = 9, width = 14, channels = 3;
  const Tensor images = random_bytes({2, height, width, channels}, 3);
  Random random(4);
  for (const DType dtype : {DType::f32, DType::f64}) {
    const std::vector<Geometry> rows{turn(0.4, 1.3), {-0.8, 0.1, 1.2, 0.05, 0.9, -0.2}};  // both reach outside
    const Tensor geometry = geometry_of(rows, dtype);
    Tensor colour({2, channels, channels + 1}, DType::f64);
    for (int64_t i = 0; i < colour.size(); ++i) colour.data<double>()[i] = random.uniform(-1, 1);
    const Tensor y = augment(images, geometry, colour.cast(dtype));
    REQUIRE(y.dtype() == dtype);
    const std::vector<double> values = y.cast(DType::f64).values<double>();
    double worst = 0;
    for (int64_t b = 0; b < 2; ++b)
      for (int64_t i = 0; i < height * width; ++i) {
        const double px = (double(i % width) + 0.5) / double(width), py = (double(i / width) + 0.5) / double(height);
        const Geometry& g = rows[size_t(b)];
        const double qx = g[0] * px + g[1] * py + g[2], qy = g[3] * px + g[4] * py + g[5];
        const uint8_t* image = images.data<uint8_t>() + b * height * width * channels;
        for (int64_t k = 0; k < channels; ++k) {
          const double* m = colour.data<double>() + (b * channels + k) * (channels + 1);
          double expected = m[channels];
          for (int64_t c = 0; c < channels; ++c)
            expected += m[c] * bilinear(image, height, width, channels, c, qx, qy) / 255;
          const double got = values[size_t(((b * height * width) + i) * channels + k)];
          worst = larger_difference(worst, got, expected);
        }
      }
    CHECK(worst < (dtype == DType::f32 ? 1e-4 : 1e-12));
  }
}

TEST_CASE("augment: colour normalises, and the edge is repeated outside", "[augment]") {
  const Tensor grey = Tensor::of<uint8_t>({1, 1, 2, 1}, {51, 204});
  const Tensor standardise = Tensor::of<float>({1, 1, 2}, {4, -2});  // (c - 0.5) / 0.25
  const std::vector<float> y = augment(grey, geometry_of({identity}), standardise).values<float>();
  CHECK(y[0] == Approx((0.2 - 0.5) / 0.25));
  CHECK(y[1] == Approx((0.8 - 0.5) / 0.25));

  for (const double far : {-5.0, 5.0}) {
    const std::vector<float> edge =
        augment(grey, geometry_of({{1, 0, far, 0, 1, far}}), same_colour(1, 1)).values<float>();
    CHECK(edge == std::vector<float>(2, float(far < 0 ? 51 : 204) / 255));
  }
}

TEST_CASE("augment: a dot stays under its fixation, and so does a mask", "[augment]") {
  const int64_t height = 96, width = 128;
  const double x = 0.30, y = 0.62, radius = 0.08;
  Tensor mask = Tensor::zeros({1, height, width}, DType::u8);
  for (int64_t i = 0; i < height * width; ++i) {
    const double dx = (double(i % width) + 0.5) / double(width) - x,
                 dy = (double(i / width) + 0.5) / double(height) - y;
    if (dx * dx + dy * dy < radius * radius) mask.data<uint8_t>()[i] = 255;
  }
  const Tensor image = mask.view({1, height, width, 1});
  const Tensor fixation = Tensor::of<float>({1, 2}, {float(x), float(y)});
  const Tensor offsets = Tensor::of<int32_t>({2}, {0, 1});
  for (const Geometry& g : {identity, Geometry{-1, 0, 1, 0, 1, 0}, Geometry{1, 0, 0, 0, -1, 1}, turn(0.5, 1),
                            turn(-0.3, 1.25), turn(0.2, 0.8), Geometry{-1.1, 0, 1.05, 0, 0.9, 0.05}}) {
    const Tensor geometry = geometry_of({g});
    const std::vector<float> moved = augment_fixations(fixation, offsets, geometry).values<float>();
    const auto dot = centroid(augment(image, geometry, same_colour(1, 1)).view({1, height, width}));
    const Tensor moved_mask = augment_masks(mask, geometry);
    const auto disc = centroid(moved_mask);
    INFO("geometry " << g[0] << " " << g[1] << " " << g[2] << " " << g[3] << " " << g[4] << " " << g[5]);
    CHECK(dot[0] == Approx(moved[0]).margin(0.003));
    CHECK(dot[1] == Approx(moved[1]).margin(0.003));
    CHECK(disc[0] == Approx(moved[0]).margin(0.003));
    CHECK(disc[1] == Approx(moved[1]).margin(0.003));
    for (const float v : moved_mask.values<float>()) REQUIRE((v == 0 || v == 1));
  }
}

TEST_CASE("augment: masks are thresholded at one half", "[augment]") {
  const Tensor mask = Tensor::of<uint8_t>({1, 1, 2}, {0, 255});
  const auto shifted = [&](double by) {
    return augment_masks(mask, geometry_of({{1, 0, by / 2, 0, 1, 0}})).values<float>();  // in pixels
  };
  CHECK(shifted(0) == std::vector<float>{0, 1});
  CHECK(shifted(0.5) == std::vector<float>{1, 1});
  CHECK(shifted(0.49) == std::vector<float>{0, 1});
  CHECK(shifted(-0.51) == std::vector<float>{0, 0});
}

TEST_CASE("augment: wrong shapes and values are refused", "[augment]") {
  const Tensor offsets = Tensor::of<int32_t>({2}, {0, 1}), xy = Tensor::full({1, 2}, 0.5);
  CHECK_THROWS_AS(augment_fixations(xy, offsets, geometry_of({{1, 2, 0, 2, 4, 0}})), Error);
  CHECK_THROWS_AS(augment_fixations(xy, offsets, Tensor::zeros({1, 2, 3})), Error);
  CHECK_THROWS_AS(augment_fixations(xy, offsets, geometry_of({identity}, DType::f64)), Error);
  CHECK_THROWS_AS(augment_fixations(xy, Tensor::of<int32_t>({2}, {0, 2}), geometry_of({identity})), Error);

  const Tensor images = random_bytes({1, 4, 5, 3}, 5), geometry = geometry_of({identity});
  CHECK_THROWS_AS(augment(images.cast(DType::f32), geometry, same_colour(1, 3)), Error);
  CHECK_THROWS_AS(augment(images, geometry_of({identity, identity}), same_colour(1, 3)), Error);
  CHECK_THROWS_AS(augment(images, geometry, same_colour(1, 1)), Error);
  CHECK_THROWS_AS(augment(images, geometry, same_colour(1, 3, DType::f64)), Error);
  CHECK_THROWS_AS(augment(images.view({4, 5, 3}), geometry, same_colour(1, 3)), Error);
  CHECK_THROWS_AS(augment_masks(images, geometry), Error);
  CHECK_THROWS_AS(augment_masks(images.view({1, 4, 15}).cast(DType::f32), geometry), Error);
}
