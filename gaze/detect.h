// Fixations from raw gaze samples: I-DT and I-VT (Salvucci and Goldberg, Identifying fixations and saccades in
// eye-tracking protocols, ETRA 2000, https://doi.org/10.1145/355017.355028).
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace gt {

/// Where the eye looked at one instant. Position in the unit of the thresholds: degrees of visual angle or pixels.
struct GazeSample {
  double time = 0;  // ms
  double x = 0, y = 0;
};

struct DetectOptions {
  std::string method;         // idt, ivt; empty where nothing is to be detected
  double dispersion = 1;      // idt: the most that a fixation spreads, position units
  double velocity = 30;       // ivt: the speed that a saccade begins at, position units per second
  double window = 20;         // ivt: ms that a speed is measured over; 0 from sample to sample
  double min_duration = 100;  // ms from a fixation's first sample to its last
  double max_gap = 75;        // ms without a sample that end a fixation
};

/// The fixations in samples that are in order of time, as ranges [first, last) of them. A gap of more than max_gap
/// ends a fixation and parts the samples in runs; within a run
///   idt  from the first samples that span min_duration on, a fixation is what has (max x - min x) + (max y - min y) <=
///        dispersion; it grows until it has not, and the search goes on behind it; where the first samples spread
///        wider already, it goes on one sample later;
///   ivt  samples slower than `velocity` that follow one another are a fixation. The speed at a sample is that between
///        the first and the last sample within window / 2 of it, or, where these are one, from the sample before.
/// Throws Error for an unknown method.
std::vector<std::pair<size_t, size_t>> detect_fixations(const std::vector<GazeSample>& samples,
                                                        const DetectOptions& options);

}  // namespace gt
