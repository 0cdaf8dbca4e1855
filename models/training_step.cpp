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

/// On the CPU the batch is used directly. On CUDA it is copied to fixed buffers, because a recorded step reads fixed
/// addresses and shapes.
void TrainingStep::upload(const Batch& batch) {
  if (model_.device() == Device::cpu) {
    input_ = batch;
    return;
  }
  Batch padded = batch;
  if (padded.tracks.xy.defined()) padded.tracks = with_capacity(padded.tracks, fixations_);
  const std::vector<Tensor*> from = tensors_of(padded);
  if (uploads_.empty()) {
    input_ = padded;
    for (Tensor* t : tensors_of(input_)) {
      *t = Tensor(t->shape(), t->dtype(), model_.device());
      uploads_.emplace_back(*t);
    }
  }
  for (size_t i = 0; i < from.size(); ++i) uploads_[i](*from[i]);
}

void TrainingStep::compute() {
  SupervisedBatch supervised;
  supervised.images = augment(input_.images, input_.geometry, input_.colour);
  if (input_.masks.defined()) supervised.masks = augment_masks(input_.masks, input_.geometry);
  if (input_.ignored.defined()) supervised.counted = scale(augment_masks(input_.ignored, input_.geometry), -1, 1);
  for (const Tensor& masks : input_.pseudo) supervised.pseudo.push_back(augment_masks(masks, input_.geometry));
  supervised.tracks = input_.tracks;
  supervised.attention_supervised = attention_supervised_;
  supervised.share = share_;
  if (averaged_ != nullptr && model_.needs_average_logits()) {
    const NamedRange range("averaged network");
    const NoGrad no_grad;
    supervised.average_logits = averaged_->predict(supervised.images).logits;
  }
  Tensors all(1);  // the total, then the terms
  {
    const NamedRange range("forward");
    const Losses losses = model_.losses(supervised);
    all[0] = losses.total();
    for (const LossTerm& term : losses.terms) all.push_back(term.value);
  }
  const size_t terms = model_.loss_terms().size();
  GT_CHECK(all.size() == 1 + terms, "TrainingStep: expected ", terms, " loss terms as in loss_terms(), got ",
           all.size() - 1);
  for (size_t i = 0; i < all.size(); ++i)
    copy_bytes(losses_.data<float>() + i, losses_.device(), all[i].data<float>(), all[i].device(), sizeof(float));
  {
    const NamedRange range("backward");
    if (gradients_ == nullptr)
      backward(all[0]);
    else
      backward(all[0], {}, [this](const Tensor& parameter) { gradients_->complete(parameter); });
  }
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

void TrainingStep::run(const Batch& batch, double lr, bool attention_supervised) {
  GT_CHECK(pending_ < history_.dim(0), "TrainingStep: the losses of ", pending_,
           " steps are stored and there is no space for more; expected take_losses() before");
  if (attention_supervised != attention_supervised_) graph_.clear();  // weights are part of the recorded step
  attention_supervised_ = attention_supervised;
  upload(batch);
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
