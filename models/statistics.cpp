#include "models/statistics.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "core/random.h"
#include "gaze/metrics.h"

namespace gt {
namespace {

/// A difference with its rank by magnitude.
struct Rank {
  double magnitude;
  bool positive;
  double rank = 0;  // from 1; equal magnitudes share the mean of their ranks
};

/// The differences that are not 0, ranked by magnitude.
std::vector<Rank> ranked(const std::vector<double>& differences) {
  std::vector<Rank> all;
  for (const double d : differences)
    if (d != 0) all.push_back({std::fabs(d), d > 0});
  std::sort(all.begin(), all.end(), [](const Rank& a, const Rank& b) { return a.magnitude < b.magnitude; });
  for (size_t first = 0, end; first < all.size(); first = end) {
    for (end = first; end < all.size() && all[end].magnitude == all[first].magnitude;) ++end;
    for (size_t i = first; i < end; ++i) all[i].rank = double(first + 1 + end) / 2;
  }
  return all;
}

/// Sum of t^3 - t over groups of t equal magnitudes.
double ties(const std::vector<Rank>& ranks) {
  double sum = 0, t = 1;
  for (size_t i = 1; i <= ranks.size(); ++i) {
    if (i < ranks.size() && ranks[i].magnitude == ranks[i - 1].magnitude) {
      ++t;
      continue;
    }
    sum += t * t * t - t;
    t = 1;
  }
  return sum;
}

/// P(W <= w), where W is the sum of a uniformly random subset of the ranks 1 to n.
double exact_tail(int64_t n, int64_t w) {
  std::vector<double> ways(size_t(n * (n + 1) / 2 + 1), 0);  // subsets with each sum
  ways[0] = 1;
  for (int64_t rank = 1; rank <= n; ++rank)
    for (int64_t sum = int64_t(ways.size()) - 1; sum >= rank; --sum) ways[size_t(sum)] += ways[size_t(sum - rank)];
  double tail = 0;
  for (int64_t sum = 0; sum <= w; ++sum) tail += ways[size_t(sum)];
  return std::ldexp(tail, -int(n));
}

/// The means of resamples: the rows, then the columns, are drawn with replacement. One row is always drawn.
std::vector<double> resampled_means(const SeedScores& rows, int64_t resamples, uint64_t seed) {
  const int64_t count = int64_t(rows.size()), columns = int64_t(rows[0].size());
  std::vector<double> means;
  for (int64_t r = 0; r < resamples; ++r) {
    Random random(seed, uint64_t(r));
    std::vector<size_t> drawn;
    for (int64_t i = 0; i < columns; ++i) drawn.push_back(size_t(random.below(columns)));
    double sum = 0;
    for (int64_t k = 0; k < count; ++k) {
      const std::vector<double>& row = rows[count == 1 ? 0 : size_t(random.below(count))];
      for (const size_t i : drawn) sum += row[i];
    }
    means.push_back(sum / double(count * columns));
  }
  return means;
}

/// The 95 % interval of means of resamples.
ConfidenceInterval interval_of(const std::vector<double>& means) {
  return {percentile(means, 2.5), percentile(means, 97.5)};
}

}  // namespace

ConfidenceInterval bootstrap_interval(const std::vector<double>& values, int64_t resamples, uint64_t seed) {
  GT_CHECK(!values.empty(), "bootstrap_interval: expected at least one value");
  return interval_of(resampled_means({values}, resamples, seed));
}

double wilcoxon_signed_rank(const std::vector<double>& differences) {
  const std::vector<Rank> ranks = ranked(differences);
  if (ranks.empty()) return 1;
  const double n = double(ranks.size()), all = n * (n + 1) / 2, tied = ties(ranks);
  double positive = 0;
  for (const Rank& r : ranks) positive += r.positive ? r.rank : 0;
  const double w = std::min(positive, all - positive);
  if (ranks.size() <= 25 && tied == 0) return std::min(1.0, 2 * exact_tail(int64_t(n), int64_t(w)));
  const double variance = n * (n + 1) * (2 * n + 1) / 24 - tied / 48;
  const double z = std::max(0.0, all / 2 - w - 0.5) / std::sqrt(variance);
  return std::erfc(z / std::sqrt(2.0));
}

PairedDifference paired_difference(const SeedScores& a, const SeedScores& b, int64_t resamples, uint64_t seed) {
  GT_CHECK(a.size() == b.size() && !a.empty(), "paired_difference: expected one number of seeds above 0, got ",
           a.size(), " and ", b.size());
  const size_t images = a[0].size();
  SeedScores differences;
  std::vector<double> a_means, b_means, of_images(images);
  PairedDifference result;
  for (size_t s = 0; s < a.size(); ++s) {
    GT_CHECK(a[s].size() == images && b[s].size() == images && images > 0,
             "paired_difference: expected one number of images above 0, got ", images, ", ", a[s].size(), " and ",
             b[s].size());
    differences.emplace_back();
    for (size_t i = 0; i < images; ++i) {
      differences[s].push_back(a[s][i] - b[s][i]);
      of_images[i] += differences[s][i] / double(a.size());
    }
    a_means.push_back(mean_std(a[s]).mean), b_means.push_back(mean_std(b[s]).mean);
    result.seeds.push_back(mean_std(differences[s]).mean);
  }
  result.mean = mean_std(result.seeds).mean;
  result.p_images = wilcoxon_signed_rank(of_images);
  const double spread = std::max(mean_std(a_means).std, mean_std(b_means).std);
  result.within_seed_spread = a.size() > 1 && std::fabs(result.mean) < spread;

  const std::vector<double> means = resampled_means(differences, resamples, seed);
  const auto not_above = std::count_if(means.begin(), means.end(), [](double m) { return m <= 0; });
  const auto not_below = std::count_if(means.begin(), means.end(), [](double m) { return m >= 0; });
  result.interval = interval_of(means);
  result.p = std::min(1.0, 2 * double(std::min(not_above, not_below) + 1) / double(resamples + 1));
  return result;
}

}  // namespace gt
