// Gaze Track Map Generation (METHOD 3): from tracks, reverse-truncated maps of a splat and of the distance to the
// gaze's path, one per decoder stage.
#pragma once

#include <string>
#include <vector>

#include "core/config.h"
#include "gaze/fixation.h"
#include "kernels/ops.h"

namespace gt {

/// Number of truncated maps of a track, one per decoder stage. Level 1 is the coarsest.
inline constexpr int64_t map_levels = 4;

/// Options of the maps. Each list has one entry per level, coarsest first.
struct MapOptions {
  std::vector<double> keep = {1.0, 0.75, 0.5, 0.25};  // share of the track that is kept
  std::string keep_by = "time";                       // share of `time` (summed durations) or of `count`
  std::string keep_end = "last";                      // keep the `last` part (reverse truncation) or the `first`
  double gamma = 1;  // a fixation's weight is multiplied by gamma for each fixation after it
  std::vector<double> sigma_x = std::vector<double>(map_levels, 70.0 / 768);  // of the splat, image sides
  std::vector<double> sigma_y = std::vector<double>(map_levels, 70.0 / 768);
  std::vector<double> tau = std::vector<double>(map_levels, 70.0 / 768);  // of the distance map, image sides
  double spread_exponent =
      0.4;               // of the track's spread in the factor of sigma and tau; 0 gives every track the factor 1
  double spread = 0.13;  // spread of a track with the factor 1, image sides
  double mix = 0.5;      // share of the splat in a map; the distance map has the rest

  template <class V>
  void visit(V& v) {
    v("keep", keep, Length{map_levels, {0, 1}}, Help{"share of the track kept at each level"});
    v("keep_by", keep_by, OneOf{"time", "count"}, Help{"share of summed durations, or of the number of fixations"});
    v("keep_end", keep_end, OneOf{"last", "first"}, Help{"keep the last part (reverse truncation) or the first"});
    v("gamma", gamma, Range{0, 1}, Help{"factor of a fixation's weight for each fixation after it"});
    v("sigma_x", sigma_x, Length{map_levels, {1e-3, 10}}, Help{"of the splat", "image widths"});
    v("sigma_y", sigma_y, Length{map_levels, {1e-3, 10}}, Help{"of the splat", "image heights"});
    v("tau", tau, Length{map_levels, {1e-3, 10}}, Help{"fall-off with the distance to the path", "image sides"});
    v("spread_exponent", spread_exponent, Range{0, 1},
      Help{"sigma and tau grow with the track's spread to this power"});
    v("spread", spread, Range{1e-3, 10}, Help{"of a track with the sigma and tau above", "image sides"});
    v("mix", mix, Range{0, 1}, Help{"share of the splat; the rest is the distance map's"});
  }
};

/// The fixations [begin, end) that truncation keeps: the shortest end (or start) of a track with at least the share
/// `keep` of its summed durations (or count). It has at least one fixation.
std::pair<int64_t, int64_t> truncate(const std::vector<Fixation>& track, double keep, const MapOptions& options);

/// The spread of a track in image sides: the median distance of its fixations from their median centre, weighted by
/// duration. The median makes glances elsewhere count little. 0 for one fixation or none.
double track_spread(const std::vector<Fixation>& track);

/// The tracks of a batch of B images with N fixations in all, for L = map_levels + 1 maps each. The last map is the
/// full track's, from which pseudo masks are made.
struct PackedTracks {
  Tensor xy;       // (N,2) positions, image sides
  Tensor weight;   // (L,N) of a fixation in a map; 0 if truncation removed it
  Tensor sigma;    // (L,B,2) of the splat in x and y, image sides
  Tensor tau;      // (L,B) fall-off with the distance to the path, image sides
  Tensor kept;     // (L,B,2) i32, the fixations [begin, end) that a map keeps
  Tensor offsets;  // (B+1) i32, the fixations of track b are offsets[b] .. offsets[b + 1] - 1
};

/// Packs tracks. Track b has sigma_l s_b and tau_l s_b, with the factor s_b = (max(spread of track b, 0.03) /
/// options.spread)^spread_exponent.
PackedTracks pack_tracks(const std::vector<const Track*>& tracks, const MapOptions& options, DType dtype = DType::f32);

/// The tracks with all tensors on a device.
PackedTracks to_device(const PackedTracks& tracks, Device device);

/// The tracks in tensors of N = `fixations` fixations, of which offsets use the first. Batches of different length so
/// get one shape.
PackedTracks with_capacity(const PackedTracks& tracks, int64_t fixations);

/// The maps M_l = mix S_l / max S_l + (1 - mix) exp(-D_l^2 / (2 tau_l^2)) in [0,1], with the splat S_l
/// and the distance D_l to the path. One map (B,H_l,W_l) per size: coarsest level first, the full track's last, which
/// has the finest level's sigma and tau. Differentiable in xy. Throws Error for another number of sizes than maps.
Tensors track_maps(const PackedTracks& tracks, const MapOptions& options, const std::vector<MapSize>& sizes);

/// GazeMedSeg's heat map (METHOD 1), (height,width) in [0,1]. Durations are added to the pixels of a 768 x 768 canvas
/// and filtered by a Gaussian of sigma pixels (70 for Kvasir-SEG, 50 for NCI-ISBI). The canvas is then min-max
/// normalised and resized bilinearly. Throws Error for an empty track.
Tensor heat_map(const Track& track, int64_t height, int64_t width, double sigma = 70);

}  // namespace gt
