#include "layers/optim.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>

#include "kernels/ops.h"

namespace gt {
namespace {

/// Overwrites each tensor with that of its name in `file`. Throws Error, naming `source` and the tensor, if one is
/// missing or has another shape.
void restore_tensors(const NamedTensors& tensors, const SafeTensors& file, const std::string& source) {
  for (auto [name, tensor] : tensors) {
    const Tensor* found = file.find(name);
    if (found == nullptr || found->shape() != tensor.shape())
      fail(source, ": tensor '", name, "' of shape ", tensor.shape(), " is not in the file");
    tensor.copy_from(*found);
  }
}

/// Writes the rates of a step to the device of `parameter`, without waiting for it.
void set_rates(std::optional<Upload>& rates, const Tensor& values, const Tensor& parameter) {
  if (!rates) rates.emplace(Tensor(values.shape(), values.dtype(), parameter.device()));
  (*rates)(values);
}

std::string state_name(const std::string& moment, const std::string& parameter) {
  return "optimizer." + moment + "." + parameter;
}

}  // namespace

double cosine_lr(const OptimizerOptions& options, int64_t k, int64_t n, int64_t batch, int64_t images) {
  const double share = k < options.warmup ? double(k + 1) / double(options.warmup) : 1;
  if (options.schedule == "epoch") {
    k = k * batch / images;
    n = (n * batch + images - 1) / images;
  }
  const double phase = std::numbers::pi * double(k) / double(n);
  return share * (options.lr_end + 0.5 * (options.lr - options.lr_end) * (1 + std::cos(phase)));
}

Optimizer::Optimizer(const OptimizerOptions& options, const Parameters& parameters)
    : options_(options), parameters_(parameters.named()) {
  if (options.kind == "sgd")
    moments_ = {{"velocity", {}}};
  else
    moments_ = {{"first_moment", {}}, {"second_moment", {}}};
  for (auto& [moment, tensors] : moments_)
    for (const auto& [name, p] : parameters_) tensors.push_back(Tensor::zeros(p.shape(), p.dtype(), p.device()));
  if (options.clip > 0) clip_ = Tensor::zeros({2}, DType::f64, parameters.device());
}

void Optimizer::prepare(double lr) {
  ++steps_;
  const Tensor rates = options_.kind == "sgd"
                           ? sgd_rates(lr, options_.momentum, options_.weight_decay, options_.nesterov)
                           : adamw_rates(steps_, lr, options_.weight_decay);
  if (!parameters_.empty()) set_rates(rates_, rates, parameters_[0].second);
}

void Optimizer::update() {
  Tensors values, gradients;
  for (const auto& [name, p] : parameters_) {
    values.push_back(p);
    gradients.push_back(p.grad());
  }
  if (clip_.defined()) clip_by_norm(gradients, options_.clip, clip_);
  if (options_.kind == "sgd")
    sgd_step(values, gradients, moments_[0].second, rates_->tensor(), clip_);
  else
    adamw_step(values, gradients, moments_[0].second, moments_[1].second, rates_->tensor(), clip_);
  for (Tensor& p : values) p.clear_grad();
}

NamedTensors Optimizer::state() const {
  NamedTensors all;
  for (const auto& [moment, tensors] : moments_)
    for (size_t i = 0; i < tensors.size(); ++i) all.emplace_back(state_name(moment, parameters_[i].first), tensors[i]);
  return all;
}

void Optimizer::restore(const SafeTensors& file, int64_t steps, const std::string& source) {
  restore_tensors(state(), file, source);
  steps_ = steps;
}

WeightAverage::WeightAverage(double decay, const Parameters& parameters, Parameters& averages)
    : decay_(decay), parameters_(parameters.tensors()), averages_(averages.named()) {
  reset();
}

void WeightAverage::reset() {
  for (size_t i = 0; i < parameters_.size(); ++i) averages_[i].second.copy_from(parameters_[i]);
}

void WeightAverage::prepare() {
  const double t = double(steps_++);
  if (!averages_.empty()) set_rates(rates_, average_rates(std::min(decay_, (1 + t) / (10 + t))), averages_[0].second);
}

void WeightAverage::update() {
  Tensors averages;
  for (const auto& [name, a] : averages_) averages.push_back(a);
  average_step(averages, parameters_, rates_->tensor());
}

NamedTensors WeightAverage::state() const {
  NamedTensors all;
  for (const auto& [name, a] : averages_) all.emplace_back("average." + name, a);
  return all;
}

void WeightAverage::restore(const SafeTensors& file, int64_t steps, const std::string& source) {
  restore_tensors(state(), file, source);
  steps_ = steps;
}

}  // namespace gt
