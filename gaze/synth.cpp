#include "gaze/synth.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <numbers>
#include <vector>

#include "core/check.h"
#include "core/io.h"
#include "core/parallel.h"
#include "core/random.h"
#include "gaze/fixation.h"
#include "gaze/simulate.h"

namespace gt {

namespace {

constexpr double pi = std::numbers::pi;

/// 0 below a, 1 above b, smooth between; mirrored if a > b.
double smooth_step(double a, double b, double v) {
  const double t = std::clamp((v - a) / (b - a), 0.0, 1.0);
  return t * t * (3 - 2 * t);
}

// ---- Smooth random functions ----------------------------------------------------------------------------------------

/// Random values in [-1,1] on a lattice of `cells` cells per image side, interpolated smoothly. Periodic outside.
class Noise {
 public:
  Noise(Random& random, int64_t cells) : cells_(cells), period_(cells + 4), values_(size_t(period_ * period_)) {
    for (double& v : values_) v = random.uniform(-1, 1);
  }

  double at(double x, double y) const {
    const double u = x * double(cells_), v = y * double(cells_), column = std::floor(u), row = std::floor(v);
    const double s = smooth_step(0, 1, u - column), t = smooth_step(0, 1, v - row);
    const double top = value(row, column) + s * (value(row, column + 1) - value(row, column));
    const double bottom = value(row + 1, column) + s * (value(row + 1, column + 1) - value(row + 1, column));
    return top + t * (bottom - top);
  }

 private:
  double value(double row, double column) const { return values_[size_t(wrap(row) * period_ + wrap(column))]; }
  int64_t wrap(double i) const { return ((int64_t(i) % period_) + period_) % period_; }

  int64_t cells_, period_;
  std::vector<double> values_;
};

/// A sum of noise octaves. Each has twice the frequency and half the amplitude of the one before.
class Fractal {
 public:
  Fractal(Random& random, int64_t cells, int octaves) {
    for (int i = 0; i < octaves; ++i) noise_.emplace_back(random, cells << i);
  }

  double at(double x, double y) const {
    double sum = 0, amplitude = 0.6;
    for (const Noise& n : noise_) {
      sum += amplitude * n.at(x, y);
      amplitude /= 2;
    }
    return sum;
  }

 private:
  std::vector<Noise> noise_;
};

// ---- The lesion -----------------------------------------------------------------------------------------------------

/// About the distance of (x, y) from the border of the endoscope's view, a square without its corners. In image sides;
/// negative outside.
double inside_frame(double x, double y) {
  const double u = std::fabs(x - 0.5), v = std::fabs(y - 0.5);
  return std::min({0.485 - u, 0.485 - v, (0.80 - u - v) / std::numbers::sqrt2});
}

/// A star-shaped blob with a smooth, irregular outline.
class Outline {
 public:
  explicit Outline(Random& random) {
    const double area = 0.02 * std::pow(0.25 / 0.02, random.uniform());  // share of the image
    stretch_ = random.uniform(1, 1.5);
    tilt_ = random.uniform(0, pi);
    for (size_t k = 0; k < waves_.size(); ++k)
      waves_[k] = {0.22 * random.uniform() / double(k + 1), random.uniform(0, 2 * pi)};
    constexpr int64_t steps = 256;  // the area is the mean of pi r^2
    double unit_area = 0;
    for (int64_t i = 0; i < steps; ++i) {
      const double r = wave(2 * pi * double(i) / double(steps));
      unit_area += pi * r * r / double(steps);
    }
    radius_ = std::sqrt(area / unit_area);
    for (int64_t tries = 0; tries < 200 && !placed(); ++tries) {
      x_ = random.uniform(0.15, 0.85);
      y_ = random.uniform(0.15, 0.85);
    }
    if (!placed()) x_ = y_ = 0.5;
  }

  /// 0 at the centre, 1 on the outline.
  double depth(double x, double y) const {
    const double c = std::cos(tilt_), s = std::sin(tilt_), k = std::sqrt(stretch_);
    const double u = (c * (x - x_) + s * (y - y_)) / k, v = (c * (y - y_) - s * (x - x_)) * k;
    return std::hypot(u, v) / (radius_ * wave(std::atan2(v, u)));
  }

  double radius() const { return radius_; }

 private:
  /// The radius in the direction `angle`, relative to the mean.
  double wave(double angle) const {
    double r = 1;
    for (size_t k = 0; k < waves_.size(); ++k) r += waves_[k][0] * std::cos(double(k + 2) * angle + waves_[k][1]);
    return r;
  }

  /// Whether the whole blob is in view.
  bool placed() const {
    constexpr int64_t steps = 24;
    for (int64_t i = 0; i < steps; ++i) {
      const double angle = 2 * pi * double(i) / double(steps), r = radius_ * wave(angle), k = std::sqrt(stretch_);
      const double u = r * k * std::cos(angle), v = r / k * std::sin(angle);
      const double c = std::cos(tilt_), s = std::sin(tilt_);
      if (inside_frame(x_ + c * u - s * v, y_ + s * u + c * v) < 0.01) return false;
    }
    return true;
  }

  double x_ = -1, y_ = -1, radius_ = 0, stretch_, tilt_;
  std::array<std::array<double, 2>, 5> waves_;  // amplitude and phase
};

// ---- The scene ------------------------------------------------------------------------------------------------------

using Colour = std::array<double, 3>;  // linear RGB, about [0,1]

/// A piece of gut wall, lit and viewed from the endoscope's tip: a coloured height field, shaded by its slope.
class Scene {
 public:
  explicit Scene(Random& random)
      : outline_(random),
        warp_x_(random, 3, 2),
        warp_y_(random, 3, 2),
        relief_(random, 4, 3),
        tint_(random, 2, 3),
        grain_(random, 40, 2),
        pits_(random, 26, 2),
        vessels_(random, 5, 3),
        vessel_places_(random, 3, 2),
        fold_places_(random, 3, 1),
        wet_(random, 22, 2) {
    const double away = random.uniform(0, 2 * pi), far = random.uniform(0.15, 0.75);
    lumen_ = {0.5 + far * std::cos(away), 0.5 + far * std::sin(away)};
    lumen_radius_ = random.uniform(0.06, 0.18);
    fold_count_ = random.uniform(2.5, 5);
    fold_phase_ = random.uniform();
    fold_height_ = random.uniform(0.02, 0.055);
    light_ = {random.uniform(0.38, 0.62), random.uniform(0.38, 0.62)};
    const double warmth = random.uniform();  // from pink to orange
    mucosa_ = {0.66 + 0.08 * random.uniform(), 0.27 - 0.07 * warmth, 0.20 - 0.11 * warmth};
    const double paler = random.uniform(-1, 1);  // lesions are redder or paler than their surroundings
    const double strength = (paler < 0 ? -1 : 1) * random.uniform(0.5, 1);
    lesion_shift_ = {0.06 * strength, 0.075 * strength, 0.07 * strength + 0.02};
    dome_ = outline_.radius() * random.uniform(0.15, 0.45);
    vessel_strength_ = random.uniform(0.2, 0.6);
  }

  bool is_lesion(double x, double y) const { return outline_.depth(x, y) < 1; }

  Colour colour(double x, double y) const {
    const double frame = smooth_step(-0.004, 0.012, inside_frame(x, y));
    if (frame == 0) return {0.004, 0.004, 0.005};
    const double step = 1.0 / 512, height_here = height(x, y);
    const double slope_x = (height(x + step, y) - height_here) / step;
    const double slope_y = (height(x, y + step) - height_here) / step;
    const double normal = 1 / std::sqrt(1 + slope_x * slope_x + slope_y * slope_y);

    const auto towards = [&](double px, double py, double pz) {  // unit vector from here
      const double dx = px - x, dy = py - y, dz = pz - height_here, length = std::sqrt(dx * dx + dy * dy + dz * dz);
      return Colour{dx / length, dy / length, dz / length};
    };
    const Colour to_light = towards(light_[0], light_[1], 0.55), to_eye = towards(0.5, 0.5, 0.8);
    const auto facing = [&](const Colour& d) { return (d[2] - slope_x * d[0] - slope_y * d[1]) * normal; };
    const double diffuse = std::max(0.0, facing(to_light));
    const double distance = std::hypot(x - light_[0], y - light_[1]);
    const double light = (0.12 + 0.95 * diffuse) / (1 + 3.5 * distance * distance) * lumen_shade(x, y);

    const Colour half = {to_light[0] + to_eye[0], to_light[1] + to_eye[1], to_light[2] + to_eye[2]};
    const double length = std::sqrt(half[0] * half[0] + half[1] * half[1] + half[2] * half[2]);
    const double mirror = std::max(0.0, facing(half) / length);
    const double gloss = std::pow(mirror, 260) * smooth_step(0.0, 0.35, wet_.at(x, y)) * 1.3;

    Colour c = tissue(x, y);
    for (double& v : c) v = frame * std::min(1.0, v * light * 1.25 + gloss);
    return c;
  }

 private:
  double lesion_share(double x, double y) const { return smooth_step(1.12, 0.8, outline_.depth(x, y)); }

  double lumen_distance(double x, double y) const {
    return std::hypot(x - lumen_[0], y - lumen_[1]) + 0.16 * warp_x_.at(x, y);
  }

  /// The lumen is dark, as it is far from the light.
  double lumen_shade(double x, double y) const {
    const double shade = smooth_step(0.3 * lumen_radius_, 2 * lumen_radius_ + 0.15, lumen_distance(x, y));
    return std::max(0.05 + 0.95 * shade, lesion_share(x, y));
  }

  double height(double x, double y) const {
    const double share = lesion_share(x, y);
    const double along = lumen_distance(x, y) * fold_count_ + fold_phase_ + 0.3 * warp_y_.at(x, y);
    const double across = (along - std::floor(along) - 0.5) / 0.16;
    const double folds = fold_height_ * std::exp(-across * across) * smooth_step(-0.35, 0.35, fold_places_.at(x, y));
    const double depth = std::min(1.0, outline_.depth(x, y) / 1.2);
    const double dome = dome_ * std::pow(1 - depth * depth, 1.2);
    return (1 - 0.8 * share) * folds + 0.06 * relief_.at(x, y) + 0.0006 * grain_.at(x, y) + dome +
           0.0035 * share * pits_.at(x, y);
  }

  /// The colour under uniform white light.
  Colour tissue(double x, double y) const {
    const double share = lesion_share(x, y), tint = tint_.at(x, y);
    const double u = x + 0.05 * warp_x_.at(x, y), v = y + 0.05 * warp_y_.at(x, y);
    const double line = vessels_.at(u, v) / 0.035;  // thin lines where the noise is zero
    const double vessel =
        vessel_strength_ * std::exp(-line * line) * (1 - 0.8 * share) * smooth_step(-0.1, 0.4, vessel_places_.at(x, y));
    const double grain = 1 + 0.05 * grain_.at(x, y) + 0.14 * share * pits_.at(x, y);
    Colour c = mucosa_;
    constexpr Colour tint_shift = {0.05, 0.05, 0.04}, vessel_shift = {-0.16, -0.13, -0.07};
    for (size_t i = 0; i < 3; ++i)
      c[i] = grain * std::max(0.02, c[i] + tint * tint_shift[i] + vessel * vessel_shift[i] + share * lesion_shift_[i]);
    return c;
  }

  Outline outline_;
  Fractal warp_x_, warp_y_, relief_, tint_, grain_, pits_, vessels_, vessel_places_, fold_places_, wet_;
  std::array<double, 2> lumen_, light_;
  double lumen_radius_, fold_count_, fold_phase_, fold_height_, dome_, vessel_strength_;
  Colour mucosa_, lesion_shift_;
};

/// A linear value as 8 bits with gamma 2.2.
uint8_t encode(double linear) {
  return uint8_t(std::clamp(std::round(255 * std::pow(std::max(0.0, linear), 1 / 2.2)), 0.0, 255.0));
}

std::string case_name(int64_t index) {
  const std::string number = std::to_string(index);
  return "case_" + std::string(number.size() < 4 ? 4 - number.size() : 0, '0') + number;
}

std::string list(int64_t begin, int64_t end) {
  std::string names;
  for (int64_t i = begin; i < end; ++i) names += case_name(i) + "\n";
  return names;
}

}  // namespace

SyntheticCase synthesize(int64_t size, uint64_t seed, int64_t index) {
  GT_CHECK(size > 0, "synthesize: size is ", size);
  Random random(seed, uint64_t(index));
  const Scene scene(random);
  SyntheticCase result{Image(size, size, 3), Image(size, size, 1)};
  for (int64_t row = 0; row < size; ++row)
    for (int64_t column = 0; column < size; ++column) {
      const double x = (double(column) + 0.5) / double(size), y = (double(row) + 0.5) / double(size);
      const Colour c = scene.colour(x, y);
      const double noise = 1 + 0.02 * random.normal();
      for (size_t i = 0; i < 3; ++i) result.image.at(row, column)[i] = encode(c[i] * noise);
      *result.mask.at(row, column) = scene.is_lesion(x, y) ? 255 : 0;
    }
  return result;
}

void write_synthetic_dataset(const std::string& folder, int64_t count, int64_t size, uint64_t seed) {
  if (count < 3) fail("synthetic data set: expected at least 3 images, one per split, got ", count);
  if (size < 16 || size > 4096) fail("synthetic data set: expected images of 16 to 4096 pixels, got ", size);
  for (const char* part : {"images", "masks", "train.txt", "val.txt", "test.txt", "gaze.csv"})
    if (path_exists(folder + "/" + part)) fail(folder, ": holds a data set already (", part, " exists)");
  make_folder(folder + "/images");
  make_folder(folder + "/masks");

  std::vector<Track> tracks(static_cast<size_t>(count));
  constexpr int64_t block = 32;  // images in memory
  for (int64_t first = 0; first < count; first += block) {
    std::vector<SyntheticCase> cases(size_t(std::min(block, count - first)));
    parallel_for(int64_t(cases.size()), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        cases[size_t(i)] = synthesize(size, seed, first + i);
        tracks[size_t(first + i)] = simulate_track(cases[size_t(i)].mask, case_name(first + i), seed);
      }
    });
    for (size_t i = 0; i < cases.size(); ++i) {
      const std::string file = case_name(first + int64_t(i)) + ".png";
      write_png(folder + "/images/" + file, cases[i].image);
      write_png(folder + "/masks/" + file, cases[i].mask);
    }
  }
  const int64_t test = std::max<int64_t>(1, (2 * count + 5) / 10), val = std::max<int64_t>(1, (count + 5) / 10);
  const int64_t train = count - val - test;
  write_file(folder + "/train.txt", list(0, train));
  write_file(folder + "/val.txt", list(train, train + val));
  write_file(folder + "/test.txt", list(train + val, count));
  write_gaze(folder + "/gaze.csv", tracks, true);
}

}  // namespace gt
