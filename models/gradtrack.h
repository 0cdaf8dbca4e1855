// Recipe "gradtrack" (sections 3 to 5 of docs/method.md): a U-Net with Track Attention after each decoder block. The
// gaze track map of each level supervises the attention of that level. A pseudo mask from the map of the full track
// supervises the output. Prediction needs no gaze.
#pragma once

#include <vector>

#include "models/recipes.h"

namespace gt {

/// The row of recipe "gradtrack".
Recipe gradtrack_recipe();

/// Sizes of the track maps for images of height x width: levels 1 (coarsest) to 4, then the map of the full track.
std::vector<MapSize> track_map_sizes(int64_t height, int64_t width);

/// The target of the output's loss. Both tensors have the shape of the map.
struct PseudoMask {
  Tensor target;   // 1 foreground, 0 background
  Tensor counted;  // 1 where the pixel counts in the loss, else 0
};

/// The pseudo mask of a full track's map (B,H,W) in [0,1]. Pixels above options.foreground are foreground, pixels below
/// options.background are background. Pixels between them do not count.
PseudoMask pseudo_mask(const Tensor& map, const PseudoOptions& options);

/// The pseudo mask whose uncounted pixels count where the probabilities of logits (B,H,W,1) are above `sure` or below
/// 1 - sure: the first are foreground, the second background.
PseudoMask filled(const PseudoMask& mask, const Tensor& logits, double sure);

/// The map of one full track, from which its pseudo mask is computed: (height,width) in [0,1].
Tensor full_track_map(const Track& track, const MapOptions& options, int64_t height, int64_t width);

/// A U-Net with Track Attention that is supervised by gaze tracks.
class GradTrack : public Model {
 public:
  GradTrack(const Config& config, DType dtype, Device device);
  Prediction predict(const Tensor& images) const override;
  Losses losses(const SupervisedBatch& batch) const override;
  bool needs_average_logits() const override { return pseudo_.between == "average"; }
  std::vector<std::string> loss_terms() const override;

 private:
  struct Output {
    Tensor logits;         // (B,H,W,1)
    Tensors attention;     // A_l (B,H_l,W_l), coarsest first
    Tensors track_losses;  // L_l, scalars, coarsest first; undefined without maps
  };
  /// The forward pass of images (B,S,S,C). `targets` are those of the levels, coarsest first, or empty for no losses.
  Output run(const Tensor& images, const std::vector<AttentionTarget>& targets) const;
  std::vector<AttentionTarget> targets(const Tensors& maps, const PseudoMask& pseudo) const;

  LossOptions loss_;
  MapOptions maps_;
  AttentionOptions options_;
  PseudoOptions pseudo_;
  UNet unet_;
  std::vector<DecoderAttention> attention_;  // coarsest first
};

}  // namespace gt
