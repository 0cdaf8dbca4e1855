#include "gaze/metrics.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "core/random.h"
#include "gaze/mask.h"
#include "tests/catch.h"
#include "tests/temp_folder.h"

using namespace gt;

namespace {

// A mask from rows of '.' and '#'.
Image mask(const std::vector<std::string>& rows) {
  Image image(int64_t(rows.size()), int64_t(rows[0].size()), 1);
  for (size_t i = 0; i < image.pixels.size(); ++i)
    image.pixels[i] = rows[i / rows[0].size()][i % rows[0].size()] == '#' ? 255 : 0;
  return image;
}

using Points = std::vector<std::pair<int64_t, int64_t>>;

Points boundary_by_definition(const Image& m) {
  const auto inside = [&](int64_t y, int64_t x) {
    return y >= 0 && x >= 0 && y < m.height && x<m.width&& * m.at(y, x)> 127;
  };
  Points points;
  for (int64_t y = 0; y < m.height; ++y)
    for (int64_t x = 0; x < m.width; ++x)
      if (inside(y, x) && inside(y - 1, x) + inside(y + 1, x) + inside(y, x - 1) + inside(y, x + 1) < 4)
        points.emplace_back(y, x);
  return points;
}

double hd95_by_definition(const Image& a, const Image& b) {
  const Points pa = boundary_by_definition(a), pb = boundary_by_definition(b);
  std::vector<double> distances;
  for (const auto& [from, to] : {std::pair{pa, pb}, std::pair{pb, pa}})
    for (const auto& p : from) {
      double least = 1e9;
      for (const auto& q : to)
        least = std::min(least, std::hypot(double(p.first - q.first), double(p.second - q.second)));
      distances.push_back(least);
    }
  std::sort(distances.begin(), distances.end());
  const double rank = 0.95 * double(distances.size() - 1);
  const size_t low = size_t(rank), high = std::min(low + 1, distances.size() - 1);
  return distances[low] + (distances[high] - distances[low]) * (rank - double(low));
}

}  // namespace

TEST_CASE("metrics: Dice, IoU, precision and recall by hand", "[metrics]") {
  const Scores s = score_masks(mask({"##..", "##.."}), mask({".##.", ".##."}));
  CHECK(s.at("dice") == Approx(2 * 2.0 / 8));
  CHECK(s.at("iou") == Approx(2.0 / 6));
  CHECK(s.at("precision") == Approx(0.5));
  CHECK(s.at("recall") == Approx(0.5));
  const Scores part = score_masks(mask({"#...", "...."}), mask({"####", "...."}));
  CHECK(part.at("dice") == Approx(2.0 / 5));
  CHECK(part.at("precision") == Approx(1));
  CHECK(part.at("recall") == Approx(0.25));
}

TEST_CASE("metrics: a perfect prediction has the best scores", "[metrics]") {
  const Image m = mask({"....", ".##.", "...."});
  const Scores s = score_masks(m, m);
  CHECK(s.at("dice") == 1);
  CHECK(s.at("iou") == 1);
  CHECK(s.at("precision") == 1);
  CHECK(s.at("recall") == 1);
  CHECK(s.at("hd95") == 0);
}

TEST_CASE("metrics: two empty masks have the best scores, one empty mask the worst", "[metrics]") {
  const Image empty(3, 4, 1), full = mask({"####", "####", "####"});
  const Scores agree = score_masks(empty, empty);
  CHECK(agree.at("dice") == 1);
  CHECK(agree.at("iou") == 1);
  CHECK(agree.at("precision") == 1);
  CHECK(agree.at("recall") == 1);
  CHECK(agree.at("hd95") == 0);
  for (const Scores& s : {score_masks(empty, full), score_masks(full, empty)}) {
    CHECK(s.at("dice") == Approx(0).margin(1e-7));
    CHECK(s.at("iou") == Approx(0).margin(1e-7));
    CHECK(s.at("precision") == Approx(0).margin(1e-7));
    CHECK(s.at("recall") == Approx(0).margin(1e-7));
    CHECK(s.at("hd95") == 5);
  }
}

TEST_CASE("metrics: foreground is above 127", "[metrics]") {
  CHECK(score_masks(Image(2, 2, 1, 128), Image(2, 2, 1, 255)).at("dice") == 1);
  CHECK(score_masks(Image(2, 2, 1, 127), Image(2, 2, 1, 0)).at("dice") == 1);
}

TEST_CASE("metrics: ignored pixels of the label change no score", "[metrics]") {
  Image label(4, 8, 1), prediction(4, 8, 1);
  for (int64_t y = 0; y < 4; ++y)
    for (int64_t x = 0; x < 8; ++x) {
      *label.at(y, x) = x < 3 ? 255 : x < 6 ? ignored_pixel : 0;
      *prediction.at(y, x) = x < 3 ? 255 : 0;
    }
  const Scores scores = score_masks(prediction, label);
  CHECK(scores.at("dice") == 1);
  CHECK(scores.at("surface_dice") == 1);
  for (int64_t y = 0; y < 4; ++y) *prediction.at(y, 3) = *prediction.at(y, 4) = 255;
  for (const char* key : {"dice", "iou", "precision", "recall", "hd95", "surface_dice"})
    CHECK(score_masks(prediction, label).at(key) == scores.at(key));
  *prediction.at(0, 7) = 255;
  CHECK(score_masks(prediction, label).at("dice") == Approx(24.0 / 25));
}

TEST_CASE("metrics: HD95 by hand", "[metrics]") {
  CHECK(score_masks(mask({"#....", "....."}), mask({"...#.", "....."})).at("hd95") == 3);  // 3 in both directions
  CHECK(score_masks(mask({"#...", "....", "....", "...."}), mask({"....", "....", "....", "...#"})).at("hd95") ==
        Approx(std::sqrt(18.0)));
  // Distances 0 and 4 in one direction, 0 in the other. The rank 0.95 x 2 = 1.9 lies 0.9 of the way from 0 to 4.
  CHECK(score_masks(mask({"#...#"}), mask({"#...."})).at("hd95") == Approx(3.6));
}

TEST_CASE("metrics: the boundary includes the image's border and excludes a region's inside", "[metrics]") {
  const Image full(5, 5, 1, 255);
  Image ring = full;
  for (int64_t y = 1; y < 4; ++y)
    for (int64_t x = 1; x < 4; ++x) *ring.at(y, x) = 0;
  CHECK(score_masks(full, ring).at("hd95") == 0);
}

TEST_CASE("metrics: HD95 agrees with its definition on random masks", "[metrics]") {
  Random random(5);
  for (int i = 0; i < 300; ++i) {
    const int64_t h = 1 + random.below(14), w = 1 + random.below(14);
    const double density = random.uniform(0.02, 0.9);
    Image a(h, w, 1), b(h, w, 1);
    for (Image* m : {&a, &b}) {
      for (uint8_t& p : m->pixels) p = random.chance(density) ? 255 : 0;
      m->pixels[size_t(random.below(h * w))] = 255;
    }
    INFO(h << "x" << w);
    CHECK(score_masks(a, b).at("hd95") == Approx(hd95_by_definition(a, b)).margin(1e-12));
    CHECK(score_masks(b, a).at("hd95") == score_masks(a, b).at("hd95"));
  }
}

TEST_CASE("metrics: surface Dice by hand", "[metrics]") {
  const auto surface_dice = [](const Image& a, const Image& b) { return score_masks(a, b).at("surface_dice"); };
  const Image empty(1, 8, 1), one = mask({"#......."});
  CHECK(surface_dice(empty, empty) == 1);
  CHECK(surface_dice(one, empty) == 0);
  CHECK(surface_dice(empty, one) == 0);
  CHECK(surface_dice(one, mask({"..#....."})) == 1);  // 2 pixels apart
  CHECK(surface_dice(one, mask({"...#...."})) == 0);
  // The label's four pixels are 0, 1, 2 and 3 from the prediction's one, which is 0 from the label.
  CHECK(surface_dice(one, mask({"####...."})) == Approx(4.0 / 5));
  CHECK(surface_dice(mask({"#...", "....", "...."}), mask({"....", "....", "..#."})) == 0);  // the root of 8
}

TEST_CASE("metrics: surface Dice agrees with its definition on random masks", "[metrics]") {
  Random random(6);
  for (int i = 0; i < 200; ++i) {
    const int64_t h = 1 + random.below(14), w = 1 + random.below(14);
    const double density = random.uniform(0.02, 0.4);
    Image a(h, w, 1), b(h, w, 1);
    for (Image* m : {&a, &b})
      for (uint8_t& p : m->pixels) p = random.chance(density) ? 255 : 0;
    const Points pa = boundary_by_definition(a), pb = boundary_by_definition(b);
    double near = 0;
    for (const auto& [from, to] : {std::pair{pa, pb}, std::pair{pb, pa}})
      for (const auto& p : from)
        near += std::any_of(to.begin(), to.end(), [&](const auto& q) {
          return std::hypot(double(p.first - q.first), double(p.second - q.second)) <= 2;
        });
    const size_t all = pa.size() + pb.size();
    INFO(h << "x" << w);
    CHECK(score_masks(a, b).at("surface_dice") == Approx(all == 0 ? 1 : near / double(all)));
    CHECK(score_masks(b, a).at("surface_dice") == score_masks(a, b).at("surface_dice"));
  }
}

TEST_CASE("metrics: masks of different sizes are refused", "[metrics]") {
  CHECK_THROWS_AS(score_masks(Image(2, 3, 1), Image(3, 2, 1)), Error);
  CHECK_THROWS_AS(score_masks(Image(2, 3, 3), Image(2, 3, 3)), Error);
}

TEST_CASE("metrics: distances in mm follow the spacing of rows and columns", "[metrics]") {
  Image label = mask({"#....", ".....", "....."});
  const Image right = mask({"...#.", ".....", "....."}), below = mask({".....", ".....", "#...."});
  CHECK(std::isnan(score_masks(right, label).at("hd95_mm")));
  CHECK(std::isnan(score_masks(right, label).at("surface_dice_mm")));
  label.spacing = {0.5, 2};
  CHECK(score_masks(right, label).at("hd95_mm") == Approx(6));
  CHECK(score_masks(right, label).at("surface_dice_mm") == 0);
  CHECK(score_masks(below, label).at("hd95_mm") == Approx(1));
  CHECK(score_masks(below, label).at("surface_dice_mm") == 1);
  CHECK(score_masks(right, label).at("hd95") == 3);
  CHECK(score_masks(Image(3, 5, 1), label).at("hd95_mm") == Approx(std::hypot(1.5, 10)));
  CHECK(score_masks(Image(3, 5, 1), label).at("surface_dice_mm") == 0);
}

TEST_CASE("metrics: distances in mm follow the definition on random masks", "[metrics]") {
  Random random(11);
  for (int round = 0; round < 20; ++round) {
    Image a(9, 12, 1), b(9, 12, 1);
    for (Image* image : {&a, &b})
      for (uint8_t& pixel : image->pixels) pixel = random.chance(0.3) ? 255 : 0;
    b.spacing = {random.uniform(0.2, 3), random.uniform(0.2, 3)};
    const Points pa = boundary_by_definition(a), pb = boundary_by_definition(b);
    size_t near = 0;
    for (const auto& [from, to] : {std::pair{pa, pb}, std::pair{pb, pa}})
      for (const auto& p : from)
        near += std::any_of(to.begin(), to.end(), [&, p = p](const auto& q) {
          return std::hypot(double(p.first - q.first) * b.spacing.rows,
                            double(p.second - q.second) * b.spacing.columns) <= 2;
        });
    CHECK(score_masks(a, b).at("surface_dice_mm") == Approx(double(near) / double(pa.size() + pb.size())));
  }
}

TEST_CASE("metrics: an empty prediction of a label without a boundary has the worst scores", "[metrics]") {
  Image label(5, 5, 1, ignored_pixel);
  *label.at(2, 2) = 255;
  const Scores s = score_masks(Image(5, 5, 1), label);
  CHECK(s.at("hd95") == Approx(std::sqrt(50.0)));
  CHECK(s.at("surface_dice") == 0);
  CHECK(score_masks(label, label).at("hd95") == 0);
}

TEST_CASE("metrics: every score has its row of the table, and an unknown key is refused", "[metrics]") {
  Image m = mask({"##..", "...."}), other = mask({".#..", "...."});
  m.spacing = other.spacing = {0.5, 2};
  const Scores s = score_masks(m, other);
  REQUIRE(s.values.size() == metric_table().size());
  for (size_t i = 0; i < s.values.size(); ++i) {
    const Metric& metric = metric_table()[i];
    CHECK(s.at(metric.key) == s.values[i]);
    CHECK(metric.value(MaskPair(m, other)) == s.values[i]);
    const double perfect = metric.value(MaskPair(m, m)), worst = metric.value(MaskPair(Image(2, 4, 1), m));
    CHECK((metric.higher_is_better ? perfect > worst : perfect < worst));
  }
  CHECK(error_of([&] { s.at("what"); }) == "there is no metric 'what'");
}

TEST_CASE("metrics: the standard deviation is the sample's (n - 1)", "[metrics]") {
  const MeanStd m = mean_std({1, 2, 3, 4});
  CHECK(m.mean == 2.5);
  CHECK(m.std == Approx(std::sqrt(5.0 / 3)));
  CHECK(mean_std({7}).mean == 7);
  CHECK(mean_std({7}).std == 0);
  CHECK_THROWS_AS(mean_std({}), Error);
}
