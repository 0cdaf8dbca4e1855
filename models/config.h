// The configuration of a training run. Every key has a default, a permitted range and a help text.
#pragma once

#include <string>
#include <vector>

#include "core/config.h"
#include "gaze/dataset.h"
#include "gaze/pseudo.h"
#include "layers/optim.h"
#include "models/decoder_attention.h"
#include "models/unet.h"

namespace gt {

/// Keys `loss.*`: the weights of the loss terms.
struct LossOptions {
  double dice = 0.5, bce = 0.5;
  std::vector<double> lambda = {0.25, 0.25, 0.25, 0.25};
  std::string consistency = "prop";
  double consistency_weight = 3;

  template <class V>
  void visit(V& v) {
    v("dice", dice, Range{0, 1e3}, Help{"weight of the Dice loss of the network's output"});
    v("bce", bce, Range{0, 1e3}, Help{"weight of the binary cross entropy of the network's output"});
    v("lambda", lambda, Length{map_levels, {0, 1e3}},
      Help{"gradtrack: weight of the track attention loss of each level, coarsest first"});
    v("consistency", consistency, OneOf{"prop", "pure"},
      Help{"gazemedseg: compare levels with (prop) or without propagation"});
    v("consistency_weight", consistency_weight, Range{0, 1e3}, Help{"gazemedseg: weight of the consistency loss"});
  }
};

/// Keys `train.*`: the length of the training and its intervals.
struct TrainOptions {
  int64_t batch = 8;
  int64_t accumulate = 1;
  int64_t iterations = 15000;
  int64_t log_every = 20;
  int64_t val_every = 500;
  int64_t checkpoint_every = 500;
  std::string init = {};
  std::string select = "val";
  double ema = 0;
  bool tensorboard = false;
  bool cuda_graph = true;
  std::string reduce = "f32";
  std::string recompute = "none";

  /// The images of an iteration.
  int64_t images_per_iteration() const { return batch * accumulate; }

  template <class V>
  void visit(V& v) {
    v("batch", batch, Range{1, 4096}, Help{"images that the network sees at once"});
    v("accumulate", accumulate, Range{1, 4096}, Help{"batches of an iteration, whose gradients are averaged"});
    v("iterations", iterations, Range{1, 1e9}, Help{"number of steps of the optimiser"});
    v("log_every", log_every, Range{1, 1e9}, Help{"interval between lines of metrics.jsonl", "iterations"});
    v("val_every", val_every, Range{1, 1e9},
      Help{"interval between validations; a multiple of train.log_every", "iterations"});
    v("checkpoint_every", checkpoint_every, Range{1, 1e9},
      Help{"interval between checkpoints; a multiple of train.log_every", "iterations"});
    v("init", init, Help{"run or checkpoint whose parameters the training starts with; empty for random ones"});
    v("select", select, OneOf{"val", "test", "last"},
      Help{"the network kept as best: of the best validation on val.txt or test.txt, or the last"});
    v("ema", ema, Range{0, 0.999999},
      Help{"decay of the moving average of the weights, which is what is validated; 0 for none"});
    v("tensorboard", tensorboard, Help{"write event files for TensorBoard to the run's folder tensorboard/"});
    v("cuda_graph", cuda_graph, Help{"CUDA: record a training step once as a graph and replay it"});
    v("reduce", reduce, OneOf{"f32", "bf16"}, Help{"several processes: number format in which gradients are sent"});
    v("recompute", recompute, OneOf{"none", "norm"},
      Help{"what the backward pass computes again to save memory; the bits stay"});
  }
};

/// All keys of a configuration, with their defaults. visit() lists them in the order of a configuration file.
struct Config {
  std::string recipe = "gradtrack";
  int64_t seed = 1;
  std::string precision = "f32";
  std::string conv = "auto";
  int64_t cudnn_workspace = 1024;
  std::string waiting_blocks = "auto";
  int64_t threads = 0;
  DataOptions data;
  AugmentOptions augment;
  UNetOptions model;
  MapOptions maps;
  AttentionOptions attention;
  PseudoOptions pseudo;
  LossOptions loss;
  OptimizerOptions optimizer;
  TrainOptions train;

  template <class V>
  void visit(V& v) {
    v("recipe", recipe, OneOf{recipe_names()}, Help{"network, supervision and loss"});
    v("seed", seed, Range{0, 9e15}, Help{"seed of the initial weights, the order of images and the augmentation"});
    v("precision", precision, OneOf{"f32", "tf32", "bf16"},
      Help{"number format of the network on CUDA; all else uses f32"});
    v("conv", conv, OneOf{"direct", "winograd", "auto"},
      Help{"3x3 convolutions on the CPU; auto chooses the faster method"});
    v("cudnn_workspace", cudnn_workspace, Range{0, 1 << 20},
      Help{"CUDA: the most workspace that a convolution may take", "MiB"});
    v("waiting_blocks", waiting_blocks, OneOf{"auto", "never"},
      Help{"CUDA: kernels whose blocks wait for each other; auto: unless MPS shares the GPU"});
    v("threads", threads, Range{0, 1024}, Help{"compute threads; 0 uses all processors"});
    v("data", data, Help{"data set"});
    v("augment", augment, Help{"random transforms of training images"});
    v("model", model, Help{"U-Net"});
    v("maps", maps, Help{"gradtrack: gaze track maps; lists have one value per level, coarsest first"});
    v("attention", attention, Help{"gradtrack: Track Attention of each level"});
    v("pseudo", pseudo, Help{"pseudo masks, computed from gaze before training"});
    v("loss", loss, Help{"weights of the loss terms"});
    v("optimizer", optimizer, Help{"optimiser and learning rate"});
    v("train", train, Help{"length of the training and its intervals"});
  }

  /// The keys of version 0.1 that have another name now.
  static std::vector<RenamedKey> renamed_keys();
  /// The names of the recipes in models/recipes.h.
  static std::vector<std::string> recipe_names();
};

/// Reads the configuration file `path` with its bases, sets the overrides ("KEY=VALUE") and checks all values,
/// including relations between keys. Keys that nothing sets have the defaults of the recipe (models/recipes.h), if it
/// has own ones. `notes`, if given, receives warnings and the origin of each key. Throws Error with file, line and key.
Config load_config(const std::string& path, const std::vector<std::string>& overrides = {},
                   ConfigNotes* notes = nullptr);

/// The configuration as a file for others to build on: every key with its help. A key that some recipe has a default of
/// its own for is a comment if it has the default, so that another recipe gets its own.
std::string open_config(const Config& config);

/// Parses and checks the configuration of a run from YAML text. A key that it lacks has the default of models/config.h,
/// whatever the recipe: the run is of a version without the key. Error messages call the text `name`. Throws Error.
Config parse_run_config(const std::string& yaml, const std::string& name);

/// `c` with each key that cannot change the run's result set to its default. These keys are the numbers of threads,
/// waiting_blocks, the interval of checkpoints and the keys that the recipe ignores. Two runs give equal results if
/// their result_config() is equal.
Config result_config(Config c);

}  // namespace gt
