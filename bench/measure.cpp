#include "bench/measure.h"

#include <benchmark/benchmark.h>

#include <algorithm>

#include "bench/clock.h"
#include "bench/gate.h"
#include "core/check.h"

namespace gt {
namespace {

constexpr double min_repetition_seconds = 5e-4;  // a repetition of a fast op has many calls

/// Keeps the times of the repetitions.
class Collector : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }

  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      const double seconds = run.GetAdjustedRealTime();
      if (run.error_occurred) error = run.error_message;
      if (run.run_type == Run::RT_Aggregate) continue;
      repetitions.push_back(seconds);
      calls = run.iterations;
    }
  }

  Timing timing() const {
    const MedianTime median = median_time(repetitions);
    const auto [min, max] = std::minmax_element(repetitions.begin(), repetitions.end());
    return {median.median, *min, *max, median.low, median.high, int64_t(repetitions.size()), calls};
  }

  std::vector<double> repetitions;  // seconds of a call
  int64_t calls = 0;
  std::string error;
};

/// Seconds of a call once calls no longer get faster: the first ones make plans and allocate memory. Stops in any case
/// after `budget` seconds.
double settled_seconds(Device device, const std::function<void()>& work, double budget) {
  double fastest = seconds_of(device, work);
  for (double spent = fastest; spent < budget;) {
    const double next = seconds_of(device, work);
    spent += next;
    const bool settled = next > 0.9 * fastest;
    fastest = std::min(fastest, next);
    if (settled) break;
  }
  return fastest;
}

}  // namespace

Timing measure(const std::string& name, Device device, const std::function<void()>& work, double budget) {
  const double estimate = settled_seconds(device, work, 2 * budget);
  const int64_t calls = std::clamp<int64_t>(int64_t(min_repetition_seconds / estimate), 1, 100);
  const int64_t repetitions = std::clamp<int64_t>(int64_t(budget / (estimate * double(calls))), 3, 21);

  const auto body = [&](benchmark::State& state) {
    try {
      for (auto _ : state) state.SetIterationTime(seconds_of(device, work));
    } catch (const std::exception& e) {
      state.SkipWithError(e.what());
    }
  };
  benchmark::RegisterBenchmark(name.c_str(), body)
      ->Unit(benchmark::kSecond)
      ->UseManualTime()
      ->Iterations(calls)
      ->Repetitions(int(repetitions));
  Collector collector;
  benchmark::RunSpecifiedBenchmarks(&collector, ".");
  benchmark::ClearRegisteredBenchmarks();
  if (!collector.error.empty()) fail(collector.error);
  return collector.timing();
}

}  // namespace gt
