// Track Attention at one decoder level, with the variants that the keys attention.* choose (METHOD 4).
#pragma once

#include <string>

#include "core/config.h"
#include "layers/layers.h"

namespace gt {

/// Keys `attention.*`: what supervises the attention maps, what they multiply, and how levels are connected.
struct AttentionOptions {
  std::string target = "maps";      // maps or pseudo
  std::string use = "features";     // features, gate, skip or none
  std::string coarser = "ignored";  // ignored or added
  int64_t groups = 1;
  double agreement = 1;
  double begin = 0, end = 1;

  template <class V>
  void visit(V& v) {
    v("target", target, OneOf{"maps", "pseudo"},
      Help{"what supervises a level's attention: its track map, or the pseudo mask at its size"});
    v("use", use, OneOf{"features", "gate", "skip", "none"},
      Help{"F (1 + A), F A, the next skip connection times (1 + A), or the loss alone"});
    v("coarser", coarser, OneOf{"ignored", "added"},
      Help{"the coarser level's attention logit is ignored, or added to refine it"});
    v("groups", groups, Range{1, 1 << 16},
      Help{"groups of channels with an attention map each; the first map is supervised"});
    v("agreement", agreement, Range{0, 1}, Help{"supervised where the level's map is this near to the full track's"});
    v("begin", begin, Range{0, 1}, Help{"share of the training before the attention is supervised"});
    v("end", end, Range{0, 1}, Help{"share of the training after which it is no longer supervised"});
  }

  /// Whether the attention is supervised in iteration k of n, counted from 0.
  bool supervised(int64_t k, int64_t n) const { return double(k) >= begin * double(n) && double(k) < end * double(n); }
};

/// What supervises the attention of one level. Without a map nothing does.
struct AttentionTarget {
  Tensor map;      // (B,H,W) in [0,1]
  Tensor counted;  // (B,H,W): 1 where a pixel counts, else 0; undefined if all count
};

/// Track Attention on features (B,H,W,channels).
class DecoderAttention {
 public:
  struct Output {
    Tensor features;  // for the next level
    Tensor skip;      // the next level's skip connection; undefined if none came
    Tensor map;       // A of the first group, (B,H,W)
    Tensor logits;    // a (B,H,W,groups), for the next level; undefined unless options.coarser is `added`
    Tensor loss;      // (); undefined without a target
  };
  DecoderAttention(const Scope& scope, int64_t channels, const AttentionOptions& options);
  /// `coarser` is the output `logits` of the level before, undefined at level 1. `skip` (B,2H,2W,K) is the next level's
  /// skip connection, undefined at the last level.
  Output operator()(const Tensor& features, const Tensor& skip, const Tensor& coarser,
                    const AttentionTarget& target) const;

 private:
  bool is_fused(const AttentionTarget& target) const;
  Tensor logits(const Tensor& features, const Tensor& coarser) const;
  Tensor first_group(const Tensor& x) const;

  AttentionOptions options_;
  TrackAttention fused_;  // its parameters are those of every variant
  Tensor first_;          // (groups): 1, 0, 0, ..; undefined for one group
  Numerics numerics_;
};

}  // namespace gt
