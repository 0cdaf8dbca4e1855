#include "gaze/image.h"

#include "gaze/mask.h"
#include "tests/fuzz/fuzz.h"

namespace gt::fuzz {

/// The bytes: one that chooses the number of channels, the decoder, or to read a mask; then the picture.
void fuzz_image(std::string_view bytes) {
  if (bytes.empty()) return;
  const std::string path = scratch("image.png"), out = scratch("written.png");
  put(path, bytes.substr(1));
  const int channels = bytes[0] & 1 ? 1 : 3;
  ReadOptions options;
  options.max_pixels = 1 << 14;  // so that the time goes into different inputs, not into large ones
  options.embedded = bytes[0] & 2;
  if (bytes[0] & 4) {
    reads(path, [&] { read_mask(path); });
    return;
  }
  Image image;
  if (!reads(path, [&] { image = read_image(path, channels, options); })) return;
  if (image.channels != channels || image.pixels.size() != size_t(image.height * image.width * channels))
    report_finding("an image has another number of values than pixels");
  resize_image(image, 16, 16);
  put(out, encode_png(image));
  must_read(out, [&] {
    if (read_image(out, channels).pixels != image.pixels)
      report_finding("an image changes when it is written and read");
  });
}

}  // namespace gt::fuzz
