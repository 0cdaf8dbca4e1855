// Gaze Track Map Generation (METHOD 3): tracks -> reverse-truncated, splatted, distance-based maps, one per decoder
// stage.
#pragma once

#include <string>
#include <vector>

#include "core/config.h"
#include "gaze/fixation.h"
#include "kernels/ops.h"

namespace gt {

constexpr int64_t levels = 4;  // decoder stages, coarsest first

/// One map's options are entry l of each list.
struct MapOptions {
  std::vector<double> keep = {1.0, 0.75, 0.5, 0.25};  // share of the track kept
  std::string keep_by = "time";                       // share of `time` (summed durations) or of `count`
  std::string keep_end = "last";                      // keep the `last` part (reverse truncation) or the `first`
  double gamma = 1;                                   // weight of a fixation falls by gamma per later fixation
  std::vector<double> sigma_x = std::vector<double>(4, 70.0 / 768);  // image sides
  std::vector<double> sigma_y = std::vector<double>(4, 70.0 / 768);
  std::vector<double> tau = std::vector<double>(4, 70.0 / 768);  // fall-off with the distance to the path, image sides
  double spread_exponent =
      0.4;               // sigma and tau grow with the track's own spread to this power: 0 not at all, 1 in proportion
  double spread = 0.13;  // spread of a track whose sigma and tau are those above, image sides
  double mix = 0.5;      // share of the splat; the rest is the distance map's

  template <class V>
  void visit(V& v) {
    v("keep", keep, Length{levels, {0, 1}}, Help{"share of the track kept at each level"});
    v("keep_by", keep_by, OneOf{"time", "count"}, Help{"share of summed durations, or of the number of fixations"});
    v("keep_end", keep_end, OneOf{"last", "first"}, Help{"keep the last part (reverse truncation) or the first"});
    v("gamma", gamma, Range{0, 1}, Help{"a fixation weighs gamma times less for each later one"});
    v("sigma_x", sigma_x, Length{levels, {1e-3, 10}}, Help{"of the splat", "image widths"});
    v("sigma_y", sigma_y, Length{levels, {1e-3, 10}}, Help{"of the splat", "image heights"});
    v("tau", tau, Length{levels, {1e-3, 10}}, Help{"fall-off with the distance to the path", "image sides"});
    v("spread_exponent", spread_exponent, Range{0, 1},
      Help{"sigma and tau grow with the track's spread to this power"});
    v("spread", spread, Range{1e-3, 10}, Help{"of a track whose sigma and tau are those above", "image sides"});
    v("mix", mix, Range{0, 1}, Help{"share of the splat; the rest is the distance map's"});
  }
};

/// The kept fixations [begin, end) of a track: the shortest end (or start) of it that has at least the fraction `keep`
/// of its summed durations (or count), and at least one fixation.
std::pair<int64_t, int64_t> truncate(const std::vector<Fixation>& track, double keep, const MapOptions& options);

/// How far a track spreads, in image sides: the median distance of its fixations from their median centre, by duration,
/// so that a glance elsewhere hardly counts. 0 for one fixation, and where there are none.
double track_spread(const std::vector<Fixation>& track);

/// The tracks of a batch, packed. Map l is made of fixations kept[l,b] of track b with weight[l] (0 where truncated
/// away). The last of the L = levels + 1 maps is the full track's, from which the pseudo mask is made.
struct PackedTracks {
  Tensor xy;       // (N,2)
  Tensor weight;   // (L,N)
  Tensor sigma;    // (L,B,2) of the splat in x and y, image sides
  Tensor zoom;     // (B) that a track's distances grow by before tau's fall-off: its tau is tau_l / zoom
  Tensor kept;     // (L,B,2) i32
  Tensor offsets;  // (B+1) i32
};

/// Tracks are packed with sigma_l s_b and tau_l s_b, s_b = (max(spread of track b, 0.03) /
/// options.spread)^spread_exponent.
PackedTracks pack_tracks(const std::vector<const Track*>& tracks, const MapOptions& options, DType dtype = DType::f32);

/// The same tracks on a device.
PackedTracks on(Device device, const PackedTracks& tracks);

/// The same tracks in tensors with room for `fixations` of them, N, of which offsets use the first: so that batches of
/// different length have one shape.
PackedTracks with_capacity(const PackedTracks& tracks, int64_t fixations);

/// M_l = mix S_l / max S_l + (1 - mix) exp(-(zoom D_l)^2 / (2 tau_l^2)), in [0,1]: one map (B,H_l,W_l) per size,
/// coarsest level first, the full track's last (it uses the finest level's sigma and tau). Differentiable in xy.
Tensors track_maps(const PackedTracks& tracks, const MapOptions& options, const std::vector<MapSize>& sizes);

/// GazeMedSeg's own heat map (METHOD 1): durations summed into the pixels of a 768 x 768 canvas, Gaussian filter of
/// sigma pixels (70 for Kvasir-SEG, 50 for NCI-ISBI), min-max normalised, resized bilinearly to (height, width), in
/// [0,1].
Tensor heat_map(const Track& track, int64_t height, int64_t width, double sigma = 70);

}  // namespace gt
