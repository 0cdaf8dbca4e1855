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

}  // namespace

ConfidenceInterval bootstrap_interval(const std::vector<double>& values, int64_t resamples, uint64_t seed) {
  GT_CHECK(!values.empty(), "bootstrap_interval: expected at least one value");
  const int64_t n = int64_t(values.size());
  std::vector<double> means;
  for (int64_t r = 0; r < resamples; ++r) {
    Random random(seed, uint64_t(r));
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += values[size_t(random.below(n))];
    means.push_back(sum / double(n));
  }
  return {percentile(means, 2.5), percentile(means, 97.5)};
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

PairedDifference paired_difference(const std::vector<double>& a, const std::vector<double>& b) {
  GT_CHECK(a.size() == b.size() && !a.empty(), "paired_difference: expected two lists of one length above 0, got ",
           a.size(), " and ", b.size(), " scores");
  std::vector<double> differences(a.size());
  for (size_t i = 0; i < a.size(); ++i) differences[i] = a[i] - b[i];
  return {mean_std(differences).mean, bootstrap_interval(differences), wilcoxon_signed_rank(differences)};
}

}  // namespace gt
