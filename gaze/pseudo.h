// Pseudo masks, which replace masks in training. They come from gaze maps, optionally refined by a dense CRF, when
// the images are loaded. Augmentation transforms them like masks.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "gaze/crf.h"
#include "gaze/dataset.h"

namespace gt {

/// Options of pseudo masks. visit() says what each is. The defaults are those for Kvasir-SEG.
struct PseudoOptions {
  std::string refine = "crf";
  double foreground = 0.625, background = 0.625;
  std::string between = "ignored";
  double sure = 0.7;
  std::string teacher;
  double teacher_weight = 0.3;
  double sigma = 70;
  std::vector<double> thresholds = {0.5, 0.3};
  CrfOptions crf;

  template <class V>
  void visit(V& v) {
    v("refine", refine, OneOf{"none", "crf"}, Help{"gradtrack: how its map is refined before thresholding"});
    v("foreground", foreground, Range{0, 1}, Help{"gradtrack: the map above this is foreground"});
    v("background", background, Range{0, 1}, Help{"gradtrack: below this background"});
    v("between", between, OneOf{"ignored", "average"},
      Help{"gradtrack: pixels between them do not count, or are what the averaged network is sure of"});
    v("sure", sure, Range{0.5, 0.999}, Help{"gradtrack: probability from which it is sure"});
    v("teacher", teacher, Help{"gradtrack: run or checkpoint whose predictions shift the map; empty for none"});
    v("teacher_weight", teacher_weight, Range{0, 1}, Help{"gradtrack: the refined map is shifted by half of it"});
    v("sigma", sigma, Range{1, 768}, Help{"gazemedseg: of the heat map; 50 for NCI-ISBI", "pixels of 768"});
    v("thresholds", thresholds, Length{1, {0, 1}, 8},
      Help{"gazemedseg: of the refined map; a mask and a network each"});
    v("crf", crf, Help{"dense CRF that refines the map at the image's size"});
  }
};

/// How a sample's pseudo masks are made.
struct PseudoMasks {
  /// The map (H,W) in [0,1] of a track on an image of that size.
  std::function<Tensor(const Track& track, const Image& image)> map;
  CrfOptions crf;
  std::vector<double> thresholds;  // one mask per threshold
  /// The teacher's probability of foreground (H,W) on an image of that size; null for no teacher.
  std::function<Tensor(const Image& image)> prediction = nullptr;
  /// Half of it is added to the map where the prediction is above 1/2, and subtracted elsewhere.
  double teacher_weight = 0;
};

/// A map (H,W) of an image, refined by the CRF and corrected by the teacher.
Tensor refined_map(const PseudoMasks& how, const Tensor& map, const Image& image);

/// The mask (H,W,1) of a map (H,W): 255 where the map is at least the threshold, else 0.
Image mask_of(const Tensor& map, double threshold);

/// Gives a sample with gaze its pseudo masks (size,size,1), as a hook of load_dataset(). The map is made and refined at
/// the image's own size (METHOD 1; bilateral_xy is in its pixels), then resized bilinearly and thresholded. A
/// hand-drawn mask takes their place if the sample has one: ignored pixels are above all thresholds but the first.
void add_pseudo_masks(Sample& sample, const Image& image, int64_t size, const PseudoMasks& how);

}  // namespace gt
