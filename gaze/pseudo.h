// Pseudo masks: what a network is trained on in place of masks, made from gaze maps that a dense CRF may have refined.
// They are made before training, from the images as they are; augmentation then moves them as it does masks.
#pragma once

#include <functional>
#include <vector>

#include "gaze/crf.h"
#include "gaze/dataset.h"

namespace gt {

/// What a configuration says of pseudo masks. As it is born, GazeMedSeg's for Kvasir-SEG.
struct PseudoOptions {
  std::string refine = "crf";
  double foreground = 0.625, background = 0.625;
  std::string teacher;
  double teacher_weight = 0.3;
  double sigma = 70;
  std::vector<double> thresholds = {0.5, 0.3};
  CrfOptions crf;

  template <class V>
  void visit(V& v) {
    v("refine", refine, OneOf{"none", "crf"}, Help{"gradtrack: how its map is refined before thresholding"});
    v("foreground", foreground, Range{0, 1}, Help{"gradtrack: the map above this is foreground"});
    v("background", background, Range{0, 1}, Help{"gradtrack: below this background; between them not counted"});
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
  /// The map of a track on an image, of the image's size: (height,width) in [0,1].
  std::function<Tensor(const Track& track, const Image& image)> map;
  CrfOptions crf;                  // what the map is refined by
  std::vector<double> thresholds;  // one mask each
  /// A network's probability of foreground on an image, (height,width); null for none. The refined map counts as higher
  /// by teacher_weight / 2 where that is above 1/2, else as lower.
  std::function<Tensor(const Image& image)> prediction = nullptr;
  double teacher_weight = 0;
};

/// how.map's map of an image as its masks are made of it.
Tensor refined_map(const PseudoMasks& how, const Tensor& map, const Image& image);

/// 255 where a map (h,w) is at least the threshold, else 0.
Image mask_of(const Tensor& map, double threshold);

/// Gives a sample with gaze its pseudo masks (size,size,1), as a hook of load_dataset(). The map is made and refined at
/// the image's own size (METHOD 1; bilateral_xy is in its pixels), then resized bilinearly and thresholded.
void add_pseudo_masks(Sample& sample, const Image& image, int64_t size, const PseudoMasks& how);

}  // namespace gt
