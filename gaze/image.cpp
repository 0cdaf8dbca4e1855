#include "gaze/image.h"

#include <algorithm>
#include <climits>
#include <memory>
#include <string_view>

#include "core/check.h"
#include "core/io.h"
#include "gaze/dicom.h"

#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#include <stb/stb_image.h>

#define STB_IMAGE_RESIZE_STATIC
#define STB_IMAGE_RESIZE_IMPLEMENTATION
#include <stb/stb_image_resize.h>

#define STBI_WRITE_NO_STDIO
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>

namespace gt {
namespace {

constexpr std::string_view jpeg_start = "\xFF\xD8\xFF", png_start = "\x89PNG\r\n\x1A\n";

uint64_t big_endian(std::string_view bytes, size_t at, size_t count) {
  uint64_t value = 0;
  for (size_t i = 0; i < count; ++i) value = value << 8 | uint8_t(bytes[at + i]);
  return value;
}

constexpr const char* truncated = "truncated, the end of the image is missing";

/// Whether each table in the body of a JPEG segment of Huffman tables has at most 256 codes. A table is 1 byte, 16
/// counts and the symbols that these count.
bool huffman_tables_fit(std::string_view body) {
  while (body.size() >= 17) {
    size_t codes = 0;
    for (const char count : body.substr(1, 16)) codes += uint8_t(count);
    if (codes > 256) return false;
    body.remove_prefix(std::min(body.size(), 17 + codes));
  }
  return true;
}

/// A fault that the decoder does not report, or null. The decoder fills the missing part of a truncated JPEG with grey,
/// and writes past the end of an overlong Huffman table. Segments are skipped by their length, as a thumbnail inside
/// one has an end marker too; scan data are searched byte by byte.
const char* jpeg_fault(std::string_view bytes) {
  constexpr uint8_t huffman_tables = 0xC4, first_restart = 0xD0, last_restart = 0xD7, end_of_image = 0xD9, fill = 0xFF;
  for (size_t at = 2; at + 1 < bytes.size();) {
    const uint8_t marker = uint8_t(bytes[at + 1]);
    const bool in_scan = marker == 0 || (marker >= first_restart && marker <= last_restart);
    if (uint8_t(bytes[at]) != 0xFF || marker == fill || in_scan) {
      ++at;
      continue;
    }
    if (marker == end_of_image) return nullptr;
    if (at + 4 > bytes.size()) return truncated;
    const size_t length = size_t(big_endian(bytes, at + 2, 2));  // counts itself
    if (length < 2) return "damaged, a segment has no length";
    if (marker == huffman_tables && !huffman_tables_fit(bytes.substr(at + 4, length - 2)))
      return "damaged, a Huffman table has more than 256 codes";
    at += 2 + length;
  }
  return truncated;
}

/// A fault that the decoder does not report, or null: it also accepts a PNG without its end.
const char* png_fault(std::string_view bytes) {
  constexpr size_t overhead = 12;  // of a chunk: length, type, checksum
  for (size_t at = png_start.size(); at + overhead <= bytes.size();) {
    if (bytes.substr(at + 4, 4) == "IEND") return nullptr;
    at += overhead + size_t(big_endian(bytes, at, 4));
  }
  return truncated;
}

/// Pixels that stb decoded as T and frees.
template <class T>
using Decoded = std::unique_ptr<T, void (*)(void*)>;

/// Stretches 16 bits to 8: the smallest value becomes 0, the largest 255. An image of one value keeps its upper 8 bits.
void stretch(const uint16_t* values, std::vector<uint8_t>& pixels) {
  const auto [min, max] = std::minmax_element(values, values + pixels.size());
  const uint32_t low = *min, range = *max - low;
  for (size_t i = 0; i < pixels.size(); ++i)
    pixels[i] = uint8_t(range == 0 ? values[i] >> 8 : ((values[i] - low) * 255 + range / 2) / range);
}

Image read_dicom_image(const std::string& path, int channels) {
  const DicomSlice slice = read_dicom(path);
  std::vector<uint8_t> grey(slice.values.size());
  stretch(slice.values.data(), grey);
  Image image(slice.height, slice.width, channels);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = grey[i / size_t(channels)];
  return image;
}

}  // namespace

Image read_image(const std::string& path, int channels) {
  GT_CHECK(channels == 1 || channels == 3, "read_image: channels is ", channels, ", expected 1 or 3");
  const std::string bytes = read_file(path);
  if (bytes.empty()) fail(path, ": is empty, expected a JPEG, PNG or DICOM image");
  if (is_dicom(bytes)) return read_dicom_image(path, channels);
  const bool jpeg = bytes.starts_with(jpeg_start), png = bytes.starts_with(png_start);
  if (!jpeg && !png) fail(path, ": is neither a JPEG nor a PNG nor a DICOM image");
  if (const char* fault = jpeg ? jpeg_fault(bytes) : png_fault(bytes)) fail(path, ": is ", fault);
  if (bytes.size() > INT_MAX) fail(path, ": is larger than 2 GiB");

  int width = 0, height = 0, own_channels = 0;
  const auto* data = reinterpret_cast<const stbi_uc*>(bytes.data());
  const int size = int(bytes.size());
  const auto check = [&](const void* decoded) {
    if (!decoded) fail(path, ": cannot decode the ", jpeg ? "JPEG" : "PNG", " image: ", stbi_failure_reason());
  };
  if (png && stbi_is_16_bit_from_memory(data, size)) {
    const Decoded<stbi_us> decoded(stbi_load_16_from_memory(data, size, &width, &height, &own_channels, channels),
                                   stbi_image_free);
    check(decoded.get());
    Image image(height, width, channels);
    stretch(decoded.get(), image.pixels);
    return image;
  }
  const Decoded<stbi_uc> decoded(stbi_load_from_memory(data, size, &width, &height, &own_channels, channels),
                                 stbi_image_free);
  check(decoded.get());
  Image image(height, width, channels);
  std::copy_n(decoded.get(), image.pixels.size(), image.pixels.data());
  return image;
}

Image resize_image(const Image& image, int64_t height, int64_t width) {
  GT_CHECK(image.height > 0 && image.width > 0 && height > 0 && width > 0, "resize_image: from ", image.height, "x",
           image.width, " to ", height, "x", width);
  if (height == image.height && width == image.width) return image;
  Image resized(height, width, image.channels);
  const int done =
      stbir_resize_uint8_generic(image.pixels.data(), int(image.width), int(image.height), 0, resized.pixels.data(),
                                 int(width), int(height), 0, int(image.channels), STBIR_ALPHA_CHANNEL_NONE, 0,
                                 STBIR_EDGE_CLAMP, STBIR_FILTER_TRIANGLE, STBIR_COLORSPACE_LINEAR, nullptr);
  GT_CHECK(done, "resize_image: no memory for ", height, "x", width, "x", image.channels);
  return resized;
}

std::string encode_png(const Image& image) {
  GT_CHECK(image.height > 0 && image.width > 0 && (image.channels == 1 || image.channels == 3 || image.channels == 4),
           "encode_png: image is ", image.height, "x", image.width, "x", image.channels,
           ", expected 1, 3 or 4 channels");
  std::string bytes;
  const auto append = [](void* out, void* data, int size) {
    static_cast<std::string*>(out)->append(static_cast<const char*>(data), size_t(size));
  };
  const int done = stbi_write_png_to_func(append, &bytes, int(image.width), int(image.height), int(image.channels),
                                          image.pixels.data(), int(image.width * image.channels));
  GT_CHECK(done, "encode_png: no memory for ", image.height, "x", image.width, "x", image.channels);
  return bytes;
}

void write_png(const std::string& path, const Image& image) { write_file(path, encode_png(image)); }

}  // namespace gt
