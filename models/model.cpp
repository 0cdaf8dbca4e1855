#include "models/model.h"

#include "kernels/common/numerics.h"
#include "models/checkpoint.h"
#include "models/evaluate.h"
#include "models/full.h"
#include "models/gazemedseg.h"
#include "models/gradtrack.h"

namespace gt {
namespace {

/// How the process computes from now on.
void set_numerics(const Config& config) {
  set_tf32(config.precision == "tf32");
  set_convolution_method(config.conv == "direct"     ? ConvolutionMethod::direct
                         : config.conv == "winograd" ? ConvolutionMethod::winograd
                                                     : ConvolutionMethod::automatic);
}

Config checked(Config c, const std::string& name) {
  const auto require = [&](bool ok, const auto&... parts) {
    if (!ok) fail(name, ": ", parts...);
  };
  require(c.data.size % 16 == 0, "key 'data.size': expected a multiple of 16, got ", c.data.size);
  require(c.data.channels != 2, "key 'data.channels': expected 1 or 3, got 2");
  for (const auto& [key, list] : {std::pair("data.mean", &c.data.mean), std::pair("data.std", &c.data.std)})
    require(int64_t(list->size()) == c.data.channels, "key '", key, "': expected a number per channel, ",
            c.data.channels, ", got ", list->size());
  for (const int64_t f : c.model.features)
    require(f % c.model.groups == 0, "key 'model.features': ", f, " is not a multiple of model.groups, ",
            c.model.groups);
  require(c.model.features[4] % 2 == 0 && c.model.features[3] % 2 == 0 && c.model.features[2] % 2 == 0,
          "key 'model.features': the third to fifth must be even, the decoder halves them");
  require(c.loss.background <= c.loss.foreground, "key 'loss.background': expected at most loss.foreground, ",
          c.loss.foreground, ", got ", c.loss.background);
  require(c.pseudo.teacher.empty() || c.recipe != "gradtrack" || c.loss.pseudo == "crf",
          "key 'pseudo.teacher': expected loss.pseudo to be crf beside it, got ", c.loss.pseudo);
  require(c.train.val_every % c.train.log_every == 0, "key 'train.val_every': expected a multiple of train.log_every, ",
          c.train.log_every, ", got ", c.train.val_every);
  require(c.train.checkpoint_every % c.train.log_every == 0,
          "key 'train.checkpoint_every': expected a multiple of train.log_every, ", c.train.log_every, ", got ",
          c.train.checkpoint_every);
  return c;
}

}  // namespace

Config load_config(const std::string& path, const std::vector<std::string>& overrides) {
  return checked(read_config<Config>(path, overrides), path);
}

Config parse_run_config(const std::string& yaml, const std::string& name) {
  return checked(parse_config<Config>(yaml, name), name);
}

Config result_config(Config c) {
  const Config defaults;
  c.threads = defaults.threads;
  c.data.threads = defaults.data.threads;
  c.train.checkpoint_every = defaults.train.checkpoint_every;
  const DataNeeds read = supervision(c);
  if (!read.gaze) {
    c.data.gaze = defaults.data.gaze;
    c.data.degrade = defaults.data.degrade;
  }
  if (!read.pseudo) c.pseudo = defaults.pseudo;
  if (c.recipe != "gradtrack") {
    c.maps = defaults.maps;
    c.pseudo.teacher = defaults.pseudo.teacher;
    c.loss.lambda = defaults.loss.lambda;
    c.loss.foreground = defaults.loss.foreground;
    c.loss.background = defaults.loss.background;
    c.loss.pseudo = defaults.loss.pseudo;
  }
  if (c.pseudo.teacher.empty()) c.pseudo.say = defaults.pseudo.say;
  if (c.recipe != "gazemedseg") {
    c.pseudo.sigma = defaults.pseudo.sigma;
    c.pseudo.thresholds = defaults.pseudo.thresholds;
    c.loss.consistency = defaults.loss.consistency;
    c.loss.consistency_weight = defaults.loss.consistency_weight;
  }
  return c;
}

DataNeeds supervision(const Config& config) {
  DataNeeds wanted;
  (config.recipe == "full" ? wanted.masks : wanted.gaze) = true;
  wanted.pseudo = config.recipe == "gazemedseg" || (config.recipe == "gradtrack" && config.loss.pseudo == "crf");
  wanted.seed = uint64_t(config.seed);
  return wanted;
}

std::vector<double> pseudo_thresholds(const Config& config) {
  if (config.recipe == "gazemedseg") return config.pseudo.thresholds;
  return {config.loss.foreground, config.loss.background};
}

PseudoMasks pseudo_masks(const Config& config) {
  PseudoMasks how{nullptr, config.pseudo.crf, pseudo_thresholds(config)};
  if (config.recipe == "gazemedseg") {
    how.map = [sigma = config.pseudo.sigma](const Track& track, const Image& image) {
      return heat_map(track, image.height, image.width, sigma);
    };
  } else {
    how.map = [maps = config.maps](const Track& track, const Image& image) {
      return full_track_map(track, maps, image.height, image.width);
    };
    if (!config.pseudo.teacher.empty()) {
      const auto teacher = std::make_shared<const LoadedModel>(load_model(config.pseudo.teacher));
      set_numerics(config);
      how.prediction = [teacher](const Image& image) {
        return probability(*teacher->model, teacher->config.data, image);
      };
      how.say = config.pseudo.say;
    }
  }
  return how;
}

Model::Model(const Config& config, DType dtype, Device device)
    : parameters_(uint64_t(config.seed), dtype, device),
      stored_(config.precision == "bf16" && device == Device::cuda ? DType::bf16 : dtype) {}

std::unique_ptr<Model> make_model(const Config& config, DType dtype, Device device) {
  set_numerics(config);
  if (config.recipe == "full") return std::make_unique<FullMasks>(config, dtype, device);
  if (config.recipe == "gazemedseg") return std::make_unique<GazeMedSeg>(config, dtype, device);
  if (config.recipe == "gradtrack") return std::make_unique<GradTrack>(config, dtype, device);
  fail("recipe '", config.recipe, "': expected gradtrack, gazemedseg or full");
}

Tensor segmentation_loss(const Tensor& logits, const Tensor& target, const Tensor& counted,
                         const LossOptions& options) {
  const Tensor z = reshape(logits, target.shape());
  return add(scale(dice_loss(z, target, counted), options.dice),
             scale(bce_with_logits(z, target, counted), options.bce));
}

}  // namespace gt
