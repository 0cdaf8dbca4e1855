// Images of 8 bits a channel: reading JPEG, PNG and DICOM, resizing, writing PNG.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gaze/picture.h"

namespace gt {

struct Image {
  int64_t height = 0, width = 0, channels = 0;
  std::vector<uint8_t> pixels;  // (height,width,channels)
  int orientation = 1;          // EXIF orientation of the file that it was read from; the pixels are already turned
  bool coarse = false;          // many values of the file became less than 32 levels
  PixelSpacing spacing;         // of a DICOM file with PixelSpacing

  Image() = default;
  Image(int64_t h, int64_t w, int64_t c, uint8_t value = 0)
      : height(h), width(w), channels(c), pixels(size_t(h * w * c), value) {}
  /// The first channel of a pixel.
  uint8_t* at(int64_t y, int64_t x) { return pixels.data() + (y * width + x) * channels; }
  const uint8_t* at(int64_t y, int64_t x) const { return pixels.data() + (y * width + x) * channels; }
};

/// Whether a mask's pixel is foreground. Masks stored as JPEG also have values between 0 and 255.
inline bool is_foreground(uint8_t pixel) { return pixel > 127; }

/// Decodes a JPEG, PNG or, if the build has DCMTK, DICOM file (gaze/dicom.h) into 1 (grey) or 3 (RGB) channels. Alpha
/// is ignored. Values of more than 8 bits (DICOM, PNG of 16 bits) are stretched to 8, as such files seldom use all
/// their bits. Throws Error with the path and the reason.
Image read_image(const std::string& path, int channels, const ReadOptions& options = {});

/// An image of grey values (height,width) of 16 bits, stretched to 8, with 1 or 3 equal channels.
Image grey_image(const std::vector<uint16_t>& values, int64_t height, int64_t width, int channels, Stretch stretch);

/// A warning of an image from this file that is `coarse`.
std::string coarse_text(const std::string& path);

/// How an image becomes smaller.
enum class Shrink {
  average,  // the mean of the pixels that the new one covers, by a triangle filter twice as wide as the new pixel
  sample    // bilinear interpolation at the new pixel's centre, as PyTorch's without antialias: pixels between are lost
};

/// The image at another size, rounded to 8 bits. Pixel centres are at (i + 0.5) / n. An image that grows is
/// interpolated bilinearly.
Image resize_image(const Image& image, int64_t height, int64_t width, Shrink shrink = Shrink::average);

/// The bytes of a PNG file of an image with 1, 3 or 4 channels.
std::string encode_png(const Image& image);

/// The bytes of a grey PNG file of 16 bits: values (height,width).
std::string encode_png16(const std::vector<uint16_t>& values, int64_t height, int64_t width);

/// Writes a PNG file of an image with 1, 3 or 4 channels, atomically. Throws Error with the path and the reason.
void write_png(const std::string& path, const Image& image);

}  // namespace gt
