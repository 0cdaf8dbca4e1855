// GradTrack (METHOD 3 to 5): a U-Net with Track Attention after every decoder block, each level supervised by its gaze
// track map, the output by a pseudo mask from the full track's map. Prediction needs no gaze.
#pragma once

#include "models/model.h"

namespace gt {

/// Sizes of the track maps for images of height x width: the four decoder stages, coarsest first, then the full
/// track's.
std::vector<MapSize> map_sizes(int64_t height, int64_t width);

/// The pseudo mask of a full track's map, values in [0,1]: target is 1 where map > foreground, counted is 1 there and
/// where map < background.
struct PseudoMask {
  Tensor target, counted;  // of the map's shape
};
PseudoMask pseudo_mask(const Tensor& map, const LossOptions& options);

/// The map that the pseudo mask is made from, of one track: (height,width).
Tensor full_track_map(const Track& track, const MapOptions& options, int64_t height, int64_t width);

class GradTrack : public Model {
 public:
  GradTrack(const Config& config, DType dtype, Device device);
  Prediction predict(const Tensor& images) const override;
  Losses losses(const Supervised& batch) const override;
  int64_t track_losses() const override { return levels; }

 private:
  struct Output {
    Tensor logits;
    Tensors attention;  // A_l
    Tensors track;      // L_l
  };
  /// maps may be empty: then there are no losses.
  Output run(const Tensor& images, const Tensors& maps) const;

  LossOptions loss_;
  MapOptions maps_;
  UNet unet_;
  std::vector<TrackAttention> attention_;  // coarsest first
};

}  // namespace gt
