// Masks: what the values of a mask file mean.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/config.h"
#include "gaze/image.h"

namespace gt {

/// The value of pixels of a mask that count neither in losses nor in scores. Foreground is 255, background 0.
constexpr uint8_t ignored_pixel = 127;

/// Which values of mask files are what. All empty: two values are a mask, see read_mask().
struct LabelOptions {
  std::vector<int64_t> foreground = {}, ignored = {}, background = {};

  template <class V>
  void visit(V& v) {
    const Length values{0, {0, 16777215}, 1024};
    v("foreground", foreground, values, Help{"values of masks that are foreground; empty: the greater of two"});
    v("ignored", ignored, values, Help{"values that count neither in losses nor in scores"});
    v("background", background, values, Help{"values that are background; empty: 0, if others are given"});
  }

  bool given() const { return !foreground.empty() || !ignored.empty() || !background.empty(); }
};

/// A mask and the values that its file has for it.
struct Mask {
  Image image;              // (H,W,1): 255 foreground, 0 background, ignored_pixel
  int64_t foreground = -1;  // the value in the file; -1: none, or data.labels says it
  int64_t background = -1;  // likewise
  int64_t largest = 255;    // that the file's pixels can have
  int orientation = 1;      // EXIF orientation of the file
  size_t foreground_pixels = 0, ignored_pixels = 0;
};

/// Reads a mask. A pixel's value is its grey value as stored, its palette index, or 65536 R + 256 G + B if the file has
/// colours. With `labels`, each value is what they say. Without, the greater of two values is foreground; one value is
/// an empty mask if it is 0 and a full one if it is the largest; a JPEG file whose values lie at both ends is divided
/// above 127. Throws Error, with the file and the values, for anything else: three values, alpha that is not constant,
/// a palette whose greater index is the darker colour.
Mask read_mask(const std::string& path, const LabelOptions& labels = {}, const ReadOptions& options = {});

/// The mask at another size: a pixel is foreground, or ignored, if half of it is.
Image resize_mask(const Image& mask, int64_t height, int64_t width);

/// Throws Error, naming both files, if one data set cannot hold both masks: a value is foreground here and another
/// there. A foreground of 1 and one of the largest value are both usual.
void check_same_values(const Mask& a, const std::string& path_a, const Mask& b, const std::string& path_b);

}  // namespace gt
