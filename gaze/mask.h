// Masks: what the values of a mask file mean.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
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
/// above 127. Of two colours, one is black. Throws Error, with the file and the values, for anything else: three
/// values, alpha that is not constant, a palette whose greater index is the darker colour.
Mask read_mask(const std::string& path, const LabelOptions& labels = {}, const ReadOptions& options = {});

/// The mask at another size: a pixel is foreground, or ignored, if half of it is.
Image resize_mask(const Image& mask, int64_t height, int64_t width);

/// The meaning of values in the masks of a data set.
class MaskValues {
 public:
  struct Value {
    int64_t value = -1;  // -1: no file has any yet
    bool largest = false;
    std::string path = {};  // of the first file that has it
  };
  MaskValues() = default;
  MaskValues(Value foreground, Value background)
      : foreground_(std::move(foreground)), background_(std::move(background)) {}

  /// Throws Error, naming both files, if the mask has another foreground or background than those before. Foregrounds
  /// that are each the largest value of their file, such as 1 of one bit and 255 of eight, are the same.
  void add(const Mask& mask, const std::string& path);
  /// The same for the masks of another part of the data set.
  void add(const MaskValues& others);
  /// Whether there was a mask with foreground and one with background.
  bool complete() const { return foreground_.value >= 0 && background_.value >= 0; }
  const Value& foreground() const { return foreground_; }
  const Value& background() const { return background_; }

 private:
  static void join(Value& mine, const Value& other, const char* what);
  Value foreground_, background_;
};

}  // namespace gt
