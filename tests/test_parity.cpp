// Against MONAI and PyTorch: what they made of the same weights and inputs is in tests/fixtures, whose make_parity.py
// says how.
#include <algorithm>
#include <cmath>

#include "core/autograd.h"
#include "models/checkpoint.h"
#include "models/recipes.h"
#include "tests/catch.h"
#include "tests/differences.h"

using namespace gt;

namespace {

struct Way {
  DType dtype;
  std::string conv;
};

const std::vector<Way> ways = {
    {DType::f32, "direct"}, {DType::f32, "winograd"}, {DType::f64, "direct"}, {DType::f64, "winograd"}};

/// Of a tensor's elements, relative to its largest. In double that is how the fixtures are rounded, to f32.
double tolerance(DType dtype) { return dtype == DType::f64 ? 1e-7 : 5e-5; }

/// A name without the first of the prefixes that it has.
template <class... Prefix>
std::string without(const std::string& name, Prefix... prefixes) {
  for (const std::string_view prefix : {std::string_view(prefixes)...})
    if (name.starts_with(prefix)) return name.substr(prefix.size());
  return name;
}

/// A fixture, and a model of its configuration that starts from the same weights.
class Reference {
 public:
  Reference(const std::string& recipe, const Way& way) : way_(way) {
    const std::string folder = GT_SOURCE_DIR "/tests/fixtures/", path = folder + recipe + ".safetensors";
    file_ = read_safetensors(path);
    config = parse_run_config(metadata_entry(file_, "config", path), path);
    config.conv = way.conv;
    model = make_model(config, way.dtype);
    const SafeTensors basic_unet = read_safetensors(folder + "basic_unet.safetensors");
    SafeTensors weights;
    for (const auto& [name, p] : model->parameters().named()) {
      const std::string own = without(name, "level_1.", "level_2.");  // the levels of GazeMedSeg start equal
      const Tensor* found = file_.find(own);
      if (found == nullptr) found = basic_unet.find(without(own, "encoder."));
      GT_CHECK(found != nullptr, "no '", own, "' in the fixtures");
      weights.tensors.emplace_back(name, *found);
    }
    model->parameters().load(weights, path);
  }

  Tensor operator[](const std::string& name) const {
    const Tensor* tensor = file_.find(name);
    GT_CHECK(tensor != nullptr, "no '", name, "' in the fixture");
    return tensor->cast(way_.dtype);
  }

  /// `factor` widens the tolerance of f32.
  void check(const std::string& name, const Tensor& got, double factor = 1) const {
    const Tensor expected = (*this)[name];
    INFO(name << ", " << way_.dtype << ", convolutions " << way_.conv);
    REQUIRE(got.shape() == expected.shape());
    const std::vector<double> a = got.cast(DType::f64).values<double>(), b = expected.cast(DType::f64).values<double>();
    double largest = 0, difference = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      largest = std::max(largest, std::fabs(b[i]));
      difference = larger_difference(difference, a[i], b[i]);
    }
    CHECK(difference / largest < tolerance(way_.dtype) * (way_.dtype == DType::f32 ? factor : 1));
  }

  void check_gradients() const {
    for (const auto& [name, p] : model->parameters().named()) check("gradient." + name, p.grad());
  }

  Config config;
  std::unique_ptr<Model> model;

 private:
  Way way_;
  SafeTensors file_;
};

/// Splits the fixations (N,3) of the fixture, x, y and duration, into tracks with the given numbers of fixations.
std::vector<Track> tracks_of(const Tensor& fixations, const std::vector<size_t>& counts) {
  const std::vector<double> values = fixations.cast(DType::f64).values<double>();
  std::vector<Track> tracks;
  const double* f = values.data();
  for (const size_t count : counts)
    for (tracks.emplace_back(); tracks.back().fixations.size() < count; f += 3)
      tracks.back().fixations.push_back({f[0], f[1], f[2], 0});
  return tracks;
}

}  // namespace

TEST_CASE("parity: logits, gradients and losses of 20 steps agree with MONAI's BasicUNet", "[parity]") {
  for (const Way& way : ways) {
    const Reference monai("full", way);
    SupervisedBatch batch;
    batch.images = monai["images"];
    batch.masks = monai["masks"];
    monai.check("logits", monai.model->predict(batch.images).logits);

    const OptimizerOptions& options = monai.config.optimizer;
    const int64_t steps = monai.config.train.iterations;
    Optimizer optimizer(options, monai.model->parameters());
    std::vector<double> losses;
    for (int64_t k = 0; k < steps; ++k) {
      const Tensor loss = monai.model->losses(batch).total();
      losses.push_back(loss.item());
      backward(loss);
      if (k == 0) monai.check_gradients();
      optimizer.prepare(cosine_lr(options, k, steps, 2, 2));
      optimizer.update();
    }
    monai.check("losses", Tensor::of({steps}, losses));
  }
}

TEST_CASE("parity: GazeMedSeg's losses, gradients and 20 steps agree with PyTorch", "[parity]") {
  constexpr int64_t images_per_epoch = 5;
  for (const Way& way : ways) {
    const Reference torch("gazemedseg", way);
    SupervisedBatch batch;
    batch.images = torch["images"];
    batch.pseudo = {torch["masks_1"], torch["masks_2"]};
    torch.check("logits", torch.model->predict(batch.images).logits);

    const OptimizerOptions& options = torch.config.optimizer;
    const int64_t steps = torch.config.train.iterations;
    Optimizer optimizer(options, torch.model->parameters());
    std::vector<double> losses;
    for (int64_t k = 0; k < steps; ++k) {
      const Losses made = torch.model->losses(batch);
      for (const LossTerm& term : made.terms) losses.push_back(term.value.item());
      backward(made.total());
      if (k == 0) torch.check_gradients();
      optimizer.prepare(cosine_lr(options, k, steps, batch.images.dim(0), images_per_epoch));
      optimizer.update();
    }
    torch.check("losses", Tensor::of({steps, 2}, losses), 10);  // 20 steps with momentum add up the rounding
    if (way.dtype == DType::f64) torch.check("trained_logits", torch.model->predict(batch.images).logits);
  }
}

TEST_CASE("parity: GradTrack's losses and gradients from given fixations agree with PyTorch", "[parity]") {
  for (const Way& way : ways) {
    const Reference torch("gradtrack", way);
    const std::vector<Track> tracks = tracks_of(torch["fixations"], {9, 4});
    SupervisedBatch batch;
    batch.images = torch["images"];
    batch.tracks = pack_tracks({&tracks[0], &tracks[1]}, torch.config.maps, way.dtype);
    const Losses losses = torch.model->losses(batch);
    const Tensor total = losses.total();
    torch.check("total", total);
    torch.check("segmentation", losses.terms[0].value);
    for (size_t l = 0; l + 1 < losses.terms.size(); ++l)
      torch.check(losses.terms[l + 1].name, losses.terms[l + 1].value);
    backward(total);
    torch.check_gradients();
  }
}
