#include "models/evaluate.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/autograd.h"
#include "core/parallel.h"

namespace gt {
namespace {

void require_finite(const Tensor& output) {
  const float* v = output.data<float>();
  if (!std::all_of(v, v + output.size(), [](float value) { return std::isfinite(value); }))
    fail("the network gives NaN or infinity for the image, expected finite numbers");
}

/// x (B,H,W,C) on the CPU, mirrored left-right, up-down or both.
Tensor mirrored(const Tensor& x, bool left_right, bool up_down) {
  const int64_t height = x.dim(1), width = x.dim(2), channels = x.dim(3);
  Tensor y(x.shape());
  for (int64_t row = 0; row < x.dim(0) * height; ++row) {
    const int64_t from = up_down ? row / height * height + height - 1 - row % height : row;
    for (int64_t u = 0; u < width; ++u)
      std::copy_n(x.data<float>() + (from * width + (left_right ? width - 1 - u : u)) * channels, channels,
                  y.data<float>() + (row * width + u) * channels);
  }
  return y;
}

class MirrorAveraged : public Model {
 public:
  MirrorAveraged(std::unique_ptr<Model> model, const Config& config)
      : Model(config, DType::f32, model->device()), model_(std::move(model)) {}

  Prediction predict(const Tensor& images) const override {
    Prediction prediction = model_->predict(images);
    const Tensor on_cpu = images.to(Device::cpu);
    Tensor sum = prediction.logits.to(Device::cpu);
    for (const auto& [left_right, up_down] : {std::pair(true, false), std::pair(false, true), std::pair(true, true)}) {
      const Tensor logits = model_->predict(mirrored(on_cpu, left_right, up_down).to(device())).logits;
      sum = add(sum, mirrored(logits.to(Device::cpu), left_right, up_down));
    }
    prediction.logits = scale(sum, 0.25).to(device());
    return prediction;
  }
  Losses losses(const SupervisedBatch&) const override { fail("a mirror-averaged model has no losses"); }
  std::vector<std::string> loss_terms() const override { return {}; }

 private:
  std::unique_ptr<Model> model_;
};

}  // namespace

std::unique_ptr<Model> mirror_averaged(std::unique_ptr<Model> model, const Config& config) {
  return std::make_unique<MirrorAveraged>(std::move(model), config);
}

Tensor network_input(const std::vector<const Sample*>& samples, Device device) {
  std::vector<const Image*> images;
  std::vector<const Normalisation*> normalisations;
  for (const Sample* sample : samples) {
    images.push_back(&sample->image);
    normalisations.push_back(&sample->normalisation);
  }
  const auto [geometry, colour] = no_augmentation(normalisations);
  return augment(stack_images(images).to(device), geometry.to(device), colour.to(device));
}

Tensor network_input(const Image& image, const DataOptions& data, Device device) {
  Sample sample;
  sample.image = resize_image(image, data.size, data.size, data.shrinking());
  sample.normalisation = normalisation_of(sample.image, data);
  return network_input({&sample}, device);
}

Tensor predict_probability(const Model& model, const DataOptions& data, const Image& image) {
  const NoGrad no_grad;
  const Tensor logits = model.predict(network_input(image, data, Device::cpu)).logits;
  require_finite(logits);
  return foreground_probability(reshape(logits, {data.size, data.size}), image.height, image.width);
}

Tensor foreground_probability(const Tensor& logits, int64_t height, int64_t width) {
  const NoGrad no_grad;
  const Tensor z = resize_bilinear(logits.view({1, logits.dim(0), logits.dim(1), 1}), height, width);
  return reshape(sigmoid(z), {height, width});
}

Image predicted_mask(const Tensor& logits, int64_t height, int64_t width) {
  const NoGrad no_grad;
  require_finite(logits);
  const Tensor z = resize_bilinear(logits.view({1, logits.dim(0), logits.dim(1), 1}), height, width);
  Image mask(height, width, 1);
  const float* v = z.data<float>();
  for (size_t i = 0; i < mask.pixels.size(); ++i) mask.pixels[i] = v[i] > 0 ? 255 : 0;
  return mask;
}

namespace {

/// The scores of the samples first .. first + count - 1, predicted at once.
std::vector<ImageScores> evaluate_batch(const Model& model, const SampleSource& dataset, int64_t first, int64_t count) {
  std::vector<Sample> samples;
  std::vector<const Sample*> places;
  for (int64_t i = first; i < first + count; ++i) samples.push_back(dataset.sample(i));
  for (const Sample& sample : samples) places.push_back(&sample);
  const Tensor logits = model.predict(network_input(places, model.device())).logits.to(Device::cpu);
  const int64_t pixels = logits.dim(1) * logits.dim(2);
  std::vector<Image> masks;
  for (int64_t i = 0; i < count; ++i) {
    const Sample& sample = samples[size_t(i)];
    Tensor one({logits.dim(1), logits.dim(2)});
    std::copy_n(logits.data<float>() + i * pixels, pixels, one.data<float>());
    try {
      masks.push_back(predicted_mask(one, sample.label.height, sample.label.width));
    } catch (const Error& error) {
      fail("image '", sample.name, "': ", error.what());
    }
  }
  std::vector<ImageScores> result(static_cast<size_t>(count));
  parallel_for(count, 1, [&](int64_t i, int64_t) {
    const Sample& sample = samples[size_t(i)];
    result[size_t(i)] = {sample.name, score_masks(masks[size_t(i)], sample.label)};
  });
  return result;
}

/// Fills in the scores that other processes have. owner(i) is the process that has those of image i.
template <class F>
void exchange_scores(std::vector<ImageScores>& images, const Communicator& processes, const F& owner) {
  const size_t values = metric_table().size();
  std::string own;
  for (size_t i = 0; i < images.size(); ++i)
    if (owner(i) == processes.rank())
      own.append(reinterpret_cast<const char*>(images[i].scores.values.data()), values * sizeof(double));
  const std::vector<std::string> all = processes.gather(own);
  std::vector<size_t> at(all.size(), 0);
  for (size_t i = 0; i < images.size(); ++i) {
    const size_t rank = size_t(owner(i));
    images[i].scores.values.resize(values);
    GT_CHECK(at[rank] + values * sizeof(double) <= all[rank].size(), "evaluate_model: process ", rank, " sent ",
             all[rank].size(), " bytes, expected more");
    std::memcpy(images[i].scores.values.data(), all[rank].data() + at[rank], values * sizeof(double));
    at[rank] += values * sizeof(double);
  }
}

}  // namespace

std::vector<ImageScores> evaluate_model(const Model& model, const SampleSource& dataset, int64_t batch,
                                        const std::function<void(int64_t)>& progress, const Communicator& processes) {
  const NoGrad no_grad;
  const int64_t n = dataset.size();
  std::vector<ImageScores> result;
  for (int64_t i = 0; i < n; ++i) result.push_back({dataset.name(i), {}});
  // Whole batches, so that each network sees the images together that one process would show it.
  for (int64_t first = processes.rank() * batch; first < n; first += batch * processes.size()) {
    const int64_t count = std::min(batch, n - first);
    const std::vector<ImageScores> scores = evaluate_batch(model, dataset, first, count);
    std::copy(scores.begin(), scores.end(), result.begin() + first);
    if (progress) progress(std::min(n, first + count * processes.size()));
  }
  if (processes.size() > 1)
    exchange_scores(result, processes, [&](size_t i) { return int(int64_t(i) / batch % processes.size()); });
  return result;
}

std::vector<const Metric*> known_metrics(const std::vector<ImageScores>& images) {
  std::vector<const Metric*> known;
  for (const Metric& m : metric_table())
    if (std::none_of(images.begin(), images.end(),
                     [&](const ImageScores& image) { return std::isnan(image.scores.at(m.key)); }))
      known.push_back(&m);
  return known;
}

MeanStd summarize_scores(const std::vector<ImageScores>& images, const Metric& metric) {
  std::vector<double> values;
  for (const ImageScores& image : images) values.push_back(image.scores.at(metric.key));
  return mean_std(values);
}

}  // namespace gt
