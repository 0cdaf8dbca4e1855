// Statistics of the difference between two ways of training: confidence interval and significance.
#pragma once

#include <cstdint>
#include <vector>

namespace gt {

/// A confidence interval.
struct ConfidenceInterval {
  double low = 0, high = 0;
};

/// 95 % confidence interval of the mean by the percentile bootstrap. Its ends are the 2.5th and the 97.5th percentile
/// of the means of `resamples` samples drawn with replacement. `seed` determines the draws. Throws Error without
/// values. Source: Efron and Tibshirani, "An introduction to the bootstrap", 1993, ch. 13.
ConfidenceInterval bootstrap_interval(const std::vector<double>& values, int64_t resamples = 10000, uint64_t seed = 1);

/// Two-sided p-value of Wilcoxon's signed-rank test that the differences are symmetric about 0. Zeros are dropped; the
/// p-value is 1 if none remain. It is exact for at most 25 differences without ties. Otherwise it is the normal
/// approximation with corrections for ties and continuity.
/// Source: Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1, 1945.
double wilcoxon_signed_rank(const std::vector<double>& differences);

/// The difference a - b between two lists of scores of one list of images.
struct PairedDifference {
  double mean = 0;
  ConfidenceInterval interval;  // 95 % interval of the mean, see bootstrap_interval()
  double p = 1;                 // p-value, see wilcoxon_signed_rank()
};

/// Compares scores a and b, one of each per image. Throws Error if the lists are empty or differ in length.
PairedDifference paired_difference(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace gt
