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

/// The scores of several trainings, the seeds, on one list of images: scores[seed][image].
using SeedScores = std::vector<std::vector<double>>;

/// The difference a - b between two ways of training.
struct PairedDifference {
  double mean = 0;
  std::vector<double> seeds;        // the mean difference of each seed
  ConfidenceInterval interval;      // 95 % interval of the mean for other seeds and other images
  double p = 1;                     // two-sided, from the same resamples
  double p_images = 1;              // for other images only: wilcoxon_signed_rank() of the means over seeds
  bool within_seed_spread = false;  // |mean| is below the standard deviation over seeds of a or of b
};

/// Compares scores a and b. Seed s and image i of both belong together. Interval and p come from a bootstrap of two
/// levels: `resamples` times the seeds, then the images, are drawn with replacement. With one seed, they hold for other
/// images alone. p is twice the share of resamples on the other side of 0, at least 2 / (resamples + 1). `seed`
/// determines the draws. Throws Error unless both have the same numbers of seeds and images, above 0.
/// Source: Davison and Hinkley, "Bootstrap methods and their application", 1997, section 3.8.
PairedDifference paired_difference(const SeedScores& a, const SeedScores& b, int64_t resamples = 10000,
                                   uint64_t seed = 1);

}  // namespace gt
