// Statistics of comparisons, against values of SciPy 1.17.
#include "core/random.h"
#include "models/statistics.h"
#include "tests/catch.h"
#include "tests/temp_folder.h"

using namespace gt;

namespace {

/// Sixty differences without ties: [((37*i) % 101 - 41) / 100 + 0.001*i*i / 97 for i in range(60)].
std::vector<double> sixty() {
  std::vector<double> values;
  for (int i = 0; i < 60; ++i) values.push_back((37 * i % 101 - 41) / 100.0 + 0.001 * i * i / 97);
  return values;
}

}  // namespace

TEST_CASE("statistics: the Wilcoxon signed-rank test gives SciPy's p-values", "[statistics]") {
  // scipy.stats.wilcoxon(x, method="exact").pvalue
  CHECK(wilcoxon_signed_rank({0.31, -0.12, 0.45, 0.07, -0.02, 0.19, 0.28, -0.33, 0.11, 0.52}) == Approx(0.16015625));
  CHECK(wilcoxon_signed_rank({1, 2, 3, 4, 5}) == Approx(0.0625));
  // scipy.stats.wilcoxon(x, zero_method="wilcox", correction=True, method="approx").pvalue
  CHECK(wilcoxon_signed_rank({0.3, -0.1, 0.4, 0.1, 0, -0.2, 0.3, 0.3, 0.1, 0.5, 0, -0.4}) ==
        Approx(0.1999724572437077).epsilon(1e-12));
  CHECK(wilcoxon_signed_rank(sixty()) == Approx(0.02359300806715681).epsilon(1e-12));
}

TEST_CASE("statistics: the Wilcoxon test drops zeros, ignores the common sign, and gives 1 without differences",
          "[statistics]") {
  const std::vector<double> some = {0.31, -0.12, 0.45, 0.07};
  CHECK(wilcoxon_signed_rank({0.31, 0, -0.12, 0.45, 0, 0.07}) == wilcoxon_signed_rank(some));
  CHECK(wilcoxon_signed_rank({-0.31, 0.12, -0.45, -0.07}) == wilcoxon_signed_rank(some));
  CHECK(wilcoxon_signed_rank({}) == 1);
  CHECK(wilcoxon_signed_rank({0, 0, 0}) == 1);
  CHECK(wilcoxon_signed_rank({1}) == 1);
  CHECK(wilcoxon_signed_rank({1, -1}) == 1);  // the continuity correction must not pass the middle
}

TEST_CASE("statistics: the bootstrap interval agrees with SciPy's and repeats for its seed", "[statistics]") {
  // scipy.stats.bootstrap((x,), numpy.mean, n_resamples=200000, method="percentile", random_state=1)
  const ConfidenceInterval b = bootstrap_interval(sixty());
  CHECK(b.low == Approx(0.022994).margin(0.003));
  CHECK(b.high == Approx(0.171131).margin(0.003));
  CHECK(bootstrap_interval(sixty()).low == b.low);
  CHECK(bootstrap_interval(sixty(), 10000, 2).low != b.low);
  const ConfidenceInterval flat = bootstrap_interval({0.25, 0.25, 0.25});
  CHECK(flat.low == 0.25);
  CHECK(flat.high == 0.25);
  CHECK_FALSE(error_of([] { bootstrap_interval({}); }).empty());
}

TEST_CASE("statistics: the bootstrap interval contains the true mean in about 95 % of samples", "[statistics]") {
  int covered = 0;
  for (uint64_t trial = 0; trial < 400; ++trial) {
    Random random(7, trial);
    std::vector<double> values(50);
    for (double& v : values) v = random.normal();
    const ConfidenceInterval b = bootstrap_interval(values, 500, trial);
    covered += b.low <= 0 && 0 <= b.high;
  }
  CHECK(covered > 400 * 0.91);
  CHECK(covered < 400 * 0.98);
}

TEST_CASE("statistics: a paired difference needs two values for each image", "[statistics]") {
  const PairedDifference d = paired_difference({{0.5, 0.7, 0.9}}, {{0.4, 0.5, 0.6}});
  CHECK(d.mean == Approx(0.2));
  CHECK(d.seeds.size() == 1);
  CHECK(d.interval.low >= 0.1 - 1e-12);
  CHECK(d.interval.high <= 0.3 + 1e-12);
  CHECK(d.p_images == Approx(0.25));
  CHECK(d.p < 1e-3);  // no resample is on the other side
  CHECK_FALSE(d.within_seed_spread);
  CHECK_FALSE(error_of([] { paired_difference({{1, 2}}, {{1}}); }).empty());
  CHECK_FALSE(error_of([] { paired_difference({{1}}, {{1}, {2}}); }).empty());
  CHECK_FALSE(error_of([] { paired_difference({}, {}); }).empty());
}

TEST_CASE("statistics: seeds that disagree widen the interval", "[statistics]") {
  // 40 images on which the first way is better by 0.02 with every seed, or by 0.12 and -0.08.
  const auto scores = [](double first, double second) {
    SeedScores s(2);
    Random random(5);
    for (int i = 0; i < 40; ++i) {
      const double image = random.uniform(0.4, 0.8);
      s[0].push_back(image + first), s[1].push_back(image + second);
    }
    return s;
  };
  const PairedDifference agree = paired_difference(scores(0.02, 0.02), scores(0, 0));
  CHECK(agree.interval.low == Approx(0.02));
  CHECK_FALSE(agree.within_seed_spread);
  const PairedDifference disagree = paired_difference(scores(0.12, -0.08), scores(0, 0));
  CHECK(disagree.mean == Approx(0.02));
  CHECK(disagree.seeds[0] == Approx(0.12));
  CHECK(disagree.seeds[1] == Approx(-0.08));
  CHECK(disagree.interval.low == Approx(-0.08));
  CHECK(disagree.interval.high == Approx(0.12));
  CHECK(disagree.p > 0.4);
  CHECK(disagree.within_seed_spread);
  CHECK(disagree.p_images < 1e-6);  // over images alone the difference looks certain
}

TEST_CASE("statistics: the interval of two levels holds a difference of 0 in 19 of 20 experiments", "[statistics]") {
  // Each training has a random offset, and each image has one.
  int covered = 0;
  constexpr int trials = 200, seeds = 8, images = 30;
  for (int trial = 0; trial < trials; ++trial) {
    Random random(9, uint64_t(trial));
    SeedScores a(seeds), b(seeds);
    for (SeedScores* all : {&a, &b})
      for (auto& of_seed : *all) {
        const double offset = 0.02 * random.normal();
        for (int i = 0; i < images; ++i) of_seed.push_back(offset + 0.05 * random.normal());
      }
    const PairedDifference d = paired_difference(a, b, 400);
    covered += d.interval.low <= 0 && 0 <= d.interval.high;
  }
  CHECK(covered > 0.88 * trials);  // 8 seeds: a bootstrap is a little too narrow
}
