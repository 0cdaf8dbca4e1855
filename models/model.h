// What the trainer, evaluation and prediction need of a network, and the table of recipes.
#pragma once

#include <memory>
#include <string>

#include "gaze/dataset.h"
#include "gaze/pseudo.h"
#include "layers/optim.h"
#include "models/unet.h"

namespace gt {

struct LossOptions {
  double dice = 0.5, bce = 0.5;                           // weights of the segmentation loss's two parts
  std::vector<double> lambda = {0.25, 0.25, 0.25, 0.25};  // weight of each level's track attention loss, coarsest first
  double foreground = 0.625, background = 0.625;  // the pseudo mask: above, below; pixels between are not counted
  std::string pseudo = "crf";        // GradTrack's pseudo mask: from the map as it is, or refined by the `crf`
  std::string consistency = "prop";  // GazeMedSeg's levels agree after propagation of features, or `pure`
  double consistency_weight = 3;

  template <class V>
  void visit(V& v) {
    v("dice", dice, Range{0, 1e3});
    v("bce", bce, Range{0, 1e3});
    v("lambda", lambda, Length{levels, {0, 1e3}});
    v("foreground", foreground, Range{0, 1});
    v("background", background, Range{0, 1});
    v("pseudo", pseudo, OneOf{"track", "crf"});
    v("consistency", consistency, OneOf{"prop", "pure"});
    v("consistency_weight", consistency_weight, Range{0, 1e3});
  }
};

struct TrainOptions {
  int64_t batch = 8;  // images
  int64_t iterations = 15000;
  int64_t log_every = 20;          // iterations; a line of metrics.jsonl
  int64_t val_every = 500;         // iterations, a multiple of log_every
  int64_t checkpoint_every = 500;  // iterations, a multiple of log_every
  bool cuda_graph = true;          // record a step once and replay it, on CUDA

  template <class V>
  void visit(V& v) {
    v("batch", batch, Range{1, 4096});
    v("iterations", iterations, Range{1, 1e9});
    v("log_every", log_every, Range{1, 1e9});
    v("val_every", val_every, Range{1, 1e9});
    v("checkpoint_every", checkpoint_every, Range{1, 1e9});
    v("cuda_graph", cuda_graph);
  }
};

/// A training run: everything that decides its result.
struct Config {
  std::string recipe = "gradtrack";
  int64_t seed = 1;
  std::string precision = "f32";  // of the network on CUDA; losses, gaze maps and the optimiser stay f32
  std::string conv = "auto";      // 3x3 convolutions on the CPU: direct, winograd, or whichever is faster
  int64_t threads = 0;            // that compute; 0 is all processors
  DataOptions data;
  AugmentOptions augment;
  UNetOptions model;
  MapOptions maps;
  PseudoOptions pseudo;
  LossOptions loss;
  OptimizerOptions optimizer;
  TrainOptions train;

  template <class V>
  void visit(V& v) {
    v("recipe", recipe, OneOf{"gradtrack", "gazemedseg", "full"});
    v("seed", seed, Range{0, 9e15});
    v("precision", precision, OneOf{"f32", "tf32", "bf16"});
    v("conv", conv, OneOf{"direct", "winograd", "auto"});
    v("threads", threads, Range{0, 1024});
    v("data", data);
    v("augment", augment);
    v("model", model);
    v("maps", maps);
    v("pseudo", pseudo);
    v("loss", loss);
    v("optimizer", optimizer);
    v("train", train);
  }
};

/// Reads and checks a run's configuration, also what concerns several keys. Throws Error.
Config load_config(const std::string& path, const std::vector<std::string>& overrides = {});
Config parse_run_config(const std::string& yaml, const std::string& name);

/// The configuration with every key at its default that cannot change the run's result: numbers of threads, how often
/// to save, and what the recipe does not read. Two configurations are of the same run if this is the same of both.
Config result_config(Config c);

/// Losses of one batch. Scalars; total is what is differentiated.
struct Losses {
  Tensor total;
  Tensor segmentation;
  Tensors track;  // one per level, coarsest first; empty in recipes without
};

struct Prediction {
  Tensor logits;      // (B,H,W,1)
  Tensors attention;  // A_l (B,H_l,W_l), coarsest first; empty in recipes without
};

/// Training images with what supervises them, on the device: x (B,S,S,C), masks (B,S,S) or undefined, pseudo masks
/// (B,S,S) or none, tracks or undefined.
struct Supervised {
  Tensor images;
  Tensor masks;
  Tensors pseudo;
  PackedTracks tracks;
};

class Model {
 public:
  virtual ~Model() = default;
  /// Needs no gaze and no mask.
  virtual Prediction predict(const Tensor& images) const = 0;
  virtual Losses losses(const Supervised& batch) const = 0;
  /// How many track losses there are among its losses.
  virtual int64_t track_losses() const { return 0; }
  const Parameters& parameters() const { return parameters_; }
  Device device() const { return parameters_.device(); }

 protected:
  Model(const Config& config, DType dtype, Device device);
  /// The network's input as it is stored between layers, and its logits as the losses take them.
  Tensor stored(const Tensor& images) const { return cast(images, stored_); }
  Tensor wide(const Tensor& logits) const { return cast(logits, parameters_.dtype()); }

  Parameters parameters_;

 private:
  DType stored_;
};

/// What a recipe trains on.
DataNeeds supervision(const Config& config);

/// What the recipe's pseudo masks are cut at, one mask each, where supervision() says that it wants them.
std::vector<double> pseudo_thresholds(const Config& config);

/// How the recipe makes its pseudo masks, where supervision() says that it wants them. GazeMedSeg: the heat map, a mask
/// for each level. GradTrack: the full track's map, where it is foreground and where it is not background.
PseudoMasks pseudo_masks(const Config& config);

/// The network of config.recipe, with first values from config.seed: the same on every device. TF32 is from then on
/// allowed, or not, as config.precision says, and convolutions are computed as config.conv says.
std::unique_ptr<Model> make_model(const Config& config, DType dtype = DType::f32, Device device = Device::cpu);

/// 0.5 Dice + 0.5 BCE (options.dice, options.bce) of logits (B,H,W,1) against target (B,H,W), over pixels where counted
/// is 1.
Tensor segmentation_loss(const Tensor& logits, const Tensor& target, const Tensor& counted, const LossOptions& options);

}  // namespace gt
