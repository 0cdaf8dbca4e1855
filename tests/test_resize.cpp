// Resizing of images and maps against MONAI's Resized: what it made is in tests/fixtures, whose make_resize.py says
// how.
#include <algorithm>
#include <cmath>

#include "core/safetensors.h"
#include "gaze/image.h"
#include "kernels/ops.h"
#include "layers/module.h"
#include "tests/catch.h"
#include "tests/differences.h"

using namespace gt;

namespace {

/// The fixture: an image, a map, and both at other sizes.
struct Fixture {
  SafeTensors file = read_safetensors(GT_SOURCE_DIR "/tests/fixtures/resize.safetensors");

  /// The tensors whose names begin with "image." or "map.".
  NamedTensors resized(const std::string& what) const {
    NamedTensors found;
    for (const auto& [name, tensor] : file.tensors)
      if (name.starts_with(what + ".")) found.emplace_back(name, tensor);
    REQUIRE(found.size() == 6);
    return found;
  }

  Image image() const {
    const Tensor& t = *file.find("image");
    Image image(t.dim(0), t.dim(1), t.dim(2));
    for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = uint8_t(t.data<float>()[i]);
    return image;
  }
};

/// The largest difference in levels of 8 bits.
double difference(const Image& ours, const Tensor& theirs) {
  double worst = 0;
  for (size_t i = 0; i < ours.pixels.size(); ++i)
    worst = larger_difference(worst, ours.pixels[i], theirs.data<float>()[i]);
  return worst;
}

}  // namespace

TEST_CASE("resize: maps are resized as by MONAI's Resized", "[resize]") {
  const Fixture f;
  const Tensor map = *f.file.find("map");
  for (const auto& [name, theirs] : f.resized("map")) {
    const Tensor ours = resize_bilinear(map.view({1, map.dim(0), map.dim(1), 1}), theirs.dim(0), theirs.dim(1));
    double worst = 0;
    for (int64_t i = 0; i < theirs.size(); ++i)
      worst = larger_difference(worst, ours.data<float>()[i], theirs.data<float>()[i]);
    INFO(name);
    CHECK(worst < 1e-5);
  }
}

TEST_CASE("resize: with data.resize sample, images are those of MONAI's Resized, rounded to 8 bits", "[resize]") {
  const Fixture f;
  for (const auto& [name, theirs] : f.resized("image")) {
    INFO(name);
    CHECK(difference(resize_image(f.image(), theirs.dim(0), theirs.dim(1), Shrink::sample), theirs) < 0.501);
  }
}

TEST_CASE("resize: by default images that grow are those of MONAI's, and those that shrink are averaged", "[resize]") {
  const Fixture f;
  for (const auto& [name, theirs] : f.resized("image")) {
    const Image image = f.image();
    const bool shrinks = theirs.dim(0) < image.height || theirs.dim(1) < image.width;
    INFO(name);
    const double levels = difference(resize_image(image, theirs.dim(0), theirs.dim(1)), theirs);
    if (shrinks)
      CHECK(levels > 20);  // the image is noise
    else
      CHECK(levels < 1.01);
  }
}
