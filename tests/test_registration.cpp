// Tracks that are moved to where a network sees their objects.
#include <cmath>

#include "core/random.h"
#include "gaze/gaze_statistics.h"
#include "gaze/metrics.h"
#include "gaze/registration.h"
#include "gaze/simulate.h"
#include "tests/catch.h"
#include "tests/program.h"

using namespace gt;

namespace {

constexpr int64_t side = 64;

/// A mask with an ellipse.
Image ellipse(int64_t n) {
  Random random(3, uint64_t(n));
  Image mask(side, side, 1);
  const double x = random.uniform(22, 42), y = random.uniform(22, 42), a = random.uniform(6, 14),
               b = random.uniform(6, 14);
  for (int64_t i = 0; i < side * side; ++i)
    if (std::hypot((double(i % side) - x) / a, (double(i / side) - y) / b) < 1) mask.pixels[size_t(i)] = 255;
  return mask;
}

/// A prediction that is sure of the mask.
Tensor prediction_of(const Image& mask) {
  Tensor p({mask.height, mask.width});
  for (int64_t i = 0; i < p.size(); ++i) p.data<float>()[i] = mask.pixels[size_t(i)] > 127 ? 0.95f : 0.05f;
  return p;
}

Track moved(Track track, double dx, double dy) {
  for (Fixation& f : track.fixations) f.x += dx, f.y += dy;
  return track;
}

double correlation(const std::vector<double>& a, const std::vector<double>& b) {
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) ab += a[i] * b[i], aa += a[i] * a[i], bb += b[i] * b[i];
  return ab / std::sqrt(aa * bb);
}

}  // namespace

TEST_CASE("registration: known shifts of simulated tracks are found again", "[registration]") {
  const RegistrationOptions options = {.prior_weight = 0};
  std::vector<double> shifts, found, left;
  std::vector<Track> before, after;
  std::vector<Image> masks;
  for (int64_t n = 0; n < 40; ++n) {
    const Image mask = ellipse(n);
    const Tensor prediction = prediction_of(mask);
    const Track track = simulate_track(mask, std::to_string(n), 1);
    Random random(8, uint64_t(n));
    const double dx = random.normal() * 0.03, dy = random.normal() * 0.03;
    const Track shifted = moved(track, dx, dy);
    const Registration own = register_track(track, prediction, {}, options);
    const Registration r = register_track(shifted, prediction, {}, options);
    CHECK(r.overlap >= r.overlap_before);
    CHECK(r.width == 1);
    for (const auto& [known, difference] : {std::pair(dx, own.dx - r.dx), std::pair(dy, own.dy - r.dy)}) {
      shifts.push_back(known);
      found.push_back(difference);
    }
    left.push_back(std::hypot(own.dx - r.dx - dx, own.dy - r.dy - dy));
    before.push_back(shifted);
    after.push_back(registered_track(shifted, r));
    masks.push_back(mask);
  }
  CHECK(correlation(shifts, found) > 0.98);
  CHECK(mean_std(left).mean < 0.005);  // of shifts of 0.038 on average
  const GazeStatistics a = gaze_statistics(before, masks), b = gaze_statistics(after, masks);
  CHECK(b.offset_length < 0.5 * a.offset_length);
  CHECK(b.track_dice_60 > a.track_dice_60);
}

TEST_CASE("registration: the gradient is that of the objective", "[registration]") {
  const Image mask = ellipse(1);
  const Track track = moved(simulate_track(mask, "a", 1), 0.04, -0.03);
  // The best of a fine grid about the result is not above it.
  const Tensor prediction = prediction_of(mask);
  const RegistrationOptions options = {.widen = true, .prior_weight = 0.02, .steps = 300};
  const auto value = [&](const Registration& r) {
    RegistrationOptions none = options;
    none.steps = 0;
    Track there = registered_track(track, r);
    const double overlap = register_track(there, prediction, {.spread_exponent = 0}, none).overlap;
    const double w = std::log(r.width);
    return overlap - options.prior_weight * ((r.dx * r.dx + r.dy * r.dy) / (0.03 * 0.03) + w * w / (0.2 * 0.2)) / 2;
  };
  const Registration best = register_track(track, prediction, {.spread_exponent = 0}, options);
  CHECK(best.width != 1);
  const double top = value(best);
  CHECK(top > value({}) + 0.001);
  for (const double d : {-0.004, 0.004}) {
    CHECK(value({best.dx + d, best.dy, best.width}) < top);
    CHECK(value({best.dx, best.dy + d, best.width}) < top);
    CHECK(value({best.dx, best.dy, best.width * (1 + 10 * d)}) < top);
  }
}

TEST_CASE("registration: a strong prior holds a track, and positions stay in the image", "[registration]") {
  const Image mask = ellipse(2);
  const Track track = moved(simulate_track(mask, "a", 1), 0.05, 0);
  const Registration held = register_track(track, prediction_of(mask), {}, {.shift_prior = 1e-3, .prior_weight = 1});
  CHECK(std::hypot(held.dx, held.dy) < 1e-3);
  for (const Fixation& f : registered_track(track, {.dx = 0.9, .dy = -0.9}).fixations) {
    CHECK(f.x <= 1);
    CHECK(f.y >= 0);
  }
}

TEST_CASE("register: a run's gaze is moved and can be trained on", "[cli]") {
  const Workplace w;
  REQUIRE(run(w.train("", "run")).status == 0);
  const std::string out = w.tmp / "moved.csv", table = w.tmp / "shifts.csv";
  const Result r = run("register " + w.tmp / "run --out " + out + " --table " + table + " --fit shift_width");
  INFO(r.err);
  REQUIRE(r.status == 0);
  CHECK(has(r.out, "tracks moved by "));
  CHECK(has(r.out, "mean width "));
  CHECK(has(r.out, "Compared with the masks, which the registration did not see:"));
  const std::string text = read_file(table);
  CHECK(std::count(text.begin(), text.end(), '\n') == 15);  // 14 images
  CHECK(run(w.train("data.gaze=" + out + " train.iterations=4 train.val_every=4", "again")).status == 0);
  check_error("register " + w.tmp / "run --out " + out, {"moved.csv", "--force"});
  check_error("register " + w.tmp / "run --force --out " + w.data + "/gaze.csv", {"gaze.csv"});
}
