#include "gaze/crf.h"

#include <cmath>

#include "core/parallel.h"
#include "core/random.h"
#include "gaze/permutohedral.h"
#include "gaze/pseudo.h"
#include "gaze/synth.h"
#include "tests/catch.h"
#include "tests/differences.h"
#include "tests/temp_folder.h"

using namespace gt;

namespace {

/// A bright disc on a dark, textured background, and a map that peaks next to the disc's centre. The numbers of the
/// reference implementation below come from these formulas.
struct Case {
  Image image;
  Tensor map;
};

Case disc_case(int64_t height, int64_t width, double radius2, double slope) {
  Case c{Image(height, width, 3), Tensor({height, width})};
  const int64_t x0 = width * 5 / 12, y0 = height * 4 / 9;
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x) {
      const double inside = double((x - x0) * (x - x0) + (y - y0) * (y - y0));
      for (int64_t k = 0; k < 3; ++k)
        c.image.at(y, x)[k] = uint8_t((inside < radius2 ? 200 : 60) + (x * 7 + y * 13 + k * 29) % 23);
      const double away = double((x - x0 + 1) * (x - x0 + 1) + (y - y0) * (y - y0));
      c.map.data<float>()[y * width + x] = float(0.1 + 0.8 * std::max(0.0, 1 - away / slope));
    }
  return c;
}

/// The mean field by its definition, in double, by sums over all pairs of pixels.
std::vector<double> brute_force_crf(const Case& c, const CrfOptions& o) {
  const int64_t n = c.map.size(), width = c.image.width;
  const auto kernel = [&](double weight, const auto& distance2) {
    std::vector<double> k(size_t(n * n)), sum(size_t(n), 0.0);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j) sum[size_t(i)] += k[size_t(i * n + j)] = std::exp(-0.5 * distance2(i, j));
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j) k[size_t(i * n + j)] *= weight / std::sqrt(sum[size_t(i)] * sum[size_t(j)]);
    return k;
  };
  const auto place2 = [&](int64_t i, int64_t j) {
    const double dx = double(i % width - j % width), dy = double(i / width - j / width);
    return dx * dx + dy * dy;
  };
  const std::vector<double> near =
      kernel(o.gaussian, [&](int64_t i, int64_t j) { return place2(i, j) / (o.gaussian_xy * o.gaussian_xy); });
  const std::vector<double> similar = kernel(o.bilateral, [&](int64_t i, int64_t j) {
    double colour2 = 0;
    for (int64_t k = 0; k < 3; ++k) {
      const double d = double(c.image.pixels[size_t(3 * i + k)]) - double(c.image.pixels[size_t(3 * j + k)]);
      colour2 += d * d;
    }
    return place2(i, j) / (o.bilateral_xy * o.bilateral_xy) + colour2 / (o.bilateral_rgb * o.bilateral_rgb);
  });
  const auto unary = [&](int64_t i) {
    const double p = double(c.map.data<float>()[i]);
    return std::log(p / (1 - p));
  };
  std::vector<double> q(size_t(n), 0.0);
  for (int64_t i = 0; i < n; ++i) q[size_t(i)] = double(c.map.data<float>()[i]);
  for (int64_t t = 0; t < o.iterations; ++t) {
    std::vector<double> next(q.size());
    for (int64_t i = 0; i < n; ++i) {
      double foreground = 0, background = 0;
      for (int64_t j = 0; j < n; ++j) {
        foreground += (near[size_t(i * n + j)] + similar[size_t(i * n + j)]) * q[size_t(j)];
        background += (near[size_t(i * n + j)] + similar[size_t(i * n + j)]) * (1 - q[size_t(j)]);
      }
      next[size_t(i)] = 1 / (1 + std::exp(-(unary(i) + foreground - background)));
    }
    q = next;
  }
  return q;
}

bool same(const Tensor& a, const Tensor& b) { return a.values<float>() == b.values<float>(); }

}  // namespace

TEST_CASE("crf: the permutohedral lattice approximates a Gaussian filter", "[crf]") {
  // The lattice's kernel is an approximation. Filtered smooth values are within some percent of a Gaussian's, here 5.3.
  Random random(3, hash64("lattice"));
  const int64_t n = 3000;
  std::vector<std::array<float, 3>> positions(size_t(n), std::array<float, 3>{});
  std::vector<float> in(positions.size()), ones(positions.size(), 1.0f), out(in.size()), weight(in.size());
  for (size_t i = 0; i < positions.size(); ++i) {
    for (float& p : positions[i]) p = float(random.uniform(-2, 2));
    in[i] = std::sin(positions[i][0]) + 0.5f * positions[i][1] * positions[i][2];
  }
  const PermutohedralLattice<3> lattice(positions);
  CHECK(lattice.points() == n);
  CHECK(lattice.vertices() > 0);
  lattice.filter(in.data(), out.data());
  lattice.filter(ones.data(), weight.data());
  double error = 0, power = 0;
  for (size_t i = 0; i < positions.size(); ++i) {
    double sum = 0, total = 0;
    for (size_t j = 0; j < positions.size(); ++j) {
      double d2 = 0;
      for (size_t k = 0; k < 3; ++k) {
        const double d = double(positions[i][k]) - double(positions[j][k]);
        d2 += d * d;
      }
      sum += std::exp(-0.5 * d2) * double(in[j]);
      total += std::exp(-0.5 * d2);
    }
    const double difference = double(out[i] / weight[i]) - sum / total;
    error += difference * difference;
    power += sum / total * (sum / total);
  }
  INFO("relative error " << std::sqrt(error / power));
  CHECK(std::sqrt(error / power) < 0.06);
}

TEST_CASE("crf: the mean field agrees with sums over all pairs of pixels", "[crf]") {
  const Case c = disc_case(27, 36, 90, 200);
  for (const CrfOptions o : {CrfOptions{}, CrfOptions{.bilateral = 2, .bilateral_xy = 8, .bilateral_rgb = 20},
                             CrfOptions{.bilateral = 0, .gaussian = 2, .gaussian_xy = 3},
                             CrfOptions{.bilateral = 1, .bilateral_xy = 12, .gaussian = 1, .gaussian_xy = 2}}) {
    const Tensor q = dense_crf(c.image, c.map, o);
    const std::vector<double> exact = brute_force_crf(c, o);
    double worst = 0;
    int flips = 0;
    for (size_t i = 0; i < exact.size(); ++i) {
      const double ours = double(q.data<float>()[i]);
      worst = larger_difference(worst, ours, exact[i]);
      for (const double threshold : {0.3, 0.5}) flips += (ours >= threshold) != (exact[i] >= threshold);
    }
    INFO("worst " << worst << ", flips " << flips);
    CHECK(worst < 0.03);                     // the lattice's error, 0.014 to 0.023 here
    CHECK(flips < int(exact.size()) / 100);  // over two thresholds
  }
}

TEST_CASE("crf: the result is that of the reference implementation", "[crf]") {
  // Probabilities of foreground by pydensecrf's C++ (NORMALIZE_SYMMETRIC, CONST_KERNEL) commit 2723c7f.
  const Case c = disc_case(9, 12, 12, 30);
  const std::vector<size_t> pixels = {0, 16, 29, 40, 50, 53, 58, 66, 77, 91, 107};
  const auto check = [&](const CrfOptions& o, const std::vector<double>& expected) {
    const Tensor q = dense_crf(c.image, c.map, o);
    for (size_t i = 0; i < pixels.size(); ++i)
      CHECK(double(q.data<float>()[pixels[i]]) == Approx(expected[i]).margin(2e-6));
  };
  check({}, {0.059707, 0.792262, 0.8585, 0.930048, 0.882031, 0.931054, 0.055885, 0.858055, 0.86287, 0.28663, 0.056412});
  check({.bilateral = 2, .bilateral_xy = 4, .bilateral_rgb = 20, .gaussian = 1.5, .gaussian_xy = 2, .iterations = 5},
        {0.021053, 0.923369, 0.96901, 0.987773, 0.963614, 0.989648, 0.004974, 0.968975, 0.970744, 0.10153, 0.007817});
}

TEST_CASE("crf: a map is moved to the edges of the image", "[crf]") {
  const Case c = disc_case(54, 72, 400, 900);
  const auto wrong = [&](const Tensor& map) {
    int count = 0;
    for (int64_t i = 0; i < map.size(); ++i)
      count += (map.data<float>()[i] >= 0.5f) != is_foreground(c.image.pixels[size_t(3 * i)]);
    return count;
  };
  const int before = wrong(c.map), after = wrong(dense_crf(c.image, c.map, {.bilateral = 4, .bilateral_xy = 20}));
  INFO(before << " -> " << after);
  CHECK(before > 100);
  CHECK(after < before / 4);
}

TEST_CASE("crf: no iterations return the map, and grey counts as equal colours", "[crf]") {
  const Case c = disc_case(27, 36, 90, 200);
  const Tensor as_it_is = dense_crf(c.image, c.map, {.iterations = 0});
  for (int64_t i = 0; i < c.map.size(); ++i)
    CHECK(as_it_is.data<float>()[i] == Approx(c.map.data<float>()[i]).margin(1e-6));
  Image grey(27, 36, 1), rgb(27, 36, 3);
  for (size_t i = 0; i < grey.pixels.size(); ++i)
    grey.pixels[i] = rgb.pixels[3 * i] = rgb.pixels[3 * i + 1] = rgb.pixels[3 * i + 2] = c.image.pixels[3 * i];
  CHECK(same(dense_crf(grey, c.map), dense_crf(rgb, c.map)));
}

TEST_CASE("crf: a map of 0 or 1 keeps its value and stays finite", "[crf]") {
  const Case c = disc_case(27, 36, 90, 200);
  for (const double value : {0.0, 1.0}) {
    Tensor map = Tensor::zeros({27, 36});
    for (int64_t i = 0; i < map.size(); ++i) map.data<float>()[i] = float(value);
    const Tensor q = dense_crf(c.image, map);
    for (int64_t i = 0; i < q.size(); ++i) CHECK(std::fabs(double(q.data<float>()[i]) - value) < 1e-4);
  }
}

TEST_CASE("crf: a map of another size than its image is refused", "[crf]") {
  const Case c = disc_case(9, 12, 12, 30);
  CHECK_THROWS_AS(dense_crf(c.image, Tensor::zeros({12, 9})), Error);
  CHECK_THROWS_AS(dense_crf(Image(9, 12, 4), c.map), Error);
}

TEST_CASE("pseudo masks: a mask is where the map is at least the threshold", "[crf]") {
  const Tensor map = Tensor::of({1, 4}, std::vector<float>{0.2f, 0.5f, 0.7f, 0.3f});
  CHECK(mask_of(map, 0.5).pixels == std::vector<uint8_t>{0, 255, 255, 0});
  CHECK(mask_of(map, 0.3).pixels == std::vector<uint8_t>{0, 255, 255, 255});
}

TEST_CASE("pseudo masks: a hand-drawn mask takes their place, with its ignored pixels between the thresholds",
          "[crf]") {
  Sample sample;
  sample.name = "a";
  sample.track.fixations = {{0.5, 0.5, 100, 0}};
  sample.mask = Image(1, 3, 1);
  sample.mask.pixels = {0, ignored_pixel, 255};
  const PseudoMasks how{nullptr, {}, {0.6, 0.6}};
  add_pseudo_masks(sample, Image(4, 4, 3), 3, how);
  REQUIRE(sample.pseudo.size() == 2);
  CHECK(sample.pseudo[0].pixels == std::vector<uint8_t>{0, 0, 255});
  CHECK(sample.pseudo[1].pixels == std::vector<uint8_t>{0, 255, 255});
  CHECK(sample.mask.pixels.empty());
}

TEST_CASE("pseudo masks: a teacher adds half of its weight where it predicts foreground, else subtracts it", "[crf]") {
  PseudoMasks how;
  how.crf.iterations = 0;
  const Tensor map = Tensor::of({1, 4}, std::vector<float>{0.2f, 0.5f, 0.7f, 0.3f});
  const Image image(1, 4, 3);
  CHECK(mask_of(refined_map(how, map, image), 0.6).pixels == std::vector<uint8_t>{0, 0, 255, 0});
  how.prediction = [](const Image&) { return Tensor::of({1, 4}, std::vector<float>{0.9f, 0.6f, 0.4f, 0.1f}); };
  how.teacher_weight = 0.3;
  CHECK(mask_of(refined_map(how, map, image), 0.6).pixels == std::vector<uint8_t>{0, 255, 0, 0});
}

TEST_CASE("pseudo masks: those of a data set have the network's size and do not depend on the threads", "[crf]") {
  const TempFolder tmp;
  write_synthetic_dataset(tmp / "data", 10, 64, 1);
  DataOptions data;
  data.root = tmp / "data";
  data.size = 32;
  PseudoMasks how;
  how.map = [](const Track& track, const Image& image) { return heat_map(track, image.height, image.width); };
  how.thresholds = {0.5, 0.3};
  const auto made = [&](int threads) {
    const int before = num_threads();
    set_num_threads(threads);
    int64_t reported = 0;
    LoadHooks hooks;
    hooks.sample = [&](Sample& sample, size_t, const Image& image, const DatasetFacts&) {
      add_pseudo_masks(sample, image, data.size, how);
    };
    hooks.progress = [&](int64_t done, int64_t count) {
      CHECK((done <= count && count == 7));
      reported = done;
    };
    const Dataset dataset = load_dataset(data, "train", {.gaze = true}, hooks);
    set_num_threads(before);
    CHECK(reported == 7);
    return dataset;
  };
  const Dataset one = made(1), three = made(3);
  for (size_t i = 0; i < one.samples.size(); ++i) {
    const std::vector<Image>& masks = one.samples[i].pseudo;
    REQUIRE(masks.size() == 2);
    CHECK(masks[0].height == 32);
    CHECK(masks[0].pixels != masks[1].pixels);
    for (size_t k = 0; k < 2; ++k) CHECK(masks[k].pixels == three.samples[i].pseudo[k].pixels);
    for (size_t p = 0; p < masks[0].pixels.size(); ++p) CHECK(masks[0].pixels[p] <= masks[1].pixels[p]);
  }
}
