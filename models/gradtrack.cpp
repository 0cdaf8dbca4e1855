#include "models/gradtrack.h"

#include <cmath>

#include "models/checkpoint.h"
#include "models/evaluate.h"

namespace gt {
namespace {

bool makes_pseudo_masks(const Config& config) { return config.pseudo.refine == "crf"; }

std::vector<double> thresholds(const Config& config) {
  if (!makes_pseudo_masks(config)) return {};
  return {config.pseudo.foreground, config.pseudo.background};
}

/// Two masks of the full track's map: where it is foreground, and where it is not background.
PseudoMasks make_masks(const Config& config) {
  PseudoMasks how{nullptr, config.pseudo.crf, {config.pseudo.foreground, config.pseudo.background}};
  how.map = [maps = config.maps](const Track& track, const Image& image) {
    return full_track_map(track, maps, image.height, image.width);
  };
  if (!config.pseudo.teacher.empty()) {
    const auto teacher = std::make_shared<const LoadedModel>(load_model(config.pseudo.teacher));
    how.prediction = [teacher](const Image& image) {
      return predict_probability(*teacher->model, teacher->config.data, image);
    };
    how.teacher_weight = config.pseudo.teacher_weight;
  }
  return how;
}

std::vector<std::string> ignored_keys(const Config&) {
  return {"pseudo.sigma", "pseudo.thresholds", "loss.consistency", "loss.consistency_weight"};
}

/// The pseudo mask from the two masks of make_masks(): foreground, and not background.
PseudoMask pseudo_mask(const Tensors& masks) { return {masks[0], add(masks[0], scale(masks[1], -1, 1))}; }

}  // namespace

Recipe gradtrack_recipe() {
  return {"gradtrack",
          "gaze tracks supervise each decoder level, and a pseudo mask from the track the output",
          [](const Config& config, DType dtype, Device device) -> std::unique_ptr<Model> {
            return std::make_unique<GradTrack>(config, dtype, device);
          },
          [](const Config& config) { return DataNeeds{.some_masks = !config.data.masks.empty(), .gaze = true}; },
          thresholds,
          make_masks,
          ignored_keys,
          {{0.8101, 0.0066}, {0.8025, 0.0040}}};
}

std::vector<MapSize> track_map_sizes(int64_t height, int64_t width) {
  return {{height / 8, width / 8}, {height / 4, width / 4}, {height / 2, width / 2}, {height, width}, {height, width}};
}

PseudoMask pseudo_mask(const Tensor& map, const PseudoOptions& options) {
  const Tensor target = greater(map, options.foreground);
  return {target, add(target, less(map, options.background))};
}

PseudoMask filled(const PseudoMask& mask, const Tensor& logits, double sure) {
  const Tensor z = reshape(logits, mask.target.shape()), uncounted = scale(mask.counted, -1, 1);
  const double bound = std::log(sure / (1 - sure));
  const Tensor foreground = mul(uncounted, greater(z, bound)), background = mul(uncounted, less(z, -bound));
  return {add(mul(mask.target, mask.counted), foreground), add(mask.counted, add(foreground, background))};
}

Tensor full_track_map(const Track& track, const MapOptions& options, int64_t height, int64_t width) {
  std::vector<MapSize> sizes(size_t(map_levels) + 1, {1, 1});  // the other maps are not used
  sizes.back() = {height, width};
  return track_maps(pack_tracks({&track}, options), options, sizes).back().view({height, width});
}

/// Initial values are drawn from random streams that are keyed by parameter names. Version 0.1 numbered the levels from
/// the finest. The streams keep its names, so a seed gives the initial values of that version.
GradTrack::GradTrack(const Config& config, DType dtype, Device device)
    : Model(config, dtype, device),
      loss_(config.loss),
      maps_(config.maps),
      options_(config.attention),
      pseudo_(config.pseudo),
      unet_(parameters_, config.data.channels, 1, config.model) {
  const std::vector<int64_t> channels = decoder_channels(config.model);
  for (size_t l = 0; l < channels.size(); ++l)
    attention_.emplace_back(
        Scope(parameters_).child(str_cat("attention_", l + 1), str_cat("attention_", channels.size() - l)), channels[l],
        config.attention);
}

GradTrack::Output GradTrack::run(const Tensor& images, const std::vector<AttentionTarget>& targets) const {
  Output out;
  Tensor coarser;
  const Tensor logits = unet_(as_activation(images), [&](int64_t level, Tensor& features, Tensor& skip) {
    const size_t l = size_t(level - 1);
    const AttentionTarget target = targets.empty() ? AttentionTarget() : targets[l];
    const DecoderAttention::Output attended = attention_[l](features, skip, coarser, target);
    features = attended.features;
    skip = attended.skip;
    coarser = attended.logits;
    out.attention.push_back(attended.map);
    out.track_losses.push_back(attended.loss);
  });
  out.logits = as_compute(logits);
  return out;
}

Prediction GradTrack::predict(const Tensor& images) const {
  Output out = run(images, {});
  return {out.logits, out.attention};
}

std::vector<std::string> GradTrack::loss_terms() const {
  std::vector<std::string> names = {"segmentation"};
  for (size_t l = 0; l < attention_.size(); ++l) names.push_back(str_cat("track_", l + 1));
  return names;
}

/// The targets of the attention: track maps, or the pseudo mask at each level's size. With options_.agreement below 1,
/// only pixels count where the level's map is near that of the full track.
std::vector<AttentionTarget> GradTrack::targets(const Tensors& maps, const PseudoMask& pseudo) const {
  const int64_t batch = maps.back().dim(0);
  const auto resized = [&](const Tensor& x, const Tensor& like) {
    const Tensor image = reshape(x, {batch, x.dim(1), x.dim(2), 1});
    return reshape(resize_bilinear(image, like.dim(1), like.dim(2)), like.shape());
  };
  std::vector<AttentionTarget> targets(attention_.size());
  AttentionTarget finer{pseudo.target, pseudo.counted};
  for (size_t l = targets.size(); l-- > 0;) {
    if (options_.target == "pseudo") {
      // Half the size by half the size: bilinear interpolation is then the mean of four pixels.
      if (finer.map.shape() != maps[l].shape()) finer = {resized(finer.map, maps[l]), resized(finer.counted, maps[l])};
      targets[l] = {finer.map, greater(finer.counted, 0.999)};
    } else {
      targets[l].map = maps[l];
    }
    if (options_.agreement < 1) {
      const Tensor difference = sub(maps[l], resized(maps.back(), maps[l]));
      const Tensor near = less(square(difference), options_.agreement * options_.agreement);
      targets[l].counted = targets[l].counted.defined() ? mul(targets[l].counted, near) : near;
    }
  }
  return targets;
}

Losses GradTrack::losses(const SupervisedBatch& batch) const {
  const Tensors maps = track_maps(batch.tracks, maps_, track_map_sizes(batch.images.dim(1), batch.images.dim(2)));
  PseudoMask pseudo = batch.pseudo.empty() ? gt::pseudo_mask(maps.back(), pseudo_) : pseudo_mask(batch.pseudo);
  if (batch.average_logits.defined()) pseudo = filled(pseudo, batch.average_logits, pseudo_.sure);
  const std::vector<AttentionTarget> attention = targets(maps, pseudo);
  const Output out = run(batch.images, attention);
  Losses losses;
  losses.terms.push_back(
      {"segmentation", segmentation_loss(out.logits, pseudo.target, pseudo.counted, loss_, batch.share)});
  for (size_t l = 0; l < out.track_losses.size(); ++l)
    losses.terms.push_back({str_cat("track_", l + 1), batch.share.of_counted(out.track_losses[l], attention[l].counted),
                            batch.attention_supervised ? loss_.lambda[l] : 0});
  return losses;
}

}  // namespace gt
