// The ResNet encoder against torchvision's: tests/fixtures/make_resnet.py says how its results were computed.
#include "models/resnet.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "models/onnx.h"
#include "models/recipes.h"
#include "tests/differences.h"
#include "tests/program.h"
#include "tests/small_run.h"

using namespace gt;

namespace {

constexpr size_t samples = 32;
constexpr double eps = 1e-5;

/// Values in [-1,1) that depend on the name and the index, as values() in make_resnet.py.
std::vector<double> values(const std::string& name, const Shape& shape) {
  uint32_t seed = 0;
  for (const char c : name) seed = seed * 31 + uint32_t(uint8_t(c));
  std::vector<double> v(size_t(shape.size()));
  for (size_t i = 0; i < v.size(); ++i) {
    uint32_t u = uint32_t(i * 2654435761ull + seed);
    u = (u ^ (u >> 16)) * 0x7FEB352Du;
    u = (u ^ (u >> 15)) * 0x846CA68Bu;
    u ^= u >> 16;
    v[i] = double(u) / 0x1p31 - 1;
  }
  return v;
}

/// The value of an entry of the weights' file, as weight() in make_resnet.py.
Tensor weight(const std::string& name, const Shape& shape) {
  std::vector<double> v = values(name, shape);
  const double filter = double(shape.size()) / double(shape[0]);
  for (double& x : v) {
    if (shape.rank() == 4)
      x *= std::sqrt(6 / filter);
    else if (name.ends_with("running_var") || name.ends_with(".weight"))
      x = 1 + 0.5 * x;
    else
      x *= 0.3;
  }
  return Tensor::of(shape, v).cast(DType::f32);
}

/// torchvision's name of the batch normalisation after a convolution.
std::string norm_of(const std::string& convolution) {
  if (convolution.ends_with("downsample.0")) return convolution.substr(0, convolution.size() - 1) + "1";
  std::string name = convolution;
  return name.replace(name.rfind("conv"), 4, "bn");
}

/// The convolutions of an encoder in a U-Net or alone, with the shapes of their weights, and what comes before a name.
struct Convolutions {
  explicit Convolutions(const Parameters& parameters) {
    for (const auto& [name, p] : parameters.named())
      if (const size_t at = name.find("resnet."); at != name.npos && name.ends_with(".weight"))
        all.emplace_back(name.substr(at + 7, name.size() - at - 14), p.shape());
  }
  std::vector<std::pair<std::string, Shape>> all;
};

/// A file of weights as torchvision's state_dict() has them, with the last layer, which no encoder uses.
SafeTensors torchvision_file(const Parameters& parameters) {
  SafeTensors file;
  for (const auto& [name, shape] : Convolutions(parameters).all) {
    file.tensors.emplace_back(name + ".weight", weight(name + ".weight", shape));
    for (const char* part : {".weight", ".bias", ".running_mean", ".running_var"})
      file.tensors.emplace_back(norm_of(name) + part, weight(norm_of(name) + part, {shape[0]}));
  }
  file.tensors.emplace_back("fc.weight", weight("fc.weight", {1000, 512}));
  return file;
}

struct Encoder {
  Encoder(const std::string& kind, DType dtype) : parameters(1, dtype), net(Scope(parameters) / "resnet", 3, kind) {}
  Parameters parameters;
  ResNet net;
};

void check(const SafeTensors& fixture, const std::string& name, const std::vector<double>& got, double tolerance) {
  INFO(name);
  const Tensor* found = fixture.find(name);
  REQUIRE(found != nullptr);
  const float* expected = found->data<float>();
  double largest = 0, worst = 0;
  for (const double v : got) largest = std::max(largest, std::fabs(v));
  for (size_t k = 0; k < samples; ++k) worst = larger_difference(worst, got[k * 7919 % got.size()], expected[k]);
  worst = larger_difference(worst, largest, expected[samples]);
  CHECK(worst / largest < tolerance);
}

std::vector<double> doubles(const Tensor& t) { return t.cast(DType::f64).values<double>(); }

}  // namespace

TEST_CASE("resnet: features and gradients are those of torchvision with frozen batch normalisation", "[resnet]") {
  const SafeTensors fixture = read_safetensors(GT_SOURCE_DIR "/tests/fixtures/resnet.safetensors");
  for (const std::string kind : {"resnet18", "resnet34"})
    for (const DType dtype : {DType::f64, DType::f32}) {
      INFO(kind << " in " << dtype);
      const double tolerance = dtype == DType::f64 ? 2e-7 : 1e-4;
      Encoder e(kind, dtype);
      const TempFolder tmp;
      write_safetensors(tmp / "weights.safetensors", torchvision_file(e.parameters));
      load_torchvision_weights(e.parameters, tmp / "weights.safetensors");
      const Shape image = {2, 64, 64, 3};
      const Tensors features = e.net(Tensor::of(image, values("image", image)).cast(dtype));
      REQUIRE(features.size() == 5);
      Tensor loss;
      for (size_t k = 0; k < features.size(); ++k) {
        check(fixture, str_cat(kind, ".feature_", k), doubles(features[k]), tolerance);
        const Tensor probe = Tensor::of(features[k].shape(), values(str_cat("probe_", k), features[k].shape()));
        const Tensor part = mean(mul(features[k], probe.cast(dtype)));
        loss = loss.defined() ? add(loss, part) : part;
      }
      backward(loss);
      const NamedTensors& named = e.parameters.named();
      REQUIRE(named.size() == (kind == "resnet18" ? 40 : 72));
      for (size_t i = 0; i < named.size(); i += 2) {
        const std::string name = named[i].first.substr(7, named[i].first.size() - 14), norm = norm_of(name);
        const Shape channels = {named[i].second.dim(0)};
        std::vector<double> dw = doubles(named[i].second.grad());
        const std::vector<double> gamma = doubles(weight(norm + ".weight", channels));
        const std::vector<double> variance = doubles(weight(norm + ".running_var", channels));
        const size_t filter = dw.size() / gamma.size();
        for (size_t k = 0; k < dw.size(); ++k) dw[k] *= gamma[k / filter] / std::sqrt(variance[k / filter] + eps);
        check(fixture, str_cat(kind, ".gradient.", name, ".weight"), dw, tolerance);
        check(fixture, str_cat(kind, ".gradient.", norm, ".bias"), doubles(named[i + 1].second.grad()), tolerance);
      }
    }
}

TEST_CASE("resnet: a damaged or foreign file of weights is refused and changes nothing", "[resnet]") {
  Encoder e("resnet18", DType::f32);
  const TempFolder tmp;
  const std::string path = tmp / "weights.safetensors";
  const std::vector<float> before = e.parameters.named()[0].second.values<float>();
  const auto refused = [&](const std::function<void(SafeTensors&)>& damage) {
    SafeTensors file = torchvision_file(e.parameters);
    damage(file);
    write_safetensors(path, file);
    const std::string error = error_of([&] { load_torchvision_weights(e.parameters, path); });
    CHECK(e.parameters.named()[0].second.values<float>() == before);
    return error;
  };
  const auto tensor = [](SafeTensors& file, const std::string& name) -> Tensor& {
    for (auto& [key, t] : file.tensors)
      if (key == name) return t;
    throw Error("no " + name);
  };
  for (const char* name : {"layer4.1.bn2.running_var", "layer2.0.downsample.0.weight", "conv1.weight"}) {
    INFO(name);
    const std::string missing = refused(
        [&](SafeTensors& f) { std::erase_if(f.tensors, [&](const auto& entry) { return entry.first == name; }); });
    CHECK(has(missing, path + ": tensor '" + name + "' is missing"));
    CHECK(has(refused([&](SafeTensors& f) { tensor(f, name) = Tensor::zeros({5}); }), "has shape (5), expected"));
    CHECK(has(
        refused([&](SafeTensors& f) { tensor(f, name).data<float>()[3] = std::numeric_limits<float>::quiet_NaN(); }),
        str_cat("'", name, "' holds NaN")));
    CHECK(has(refused([&](SafeTensors& f) { tensor(f, name) = Tensor::zeros(tensor(f, name).shape(), DType::i32); }),
              str_cat("'", name, "' holds i32, expected f32")));
  }
  CHECK(has(refused([&](SafeTensors& f) { tensor(f, "bn1.running_var").data<float>()[0] = -1; }), "negative variance"));

  write_safetensors(path, torchvision_file(e.parameters));
  Parameters none(1);
  const Conv2d other(Scope(none) / "other", 3, 4, 3);
  CHECK(has(error_of([&] { load_torchvision_weights(none, path); }), "expected a network with the encoder"));
  write(path, "no tensors");
  CHECK(has(error_of([&] { load_torchvision_weights(e.parameters, path); }), path));
}

namespace {

Config resnet_run(const std::string& recipe) {
  Config c = small_run(recipe);
  c.model.encoder = "resnet18";
  c.train = {.batch = 2, .iterations = 2, .log_every = 1, .val_every = 2, .checkpoint_every = 2};
  return c;
}

}  // namespace

TEST_CASE("resnet: every recipe trains with it, and its run needs the weights' file no more", "[resnet][trainer]") {
  for (const std::string recipe : {"full", "gradtrack", "gazemedseg"}) {
    INFO(recipe);
    Config c = resnet_run(recipe);
    const TempFolder tmp;
    const SafeTensors file = torchvision_file(Encoder("resnet18", DType::f32).parameters);
    c.model.weights = tmp / "weights.safetensors";
    write_safetensors(c.model.weights, file);
    REQUIRE(train(c, tmp / "run"));
    std::filesystem::remove(c.model.weights);
    const LoadedModel loaded = load_model(tmp / "run");
    // Two steps have moved the first convolution's bias by little from bn1.bias - bn1.running_mean gamma / deviation.
    const double gamma = file.find("bn1.weight")->data<float>()[0],
                 mean = file.find("bn1.running_mean")->data<float>()[0];
    const double variance = file.find("bn1.running_var")->data<float>()[0],
                 beta = file.find("bn1.bias")->data<float>()[0];
    size_t found = 0;
    for (const auto& [name, p] : loaded.model->parameters().named()) {
      if (!name.ends_with("resnet.conv1.bias")) continue;
      ++found;
      CHECK(p.data<float>()[0] == Approx(beta - mean * gamma / std::sqrt(variance + eps)).margin(0.05));
    }
    CHECK(found == (recipe == "gazemedseg" ? c.pseudo.thresholds.size() : 1));
    CHECK(loaded.model->predict(Tensor::full({1, 32, 32, 3}, 0.5)).logits.shape() == Shape{1, 32, 32, 1});
    if (onnx_built()) CHECK_FALSE(onnx_file(loaded).empty());
  }
}

TEST_CASE("resnet: keys that do not fit are refused", "[resnet][config]") {
  const auto error = [](const std::string& yaml) {
    return error_of([&] { parse_run_config("data: {size: 64}\n" + yaml, "test"); });
  };
  const std::string resnet = "model: {encoder: resnet34, weights: w.safetensors}\n";
  CHECK(error(resnet).empty());
  CHECK(has(error("model: {weights: w.safetensors}"), "expected model.encoder resnet18 or resnet34"));
  CHECK(has(error("model: {encoder: resnet34}\nprecision: bf16"), "'precision': expected f32 or tf32"));
  CHECK(has(error(resnet + "train: {init: runs/a}"), "train.init"));
  const auto with_data = [](const std::string& data) {
    return error_of([&] {
      parse_run_config("model: {encoder: resnet18, weights: w.safetensors}\ndata: {" + data + "}\n", "test");
    });
  };
  CHECK(with_data("size: 96").empty());
  CHECK(has(with_data("size: 48"), "expected a multiple of 32 with model.encoder"));
  CHECK(has(with_data("size: 64, channels: 1, mean: [0], std: [1]"), "data.channels"));
  CHECK(has(with_data("size: 64, normalize: per_image"), "data.normalize"));
  CHECK(has(with_data("size: 64, mean: [0.5, 0.5, 0.5]"), "data.mean"));
  CHECK(has(with_data("size: 64, std: [0.5, 0.5, 0.5]"), "data.std"));
}
