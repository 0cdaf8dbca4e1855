#include "models/training_step.h"

#include <algorithm>

#include "core/autograd.h"

namespace gt {
namespace {

/// The defined tensors of a batch, in a fixed order.
std::vector<Tensor*> tensors_of(Batch& b) {
  std::vector<Tensor*> defined;
  for (Tensor* t : {&b.images, &b.masks, &b.ignored, &b.geometry, &b.colour, &b.tracks.xy, &b.tracks.weight,
                    &b.tracks.sigma, &b.tracks.tau, &b.tracks.kept, &b.tracks.offsets})
    if (t->defined()) defined.push_back(t);
  for (Tensor& t : b.pseudo) defined.push_back(&t);
  return defined;
}

}  // namespace

int64_t max_fixations(std::vector<int64_t> of_samples, int64_t batch) {
  std::sort(of_samples.rbegin(), of_samples.rend());
  const int64_t samples = int64_t(of_samples.size());
  const int64_t times = (batch + samples - 1) / samples + 1;  // that a batch can hold a sample
  int64_t max = 0;
  for (int64_t i = 0; i < batch; ++i) max += of_samples[size_t(i / times)];
  return max;
}

TrainingStep::TrainingStep(const Model& model, Optimizer& optimizer, const Config& config, int64_t fixations,
                           int64_t history)
    : model_(model),
      optimizer_(optimizer),
      accumulate_(config.train.accumulate),
      fixations_(fixations),
      replays_(config.train.cuda_graph && model.device() == Device::cuda) {
  const int64_t values = 1 + int64_t(model.loss_terms().size()) + (optimizer.clip().defined() ? 1 : 0);
  losses_ = Tensor::zeros({values}, DType::f32, model.device());
  history_ = Tensor::zeros({history, values}, DType::f32, model.device());
}

void TrainingStep::share_batches(const BatchShare& share, GradientSum& gradients) {
  share_ = share;
  gradients_ = &gradients;
  replays_ = replays_ && share.processes.sums_on_device();
}

/// On the CPU the batches are used directly. On CUDA they are copied to fixed buffers, because a recorded step reads
/// fixed addresses and shapes.
void TrainingStep::upload(const std::vector<Batch>& batches) {
  if (model_.device() == Device::cpu) {
    inputs_ = batches;
    return;
  }
  inputs_.resize(batches.size());
  for (size_t k = 0; k < batches.size(); ++k) {
    Batch padded = batches[k];
    if (padded.tracks.xy.defined()) padded.tracks = with_capacity(padded.tracks, fixations_);
    Tensors from;
    for (const Tensor* t : tensors_of(padded)) from.push_back(*t);
    if (k == uploads_.size()) {
      uploads_.emplace_back(from, model_.device());
      inputs_[k] = padded;
      const std::vector<Tensor*> to = tensors_of(inputs_[k]);
      for (size_t i = 0; i < to.size(); ++i) *to[i] = uploads_[k].tensors()[i];
    }
    uploads_[k](from);
  }
}

/// Adds the gradients of a batch, as its part of their mean over the batches, to those of the parameters. Returns the
/// total loss and the terms, (1 + terms). After the last batch the gradients are complete.
Tensor TrainingStep::differentiate(const Batch& batch, bool last) {
  SupervisedBatch supervised;
  supervised.images = augment(batch.images, batch.geometry, batch.colour);
  if (batch.masks.defined()) supervised.masks = augment_masks(batch.masks, batch.geometry);
  if (batch.ignored.defined()) supervised.counted = scale(augment_masks(batch.ignored, batch.geometry), -1, 1);
  for (const Tensor& masks : batch.pseudo) supervised.pseudo.push_back(augment_masks(masks, batch.geometry));
  supervised.tracks = batch.tracks;
  supervised.attention_supervised = attention_supervised_;
  supervised.share = share_;
  if (averaged_ != nullptr && model_.needs_average_logits()) {
    const NamedRange range("averaged network");
    const NoGrad no_grad;
    supervised.average_logits = averaged_->predict(supervised.images).logits;
  }
  Tensor total, values;
  {
    const NamedRange range("forward");
    const WeightedSum losses = model_.losses(supervised).sum();
    values = losses.values;
    total = inputs_.size() > 1 ? scale(losses.total, 1 / double(inputs_.size())) : losses.total;
  }
  const NamedRange range("backward");
  if (gradients_ == nullptr || !last)
    backward(total);
  else
    backward(total, {}, [this](const Tensor& parameter) { gradients_->complete(parameter); });
  return values;
}

void TrainingStep::compute() {
  Tensor values;
  for (size_t k = 0; k < inputs_.size(); ++k) {
    const Tensor of_batch = differentiate(inputs_[k], k + 1 == inputs_.size());
    values = k == 0 ? of_batch : add(values, of_batch);
  }
  if (inputs_.size() > 1) values = scale(values, 1 / double(inputs_.size()));
  const int64_t expected = 1 + int64_t(model_.loss_terms().size());
  GT_CHECK(values.size() == expected, "TrainingStep: expected ", expected - 1, " loss terms as in loss_terms(), got ",
           values.size() - 1);
  copy_bytes(losses_.raw(), losses_.device(), values.data<float>(), values.device(), size_t(expected) * sizeof(float));
  if (gradients_ != nullptr) gradients_->finish();
  update();
}

void TrainingStep::update() {
  const NamedRange range("update");
  optimizer_.update();
  if (average_ != nullptr) average_->update();
  if (!optimizer_.clip().defined()) return;
  const Tensor clip = optimizer_.clip().cast(DType::f32);
  copy_bytes(losses_.data<float>() + losses_.size() - 1, losses_.device(), clip.raw(), clip.device(), sizeof(float));
}

void TrainingStep::run(const std::vector<Batch>& batches, double lr, bool attention_supervised) {
  GT_CHECK(int64_t(batches.size()) == accumulate_, "TrainingStep: ", batches.size(), " batches, expected ",
           accumulate_);
  GT_CHECK(pending_ < history_.dim(0), "TrainingStep: the losses of ", pending_,
           " steps are stored and there is no space for more; expected take_losses() before");
  if (attention_supervised != attention_supervised_) graph_.clear();  // weights are part of the recorded step
  attention_supervised_ = attention_supervised;
  upload(batches);
  optimizer_.prepare(lr);
  if (average_ != nullptr) average_->prepare();
  if (replays_ && warm_) {
    if (!graph_.recorded()) graph_.record([this] { compute(); });
    graph_.replay();
  } else {
    compute();
  }
  warm_ = true;
  copy_bytes(history_.data<float>() + pending_++ * losses_.size(), history_.device(), losses_.raw(), losses_.device(),
             losses_.bytes());
}

std::vector<StepLosses> TrainingStep::take_losses() {
  const std::vector<float> values = history_.values<float>();
  std::vector<StepLosses> taken;
  for (int64_t k = 0; k < pending_; ++k) {
    const float* row = values.data() + k * losses_.size();
    const float* const end = row + 1 + model_.loss_terms().size();
    taken.push_back({row[0], std::vector<double>(row + 1, end), optimizer_.clip().defined() ? *end : 0});
  }
  pending_ = 0;
  return taken;
}

}  // namespace gt
