#include "gaze/pseudo.h"

#include <utility>

#include "kernels/ops.h"

namespace gt {

Image mask_of(const Tensor& map, double threshold) {
  GT_CHECK(map.rank() == 2, "mask_of: the map is ", map.shape(), ", expected (H,W)");
  Image mask(map.dim(0), map.dim(1), 1);
  const float* values = map.data<float>();
  for (size_t i = 0; i < mask.pixels.size(); ++i) mask.pixels[i] = values[i] >= float(threshold) ? 255 : 0;
  return mask;
}

Tensor refined_map(const PseudoMasks& how, const Tensor& map, const Image& image) {
  const Tensor refined = dense_crf(image, map, how.crf);
  if (!how.prediction) return refined;
  return add(refined, scale(greater(how.prediction(image), 0.5), how.teacher_weight, -how.teacher_weight / 2));
}

void add_pseudo_masks(Sample& sample, const Image& image, int64_t size, const PseudoMasks& how) {
  GT_CHECK(!sample.track.fixations.empty(), "add_pseudo_masks: sample '", sample.name, "' was loaded without gaze");
  sample.pseudo.clear();
  if (!sample.mask.pixels.empty()) {
    for (size_t k = 0; k < how.thresholds.size(); ++k) {
      Image mask = sample.mask;
      const uint8_t least = k == 0 ? 255 : ignored_pixel;
      for (uint8_t& pixel : mask.pixels) pixel = pixel >= least ? 255 : 0;
      sample.pseudo.push_back(std::move(mask));
    }
    sample.mask = {};
    return;
  }
  const Tensor map = refined_map(how, how.map(sample.track, image), image);
  const Tensor small = resize_bilinear(map.view({1, image.height, image.width, 1}), size, size).view({size, size});
  for (const double threshold : how.thresholds) sample.pseudo.push_back(mask_of(small, threshold));
}

}  // namespace gt
