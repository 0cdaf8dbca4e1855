// Gradients of a training by several processes: their sum over the processes, made during backward().
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <vector>

#include "core/communicator.h"
#include "layers/module.h"

namespace gt {

/// How a step's gradients were summed, by the host's clock. On CUDA with NCCL the host does not see the sums' times.
struct SumTimes {
  int64_t bytes = 0;   // that this process had to send, 2 (n - 1) / n of the gradients
  double total = 0;    // seconds from the first sum's start to the last one's end
  double waiting = 0;  // seconds of these in which nothing else went on
};

/// The parameters lie in buckets, the last ones first, since backward() reaches them in about this order. A bucket is
/// sent as soon as the gradients of its parameters and of those before it are complete.
class GradientSum {
 public:
  /// Parameters are f32. Gradients are sent as `transfer`, f32 or bf16.
  GradientSum(const Communicator& processes, const Parameters& parameters, DType transfer);

  /// For backward(): the gradient of this parameter is complete.
  void complete(const Tensor& parameter);

  /// Waits until every parameter's gradient is its sum over the processes. Parameters without a gradient stay so; they
  /// must be the same ones in all processes. Begins a new step.
  void finish();

  /// Of the last step.
  const SumTimes& times() const { return times_; }

 private:
  using Clock = std::chrono::steady_clock;

  struct Bucket {
    Tensor flat;  // the gradients of its parameters, one after the other
    Tensors parameters;
    size_t missing = 0;  // parameters whose gradients are not complete
    std::optional<TensorSum> sum;
  };

  void start_complete_buckets();

  std::vector<Bucket> buckets_;
  std::map<const void*, size_t> bucket_of_;  // by the address of a parameter's elements
  size_t started_ = 0;                       // buckets that are sent
  Clock::time_point start_ = {};
  SumTimes times_;
};

}  // namespace gt
