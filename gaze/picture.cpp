#include "gaze/picture.h"

#include <algorithm>

#include "core/check.h"
#include "core/io.h"
#include "gaze/picture_files.h"

#if GT_JPEG
#include <cstdio>

#include <jpeglib.h>
#endif
#if GT_PNG
#include <png.h>
#endif

namespace gt {

namespace {

/// The picture as its EXIF orientation shows it, from these stored values.
template <class T>
std::vector<T> turned(const StoredImage& image, const std::vector<T>& stored) {
  const int o = image.orientation;
  const bool swaps_axes = o >= 5, from_bottom = o == 3 || o == 4 || o == 6 || o == 7,
             from_right = o == 2 || o == 3 || o == 7 || o == 8;
  const int64_t height = image.height, width = image.width, channels = image.channels;
  std::vector<T> shown(stored.size());
  T* out = shown.data();
  for (int64_t y = 0; y < (swaps_axes ? width : height); ++y)
    for (int64_t x = 0; x < (swaps_axes ? height : width); ++x) {
      const int64_t row = swaps_axes ? x : y, column = swaps_axes ? y : x;
      const int64_t from = (from_bottom ? height - 1 - row : row) * width + (from_right ? width - 1 - column : column);
      out = std::copy_n(stored.data() + from * channels, channels, out);
    }
  return shown;
}

void turn(StoredImage& image) {
  if (image.orientation == 1) return;
  std::visit([&image](auto& values) { values = turned(image, values); }, image.values);
  if (image.orientation >= 5) std::swap(image.height, image.width);
}

/// The values with an alpha channel: 0 where a pixel has the transparent colour, else `opaque`.
template <class T>
std::vector<T> with_alpha(const std::vector<T>& values, int64_t channels, const std::array<uint16_t, 3>& transparent,
                          T opaque) {
  std::vector<T> out;
  out.reserve(values.size() + values.size() / size_t(channels));
  for (auto pixel = values.begin(); pixel != values.end(); pixel += channels) {
    out.insert(out.end(), pixel, pixel + channels);
    out.push_back(std::equal(pixel, pixel + channels, transparent.begin()) ? T(0) : opaque);
  }
  return out;
}

/// Makes the transparent colour of a grey or RGB picture alpha.
void add_alpha(const std::array<uint16_t, 3>& transparent, StoredImage& image) {
  const auto add = [&]<class T>(std::vector<T>& values) {
    values = with_alpha(values, image.channels, transparent, T((1 << image.bits) - 1));
  };
  std::visit(add, image.values);
  ++image.channels;
}

void check_indices(const std::string& path, const StoredImage& image) {
  if (image.palette.empty()) return;
  const auto& indices = std::get<std::vector<uint8_t>>(image.values);
  const uint8_t largest = *std::max_element(indices.begin(), indices.end());
  if (largest >= image.palette.size())
    fail(path, ": has a pixel of palette index ", int(largest), ", expected less than the palette's ",
         image.palette.size(), " colours");
}

StoredImage decode_png(const std::string& path, std::string_view bytes, const ReadOptions& options) {
  PngFile file = read_png_file(path, bytes, options);
  StoredImage image{.kind = StoredImage::Kind::png,
                    .height = file.height,
                    .width = file.width,
                    .channels = file.channels,
                    .bits = file.bits,
                    .values = {},
                    .palette = std::move(file.palette),
                    .orientation = file.orientation};
#if GT_PNG
  if (!options.embedded)
    decode_png_by_libpng(path, file, image);
  else
#endif
    decode_png_by_stb(path, file, image);
  check_indices(path, image);
  if (file.transparent) add_alpha(*file.transparent, image);
  return image;
}

StoredImage decode_jpeg(const std::string& path, std::string_view bytes, const ReadOptions& options) {
  const JpegFile file = read_jpeg_file(path, bytes, options);
  StoredImage image;
  image.kind = StoredImage::Kind::jpeg;
  image.height = file.height, image.width = file.width;
  image.channels = file.components.size() == 1 || (options.luminance && file.components.size() == 3) ? 1 : 3;
  image.orientation = file.orientation;
#if GT_JPEG
  if (!options.embedded)
    decode_jpeg_by_libjpeg(path, file, options, image);
  else
#endif
    decode_jpeg_by_stb(path, file, options, image);
  return image;
}

}  // namespace

Stretch stretch_named(std::string_view name) {
  if (name == "auto") return Stretch::automatic;
  if (name == "full") return Stretch::full;
  if (name == "percentile") return Stretch::percentile;
  fail("stretch is '", name, "', expected auto, full or percentile");
}

bool is_picture(std::string_view bytes) { return bytes.starts_with(jpeg_start) || bytes.starts_with(png_start); }

void check_size(const std::string& path, int64_t height, int64_t width, const ReadOptions& options) {
  if (height < 1 || width < 1) fail(path, ": says that it is ", height, "x", width, ", expected at least 1x1");
  constexpr int64_t max_side = 65535;  // of a JPEG or DICOM image
  if (std::max(height, width) > max_side)
    fail(path, ": is ", height, "x", width, ", expected at most ", max_side, " pixels a side");
  if (height > options.max_pixels / width)
    fail(path, ": is ", height, "x", width, ", expected at most ", options.max_pixels,
         " pixels; data.max_pixels, or the option --max-pixels, allows more");
}

StoredImage decode_stored(const std::string& path, const std::string& bytes, const ReadOptions& options) {
  if (!is_picture(bytes)) fail(path, ": is neither a JPEG nor a PNG image");
  StoredImage image =
      bytes.starts_with(png_start) ? decode_png(path, bytes, options) : decode_jpeg(path, bytes, options);
  turn(image);
  return image;
}

StoredImage read_stored(const std::string& path, const ReadOptions& options) {
  const std::string bytes = read_file(path);
  if (bytes.empty()) fail(path, ": is empty, expected a JPEG or PNG image");
  return decode_stored(path, bytes, options);
}

std::string png_decoder() {
#if GT_PNG
  return "libpng " PNG_LIBPNG_VER_STRING;
#else
  return "stb_image: libpng is not built in";
#endif
}

std::string jpeg_decoder() {
#if GT_JPEG && defined(LIBJPEG_TURBO_VERSION)
  return "libjpeg-turbo " GT_STRINGIZE(LIBJPEG_TURBO_VERSION);
#elif GT_JPEG
  return "libjpeg " GT_STRINGIZE(JPEG_LIB_VERSION);
#else
  return "stb_image: libjpeg-turbo is not built in";
#endif
}

}  // namespace gt
