#include "models/evaluate.h"

#include <algorithm>
#include <cmath>

#include "core/autograd.h"
#include "core/parallel.h"

namespace gt {

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
  sample.image = resize_image(image, data.size, data.size);
  sample.normalisation = normalisation_of(sample.image, data);
  return network_input({&sample}, device);
}

Tensor predict_probability(const Model& model, const DataOptions& data, const Image& image) {
  const NoGrad no_grad;
  const Tensor logits = model.predict(network_input(image, data, Device::cpu)).logits;
  const Tensor z = resize_bilinear(reshape(logits, {1, data.size, data.size, 1}), image.height, image.width);
  return reshape(sigmoid(z), {image.height, image.width});
}

Image predicted_mask(const Tensor& logits, int64_t height, int64_t width, const std::string& name) {
  const NoGrad no_grad;
  const float* out = logits.data<float>();
  if (!std::all_of(out, out + logits.size(), [](float v) { return std::isfinite(v); }))
    fail(name, ": the network's output is not finite (NaN or infinite), expected numbers; the training has diverged or ",
         "the checkpoint is damaged");
  const Tensor z = resize_bilinear(logits.view({1, logits.dim(0), logits.dim(1), 1}), height, width);
  Image mask(height, width, 1);
  const float* v = z.data<float>();
  for (size_t i = 0; i < mask.pixels.size(); ++i) mask.pixels[i] = v[i] > 0 ? 255 : 0;
  return mask;
}

std::vector<ImageScores> evaluate_model(const Model& model, const Dataset& dataset, int64_t batch,
                                        const std::function<void(int64_t)>& progress) {
  const NoGrad no_grad;
  const int64_t n = int64_t(dataset.samples.size());
  std::vector<ImageScores> result(dataset.samples.size());
  for (int64_t first = 0; first < n; first += batch) {
    const int64_t count = std::min(batch, n - first);
    std::vector<const Sample*> samples;
    for (int64_t i = first; i < first + count; ++i) samples.push_back(&dataset.samples[size_t(i)]);
    const Tensor logits = model.predict(network_input(samples, model.device())).logits.to(Device::cpu);
    const int64_t pixels = logits.dim(1) * logits.dim(2);
    std::vector<Image> masks;
    for (int64_t i = 0; i < count; ++i) {
      const Sample& sample = dataset.samples[size_t(first + i)];
      Tensor one({logits.dim(1), logits.dim(2)});
      std::copy_n(logits.data<float>() + i * pixels, pixels, one.data<float>());
      masks.push_back(predicted_mask(one, sample.label.height, sample.label.width, "image '" + sample.name + "'"));
    }
    parallel_for(count, 1, [&](int64_t i, int64_t) {
      const Sample& sample = dataset.samples[size_t(first + i)];
      result[size_t(first + i)] = {sample.name, score_masks(masks[size_t(i)], sample.label)};
    });
    if (progress) progress(first + count);
  }
  return result;
}

MeanStd summarize_scores(const std::vector<ImageScores>& images, const Metric& metric) {
  std::vector<double> values;
  for (const ImageScores& image : images) values.push_back(image.scores.at(metric.key));
  return mean_std(values);
}

}  // namespace gt
