#include "models/gradtrack.h"

namespace gt {

std::vector<MapSize> map_sizes(int64_t height, int64_t width) {
  return {{height / 8, width / 8}, {height / 4, width / 4}, {height / 2, width / 2}, {height, width}, {height, width}};
}

PseudoMask pseudo_mask(const Tensor& map, const LossOptions& options) {
  const Tensor target = greater(map, options.foreground);
  return {target, add(target, less(map, options.background))};
}

Tensor full_track_map(const Track& track, const MapOptions& options, int64_t height, int64_t width) {
  std::vector<MapSize> sizes(size_t(levels) + 1, {1, 1});  // of the maps only the last is wanted
  sizes.back() = {height, width};
  return track_maps(pack_tracks({&track}, options), options, sizes).back().view({height, width});
}

namespace {

/// The same from masks of the map made before training: of what is foreground, and of what is not background.
PseudoMask pseudo_mask(const Tensors& masks) { return {masks[0], add(masks[0], scale(masks[1], -1, 1))}; }

}  // namespace

GradTrack::GradTrack(const Config& config, DType dtype, Device device)
    : Model(config, dtype, device),
      loss_(config.loss),
      maps_(config.maps),
      unet_(parameters_, config.data.channels, 1, config.model) {
  const std::vector<int64_t> channels = decoder_channels(config.model);
  for (size_t l = 0; l < channels.size(); ++l)
    attention_.emplace_back(Scope(parameters_) / str_cat("attention_", channels.size() - l), channels[l]);
}

GradTrack::Output GradTrack::run(const Tensor& images, const Tensors& maps) const {
  Output out;
  const Tensor logits = unet_(stored(images), [&](int64_t level, const Tensor& features) {
    const size_t l = size_t(level);
    TrackAttention::Output attended = attention_[l](features, maps.empty() ? Tensor() : maps[l]);
    out.attention.push_back(attended.map);
    out.track.push_back(attended.loss);
    return attended.features;
  });
  out.logits = wide(logits);
  return out;
}

Prediction GradTrack::predict(const Tensor& images) const {
  Output out = run(images, {});
  return {out.logits, out.attention};
}

Losses GradTrack::losses(const Supervised& batch) const {
  const Tensors maps = track_maps(batch.tracks, maps_, map_sizes(batch.images.dim(1), batch.images.dim(2)));
  const PseudoMask pseudo = batch.pseudo.empty() ? pseudo_mask(maps.back(), loss_) : pseudo_mask(batch.pseudo);
  const Output out = run(batch.images, maps);
  Losses losses;
  losses.track = out.track;
  losses.segmentation = segmentation_loss(out.logits, pseudo.target, pseudo.counted, loss_);
  losses.total = losses.segmentation;
  for (size_t l = 0; l < out.track.size(); ++l) losses.total = add(losses.total, scale(out.track[l], loss_.lambda[l]));
  return losses;
}

}  // namespace gt
