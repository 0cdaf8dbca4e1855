// The configuration of a training run: every key that decides its result.
#pragma once

#include <string>
#include <vector>

#include "core/config.h"
#include "gaze/dataset.h"
#include "gaze/pseudo.h"
#include "layers/optim.h"
#include "models/unet.h"

namespace gt {

struct LossOptions {
  double dice = 0.5, bce = 0.5;
  std::vector<double> lambda = {0.25, 0.25, 0.25, 0.25};
  std::string consistency = "prop";
  double consistency_weight = 3;

  template <class V>
  void visit(V& v) {
    v("dice", dice, Range{0, 1e3}, Help{"weight of the Dice loss of the output"});
    v("bce", bce, Range{0, 1e3}, Help{"weight of the binary cross entropy of the output"});
    v("lambda", lambda, Length{map_levels, {0, 1e3}},
      Help{"weight of each level's track attention loss, coarsest first"});
    v("consistency", consistency, OneOf{"prop", "pure"},
      Help{"gazemedseg: levels agree after propagation of features, or as they are"});
    v("consistency_weight", consistency_weight, Range{0, 1e3}, Help{"gazemedseg: weight of the consistency loss"});
  }
};

struct TrainOptions {
  int64_t batch = 8;
  int64_t iterations = 15000;
  int64_t log_every = 20;
  int64_t val_every = 500;
  int64_t checkpoint_every = 500;
  bool cuda_graph = true;

  template <class V>
  void visit(V& v) {
    v("batch", batch, Range{1, 4096}, Help{"in a step", "images"});
    v("iterations", iterations, Range{1, 1e9}, Help{"steps of the whole training"});
    v("log_every", log_every, Range{1, 1e9}, Help{"between lines of metrics.jsonl", "iterations"});
    v("val_every", val_every, Range{1, 1e9}, Help{"between validations, a multiple of train.log_every", "iterations"});
    v("checkpoint_every", checkpoint_every, Range{1, 1e9},
      Help{"between checkpoints, a multiple of train.log_every", "iterations"});
    v("cuda_graph", cuda_graph, Help{"on CUDA: record a step once and replay it"});
  }
};

struct Config {
  std::string recipe = "gradtrack";
  int64_t seed = 1;
  std::string precision = "f32";
  std::string conv = "auto";
  int64_t threads = 0;
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
    v("recipe", recipe, OneOf{recipe_names()}, Help{"what the network is and what it learns from"});
    v("seed", seed, Range{0, 9e15}, Help{"of first weights, order of images and augmentation"});
    v("precision", precision, OneOf{"f32", "tf32", "bf16"},
      Help{"of the network on CUDA; losses, maps and optimiser stay f32"});
    v("conv", conv, OneOf{"direct", "winograd", "auto"}, Help{"3x3 convolutions on the CPU; auto is the faster one"});
    v("threads", threads, Range{0, 1024}, Help{"that compute; 0 is all processors"});
    v("data", data, Help{"the data set"});
    v("augment", augment, Help{"random changes of each training image"});
    v("model", model, Help{"the U-Net"});
    v("maps", maps, Help{"gradtrack: gaze track maps; lists go from the coarsest level to the finest"});
    v("pseudo", pseudo, Help{"pseudo masks, made from gaze before training"});
    v("loss", loss, Help{"weights of the loss terms"});
    v("optimizer", optimizer, Help{"steps, learning rate, decay"});
    v("train", train, Help{"length and intervals"});
  }

  /// The keys that had other names in version 0.1.
  static std::vector<RenamedKey> renamed_keys();
  /// The names of the recipes, see models/recipes.h.
  static std::vector<std::string> recipe_names();
};

/// Reads a run's configuration and checks it, including relations between keys. Throws Error.
Config load_config(const std::string& path, const std::vector<std::string>& overrides = {},
                   ConfigNotes* notes = nullptr);

/// load_config() from YAML text. `name` is the file in messages.
Config parse_run_config(const std::string& yaml, const std::string& name);

/// The configuration with every key at its default that cannot change the run's result: numbers of threads, the
/// interval of checkpoints, and the keys that its recipe ignores. Two configurations give the same result if
/// result_config() is equal for both.
Config result_config(Config c);

}  // namespace gt
