// The variants of Track Attention that the keys attention.* choose.
#include "models/decoder_attention.h"

#include <cmath>

#include "core/autograd.h"
#include "kernels/cases/check_op.h"
#include "models/gradtrack.h"
#include "models/recipes.h"
#include "tests/catch.h"
#include "tests/temp_folder.h"

using namespace gt;

namespace {

constexpr int64_t channels = 4;

DecoderAttention attention(Parameters& parameters, const AttentionOptions& options = {}) {
  return {Scope(parameters) / "attention", channels, options};
}

Tensor normal(const Shape& shape, uint64_t seed) { return Maker{DType::f64, Random(seed)}.normal(shape); }

Tensor features() { return normal({2, 6, 4, channels}, 1); }
Tensor map() { return sigmoid(normal({2, 6, 4}, 2)); }
Tensor ones(const Shape& shape) { return Tensor::full(shape, 1, DType::f64); }

/// w.F + b of each pixel, (B,H,W), for one group.
Tensor logit(const Parameters& p, const Tensor& f) {
  const double b = p.named()[1].second.item();
  return scale(sum_last(mul_channels(f, p.named()[0].second)), 1, b);
}

void check_equal(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  CHECK(relative_difference(a, b) < 1e-12);
}

}  // namespace

TEST_CASE("decoder attention: the composed form equals the fused op", "[attention]") {
  Parameters p(1, DType::f64);
  const DecoderAttention module = attention(p);
  const auto fused = module(features(), {}, {}, {map(), {}});
  const auto composed = module(features(), {}, {}, {map(), ones({2, 6, 4})});
  check_equal(composed.features, fused.features);
  check_equal(composed.map, fused.map);
  check_equal(composed.loss, fused.loss);
}

TEST_CASE("decoder attention: what A multiplies", "[attention]") {
  for (const std::string use : {"gate", "skip", "none"}) {
    INFO(use);
    Parameters p(1, DType::f64);
    const DecoderAttention module = attention(p, {.use = use});
    const Tensor f = features(), skip = normal({2, 12, 8, 6}, 3), a = sigmoid(logit(p, f));
    const auto out = module(f, skip, {}, {map(), {}});
    check_equal(out.map, a);
    check_equal(out.features, use == "gate" ? mul_pixels(f, a) : f);
    const Tensor up = reshape(resize_bilinear(reshape(a, {2, 6, 4, 1}), 12, 8), {2, 12, 8});
    check_equal(out.skip, use == "skip" ? mul_pixels(skip, scale(up, 1, 1)) : skip);
    CHECK(out.loss.defined());
  }
}

TEST_CASE("decoder attention: the coarser level's logit is added", "[attention]") {
  Parameters p(1, DType::f64);
  const DecoderAttention module = attention(p, {.coarser = "added"});
  const Tensor f = features(), coarser = normal({2, 3, 2, 1}, 4);
  const auto out = module(f, {}, coarser, {});
  const Tensor a = add(logit(p, f), reshape(resize_bilinear(coarser, 6, 4), {2, 6, 4}));
  check_equal(reshape(out.logits, {2, 6, 4}), a);
  check_equal(out.map, sigmoid(a));
  CHECK_FALSE(out.loss.defined());
}

TEST_CASE("decoder attention: each group of channels has its own map, the first is supervised", "[attention]") {
  Parameters p(1, DType::f64);
  const DecoderAttention module = attention(p, {.groups = 2});
  REQUIRE(p.named()[0].second.shape() == Shape{2, channels});
  const Tensor f = features();
  const auto out = module(f, {}, {}, {map(), {}});
  const std::vector<double> w = p.named()[0].second.values<double>(), b = p.named()[1].second.values<double>();
  const std::vector<double> x = f.values<double>(), y = out.features.values<double>(), a = out.map.values<double>();
  for (size_t pixel = 0; pixel < a.size(); ++pixel)
    for (size_t group = 0; group < 2; ++group) {
      double z = b[group];
      for (size_t c = 0; c < size_t(channels); ++c) z += w[group * channels + c] * x[pixel * channels + c];
      const double gain = 1 + 1 / (1 + std::exp(-z));
      if (group == 0) CHECK(a[pixel] == Approx(gain - 1));
      for (size_t c = 2 * group; c < 2 * group + 2; ++c)
        CHECK(y[pixel * channels + c] == Approx(gain * x[pixel * channels + c]));
    }
  backward(out.loss);
  const std::vector<double> dw = p.named()[0].second.grad().values<double>();
  CHECK(std::fabs(dw[0]) > 1e-6);
  for (size_t c = channels; c < 2 * channels; ++c) CHECK(dw[c] == 0);
}

TEST_CASE("decoder attention: only counted pixels are in the loss", "[attention]") {
  Parameters p(1, DType::f64);
  const DecoderAttention module = attention(p);
  Tensor counted = Tensor::zeros({2, 6, 4}, DType::f64);
  counted.data<double>()[5] = 1;
  const double z = logit(p, features()).values<double>()[5], t = map().values<double>()[5];
  CHECK(module(features(), {}, {}, {map(), counted}).loss.item() == Approx(std::log1p(std::exp(z)) - t * z));
}

TEST_CASE("decoder attention: it is supervised in a part of the training", "[attention]") {
  const AttentionOptions options{.begin = 0.25, .end = 0.5};
  std::vector<bool> supervised;
  for (int64_t k = 0; k < 8; ++k) supervised.push_back(options.supervised(k, 8));
  CHECK(supervised == std::vector<bool>{false, false, true, true, false, false, false, false});
  CHECK(AttentionOptions{}.supervised(7, 8));
}

TEST_CASE("gradtrack: targets of the attention", "[attention]") {
  Config config;
  config.data.size = 32;
  config.model.features = {4, 4, 8, 8, 8, 4};
  config.attention = {.target = "pseudo", .use = "none"};
  const auto model = make_model(config, DType::f64);
  // A track whose map is above the threshold in part of the image.
  const Track track{"t", {{0.4, 0.4, 300, 0}, {0.6, 0.5, 250, 400}}, 0, 0};
  SupervisedBatch batch;
  batch.images = normal({1, 32, 32, 3}, 5);
  batch.tracks = pack_tracks({&track}, config.maps, DType::f64);
  const Tensor full = track_maps(batch.tracks, config.maps, track_map_sizes(32, 32)).back();
  const std::vector<double> finest = greater(full, config.pseudo.foreground).values<double>();
  const Losses losses = model->losses(batch);
  const Prediction prediction = model->predict(batch.images);
  for (const int64_t level : {1, 2, 3, 4}) {
    const int64_t side = 32 >> (4 - level), step = 32 / side;
    const std::vector<double> a = prediction.attention[size_t(level - 1)].values<double>();
    double expected = 0;
    for (int64_t y = 0; y < side; ++y)
      for (int64_t x = 0; x < side; ++x) {
        double share = 0;
        for (int64_t i = 0; i < step * step; ++i)
          share += finest[size_t((y * step + i / step) * 32 + x * step + i % step)] / double(step * step);
        const double p = a[size_t(y * side + x)];
        expected -= (share * std::log(p) + (1 - share) * std::log(1 - p)) / double(side * side);
      }
    INFO("level " << level);
    CHECK(losses.terms[size_t(level)].value.item() == Approx(expected));
  }
  batch.attention_supervised = false;
  const Losses unsupervised = model->losses(batch);
  for (const int64_t level : {1, 2, 3, 4}) CHECK(unsupervised.terms[size_t(level)].weight == 0);
}

TEST_CASE("gradtrack: pixels between the thresholds are what the averaged network is sure of", "[attention]") {
  // Foreground, background, and three pixels between them: predicted with 0.9, 0.1 and 0.6.
  const auto logit = [](double p) { return std::log(p / (1 - p)); };
  const PseudoMask mask{Tensor::of<double>({1, 1, 5}, {1, 0, 0, 0, 0}), Tensor::of<double>({1, 1, 5}, {1, 1, 0, 0, 0})};
  const Tensor logits =
      Tensor::of<double>({1, 1, 5, 1}, {logit(0.01), logit(0.99), logit(0.9), logit(0.1), logit(0.6)});
  const PseudoMask all = filled(mask, logits, 0.7);
  CHECK(all.target.values<double>() == std::vector<double>{1, 0, 1, 0, 0});
  CHECK(all.counted.values<double>() == std::vector<double>{1, 1, 1, 1, 0});
  CHECK(error_of([] {
          parse_run_config("pseudo: {between: average}", "f.yaml");
        }).starts_with("f.yaml:1: key 'pseudo.between': average needs train.ema above 0"));
}

TEST_CASE("gradtrack: keys of the attention are checked", "[attention]") {
  const auto error = [](const std::string& keys) {
    return error_of([&] { parse_run_config("attention: {" + keys + "}", "f.yaml"); });
  };
  CHECK(error("groups: 3").find("expected a divisor of") != std::string::npos);
  CHECK(error("begin: 0.5, end: 0.25").find("attention.begin") != std::string::npos);
  CHECK(error("groups: 4").empty());
}
