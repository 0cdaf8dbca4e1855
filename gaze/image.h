// Images of 8 bits a channel: reading (JPEG, PNG, DICOM), resizing, writing PNG.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gt {

struct Image {
  int64_t height = 0, width = 0, channels = 0;
  std::vector<uint8_t> pixels;  // (height, width, channels)

  Image() = default;
  Image(int64_t h, int64_t w, int64_t c, uint8_t value = 0)
      : height(h), width(w), channels(c), pixels(size_t(h * w * c), value) {}
  uint8_t* at(int64_t y, int64_t x) { return pixels.data() + (y * width + x) * channels; }
  const uint8_t* at(int64_t y, int64_t x) const { return pixels.data() + (y * width + x) * channels; }
};

/// Whether a mask's pixel is foreground. Masks kept as JPEG ring, so their pixels are not only 0 and 255.
inline bool foreground(uint8_t pixel) { return pixel > 127; }

/// Decodes a JPEG, PNG or, where it is built in, DICOM file (gaze/dicom.h) into 1 (grey) or 3 (RGB) channels. What has
/// more than 8 bits, a DICOM slice or a PNG of 16 bits, is stretched: its smallest value becomes 0, its largest 255, as
/// such files seldom use all their bits. Throws Error with the path and the reason.
Image read_image(const std::string& path, int channels);

/// The same picture at another size; antialiased where it shrinks.
Image resize_image(const Image& image, int64_t height, int64_t width);

/// A PNG file's bytes; 1, 3 or 4 channels.
std::string encode_png(const Image& image);

/// Throws Error with the path and the reason.
void write_png(const std::string& path, const Image& image);

}  // namespace gt
