// GradTrack (METHOD 3 to 5): a U-Net with Track Attention after each decoder block. Each level's attention is
// supervised by the gaze track map of that level, the output by a pseudo mask from the map of the full track.
// Prediction needs no gaze.
#pragma once

#include <vector>

#include "models/recipes.h"

namespace gt {

/// The row of recipe "gradtrack".
Recipe gradtrack_recipe();

/// Sizes of the track maps of images of height x width: levels 1 (coarsest) to 4, then the full track's map.
std::vector<MapSize> map_sizes(int64_t height, int64_t width);

/// What the output learns from. Both tensors have the map's shape.
struct PseudoMask {
  Tensor target;   // 1 foreground, 0 background
  Tensor counted;  // 1 where the loss counts the pixel
};

/// The pseudo mask of a full track's map (B,H,W) in [0,1]: foreground above options.foreground, background below
/// options.background, not counted between them.
PseudoMask pseudo_mask(const Tensor& map, const PseudoOptions& options);

/// The map of one full track, from which its pseudo mask is made: (height,width).
Tensor full_track_map(const Track& track, const MapOptions& options, int64_t height, int64_t width);

class GradTrack : public Model {
 public:
  GradTrack(const Config& config, DType dtype, Device device);
  Prediction predict(const Tensor& images) const override;
  Losses losses(const Supervised& batch) const override;
  std::vector<std::string> loss_terms() const override;

 private:
  struct Output {
    Tensor logits;         // (B,H,W,1)
    Tensors attention;     // A_l (B,H_l,W_l), coarsest first
    Tensors track_losses;  // L_l, coarsest first; undefined without maps
  };
  /// `maps`: M_l (B,H_l,W_l), coarsest first; or empty, then there are no losses.
  Output run(const Tensor& images, const Tensors& maps) const;

  LossOptions loss_;
  MapOptions maps_;
  PseudoOptions pseudo_;
  UNet unet_;
  std::vector<TrackAttention> attention_;  // coarsest first
};

}  // namespace gt
