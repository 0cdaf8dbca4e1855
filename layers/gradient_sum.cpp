#include "layers/gradient_sum.h"

#include <algorithm>

#include "core/profile.h"

namespace gt {
namespace {

/// The elements of a bucket: large enough to use a network well, and few enough that most are sent during backward().
int64_t bucket_elements(int64_t all) {
  constexpr int64_t min = 16 << 10, max = 4 << 20;
  return std::clamp(all / 8, min, max);
}

double seconds(std::chrono::steady_clock::duration d) { return std::chrono::duration<double>(d).count(); }

}  // namespace

GradientSum::GradientSum(const Communicator& processes, const Parameters& parameters, DType transfer) {
  const int64_t wanted = bucket_elements(parameters.count());
  int64_t size = 0;
  Tensors all = parameters.tensors();
  for (size_t i = all.size(); i-- > 0;) {
    GT_CHECK(all[i].dtype() == DType::f32, "GradientSum: parameters are ", all[i].dtype(), ", expected f32");
    if (buckets_.empty() || size >= wanted) buckets_.emplace_back(), size = 0;
    buckets_.back().parameters.push_back(all[i]);
    bucket_of_[all[i].raw()] = buckets_.size() - 1;
    size += all[i].size();
  }
  for (Bucket& bucket : buckets_) {
    int64_t elements = 0;
    for (const Tensor& p : bucket.parameters) elements += p.size();
    bucket.flat = Tensor::zeros({elements}, DType::f32, parameters.device());
    bucket.missing = bucket.parameters.size();
    bucket.sum.emplace(processes, bucket.flat, transfer);
  }
  times_.bytes = 2 * (processes.size() - 1) * parameters.count() * int64_t(size_of(transfer)) / processes.size();
}

void GradientSum::complete(const Tensor& parameter) {
  const auto found = bucket_of_.find(parameter.raw());
  GT_CHECK(found != bucket_of_.end(), "GradientSum: a tensor of shape ", parameter.shape(), " is not a parameter");
  Bucket& bucket = buckets_[found->second];
  GT_CHECK(bucket.missing > 0, "GradientSum: a gradient is complete for the second time");
  --bucket.missing;
  start_complete_buckets();
  for (size_t k = 0; k < started_; ++k) buckets_[k].sum->advance();
}

/// Buckets start in their order, which is the same in all processes.
void GradientSum::start_complete_buckets() {
  for (; started_ < buckets_.size() && buckets_[started_].missing == 0; ++started_) {
    Bucket& bucket = buckets_[started_];
    if (started_ == 0) start_ = Clock::now();
    const NamedRange range("send gradients");
    float* at = bucket.flat.data<float>();
    for (const Tensor& p : bucket.parameters) {
      const Tensor grad = p.grad();
      if (grad.defined()) copy_bytes(at, p.device(), grad.raw(), p.device(), p.bytes());
      at += p.size();
    }
    bucket.sum->start();
  }
}

void GradientSum::finish() {
  const Clock::time_point begin = Clock::now();
  const NamedRange range("wait for gradients");
  for (Bucket& bucket : buckets_) bucket.missing = 0;  // parameters that are not in the graph
  start_complete_buckets();
  for (Bucket& bucket : buckets_) {
    bucket.sum->finish();
    const float* at = bucket.flat.data<float>();
    for (const Tensor& p : bucket.parameters) {
      const Tensor grad = p.grad();
      if (grad.defined()) copy_bytes(grad.raw(), p.device(), at, p.device(), p.bytes());
      at += p.size();
    }
    bucket.missing = bucket.parameters.size();
  }
  started_ = 0;
  times_.total = seconds(Clock::now() - start_);
  times_.waiting = seconds(Clock::now() - begin);
}

}  // namespace gt
