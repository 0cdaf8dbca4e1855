// Statistics of comparisons: what a difference between two ways of training is worth.
#pragma once

#include <cstdint>
#include <vector>

namespace gt {

struct Interval {
  double low = 0, high = 0;
};

/// 95 % confidence interval of the mean by the percentile bootstrap (Efron and Tibshirani, "An introduction to the
/// bootstrap", 1993, ch. 13): from the 2.5th to the 97.5th percentile of the means of `resamples` samples drawn with
/// replacement. The draws are set by `seed`. Throws Error if there are no values.
Interval bootstrap_interval(const std::vector<double>& values, int64_t resamples = 10000, uint64_t seed = 1);

/// Two-sided p-value of Wilcoxon's signed-rank test ("Individual comparisons by ranking methods", Biometrics Bulletin
/// 1, 1945) that the differences lie symmetrically about 0. Zeros are dropped. Exact for at most 25 differences of
/// which no two are of one size; else the normal approximation, corrected for ties and continuity. 1 if none is left.
double wilcoxon_signed_rank(const std::vector<double>& differences);

/// The difference a - b between two lists of scores of the same images.
struct PairedDifference {
  double mean = 0;
  Interval interval;  // 95 %, bootstrap_interval()
  double p = 1;       // wilcoxon_signed_rank()
};

/// Throws Error if the lists are empty or not of one length.
PairedDifference paired_difference(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace gt
