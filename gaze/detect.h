// Detection of fixations in raw gaze samples by I-DT and I-VT (Salvucci and Goldberg, "Identifying fixations and
// saccades in eye-tracking protocols", ETRA 2000, https://doi.org/10.1145/355017.355028).
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace gt {

/// Where the eye looked at one instant. The position has the unit of the thresholds: degrees of visual angle or pixels.
struct GazeSample {
  double time = 0;  // ms
  double x = 0, y = 0;
};

struct DetectOptions {
  std::string method;         // idt or ivt; empty if the file holds fixations
  double dispersion = 1;      // idt: maximum dispersion of a fixation, position units
  double velocity = 30;       // ivt: speed from which a sample belongs to a saccade, position units per second
  double window = 20;         // ivt: time over which a speed is measured, ms; 0 is from sample to sample
  double min_duration = 100;  // from a fixation's first sample to its last, ms
  double max_gap = 75;        // longest time without a sample within a fixation, ms
};

/// Detects fixations in samples sorted by time; returns ranges [first, last) of samples. A gap longer than max_gap
/// splits the samples into runs. Within a run:
///   idt  The dispersion of samples is (max x - min x) + (max y - min y). A window starts with the samples that span
///        min_duration. If its dispersion exceeds the maximum, it starts one sample later. Else it grows while its
///        dispersion allows, and is a fixation; the search continues after it.
///   ivt  Consecutive samples slower than `velocity` that span min_duration are a fixation. A sample's speed is
///        that between the first and the last sample within window / 2, or else that from the sample before.
/// Takes time linear in the number of samples. Throws Error for an unknown method.
std::vector<std::pair<size_t, size_t>> detect_fixations(const std::vector<GazeSample>& samples,
                                                        const DetectOptions& options);

}  // namespace gt
