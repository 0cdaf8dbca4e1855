#include "gaze/image.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <new>
#include <set>
#include <utility>

#include "core/check.h"
#include "core/io.h"
#include "gaze/dicom.h"

#define STB_IMAGE_RESIZE_STATIC
#define STB_IMAGE_RESIZE_IMPLEMENTATION
#include <stb/stb_image_resize.h>

/// Compresses by zlib, which is much faster than stb_image_write. Null if there is no memory.
static unsigned char* compress_png(unsigned char* data, int size, int* compressed_size, int /*quality*/) {
  uLongf count = compressBound(uLong(size));
  auto* out = static_cast<unsigned char*>(std::malloc(count));  // stb_image_write frees it
  if (out && compress2(out, &count, data, uLong(size), Z_DEFAULT_COMPRESSION) != Z_OK) {
    std::free(out);
    return nullptr;
  }
  *compressed_size = int(count);
  return out;
}

#define STBIW_ZLIB_COMPRESS compress_png
#define STBI_WRITE_NO_STDIO
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>

namespace gt {
namespace {

/// Brightness, with weights of RGB in 256ths.
template <class T>
T luma(const T* rgb) {
  return T((77u * rgb[0] + 150u * rgb[1] + 29u * rgb[2]) >> 8);
}

/// The palette's colours of the picture's indices.
void expand_palette(StoredImage& image) {
  if (image.palette.empty()) return;
  const auto& indices = std::get<std::vector<uint8_t>>(image.values);
  std::vector<uint8_t> colours;
  colours.reserve(indices.size() * 3);
  for (const uint8_t index : indices)
    colours.insert(colours.end(), image.palette[index].begin(), image.palette[index].begin() + 3);
  image.values = std::move(colours);
  image.channels = 3, image.bits = 8;
}

/// The values of a picture with `from` channels, times `factor`, with 1 or 3 channels, without alpha.
template <class T>
std::vector<T> converted(std::vector<T> stored, size_t from, size_t channels, int factor) {
  if (from == channels && factor == 1) return stored;
  const size_t count = stored.size() / from;
  std::vector<T> values(count * channels);
  const T* pixel = stored.data();
  T* out = values.data();
  const auto value = [factor](T v) { return T(v * factor); };
  for (size_t i = 0; i < count; ++i, pixel += from, out += channels)
    if (channels == 1)
      out[0] = value(from < 3 ? pixel[0] : luma(pixel));
    else
      out[0] = value(pixel[0]), out[1] = value(pixel[from < 3 ? 0 : 1]), out[2] = value(pixel[from < 3 ? 0 : 2]);
  return values;
}

/// The value below which a share of the values lies.
template <class T>
int64_t quantile(std::vector<T> values, double share) {
  const auto at = values.begin() + int64_t(share * double(values.size() - 1) + 0.5);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

struct Limits {
  int64_t low = 0, high = 0;
};

/// The values that become 0 and 255.
template <class T>
Limits limits_of(const std::vector<T>& values, Stretch stretch) {
  const auto [min, max] = std::minmax_element(values.begin(), values.end());
  const Limits full{*min, *max};
  if (stretch == Stretch::full || full.low == full.high) return full;
  const Limits inner{quantile(values, 0.001), quantile(values, 0.999)};
  const int64_t range = inner.high - inner.low;
  const bool outliers = range <= (full.high - full.low) / 8;
  return range > 0 && (stretch == Stretch::percentile || outliers) ? inner : full;
}

uint8_t stretched(int64_t value, const Limits& limits) {
  const int64_t range = limits.high - limits.low;
  return uint8_t(((std::clamp(value, limits.low, limits.high) - limits.low) * 255 + range / 2) / range);
}

/// Stretches 16 bits to 8. Values that are all alike keep their upper 8 bits.
std::vector<uint8_t> stretched(const std::vector<uint16_t>& values, Stretch stretch) {
  const Limits limits = limits_of(values, stretch);
  std::vector<uint8_t> pixels(values.size());
  for (size_t i = 0; i < values.size(); ++i)
    pixels[i] = limits.low == limits.high ? uint8_t(values[i] >> 8) : stretched(values[i], limits);
  return pixels;
}

/// Whether many values became so few levels that outliers must have taken the rest.
template <class T>
bool is_coarse(const std::vector<T>& values, const std::vector<uint8_t>& levels) {
  constexpr size_t few = 32, many = 128;
  std::array<bool, 256> used = {};
  for (const uint8_t level : levels) used[level] = true;
  if (size_t(std::count(used.begin(), used.end(), true)) >= few) return false;
  std::set<T> distinct;
  for (size_t i = 0; i < values.size() && distinct.size() < many; ++i) distinct.insert(values[i]);
  return distinct.size() == many;
}

/// The grey levels of a slice. Padding, and all of a slice of one value, become 0.
std::vector<uint8_t> grey_levels(const DicomSlice& slice, Stretch stretch) {
  std::vector<int32_t> real;
  for (size_t i = 0; i < slice.is_padding.size(); ++i)
    if (!slice.is_padding[i]) real.push_back(slice.values[i]);
  std::vector<uint8_t> grey(slice.values.size());
  const bool padded = !slice.is_padding.empty();
  if (padded && real.empty()) return grey;
  const Limits limits = limits_of(padded ? real : slice.values, stretch);
  if (limits.low == limits.high) return grey;
  for (size_t i = 0; i < grey.size(); ++i)
    if (!padded || !slice.is_padding[i])
      grey[i] = slice.inverted ? uint8_t(255 - stretched(slice.values[i], limits)) : stretched(slice.values[i], limits);
  return grey;
}

Image read_dicom_image(const std::string& path, int channels, const ReadOptions& options) {
  const DicomSlice slice = read_dicom(path, options);
  const std::vector<uint8_t> grey = grey_levels(slice, options.stretch);
  Image image(slice.height, slice.width, channels);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = grey[i / size_t(channels)];
  image.coarse = is_coarse(slice.values, grey);
  image.spacing = slice.spacing;
  return image;
}

/// Where a new pixel lies between two pixels of a row or column.
struct Between {
  int64_t low, high;
  float share;  // of `high`

  /// New pixel i of `to`, of `from` pixels. Outside the outer pixels' centres these are repeated.
  Between(int64_t i, int64_t from, int64_t to) {
    const float at = std::max(0.0f, (float(i) + 0.5f) * float(from) / float(to) - 0.5f);
    low = std::min(int64_t(at), from - 1);
    high = std::min(low + 1, from - 1);
    share = at - float(low);
  }
};

Image interpolated(const Image& image, int64_t height, int64_t width) {
  Image result(height, width, image.channels);
  const auto mix = [](float a, float b, float share) { return (1 - share) * a + share * b; };
  for (int64_t y = 0; y < height; ++y) {
    const Between row(y, image.height, height);
    for (int64_t x = 0; x < width; ++x) {
      const Between column(x, image.width, width);
      for (int64_t c = 0; c < image.channels; ++c) {
        const auto in_row = [&](int64_t r) {
          return mix(image.at(r, column.low)[c], image.at(r, column.high)[c], column.share);
        };
        result.at(y, x)[c] = uint8_t(mix(in_row(row.low), in_row(row.high), row.share) + 0.5f);
      }
    }
  }
  return result;
}

Image read(const std::string& path, int channels, const ReadOptions& options) {
  const std::string bytes = read_file(path);
  if (bytes.empty()) fail(path, ": is empty, expected a JPEG, PNG or DICOM image");
  if (is_dicom(bytes)) return read_dicom_image(path, channels, options);
  if (!is_picture(bytes)) fail(path, ": is neither a JPEG nor a PNG nor a DICOM image");

  ReadOptions as_needed = options;
  as_needed.luminance = channels == 1;
  StoredImage stored = decode_stored(path, bytes, as_needed);
  expand_palette(stored);
  Image image;
  image.height = stored.height, image.width = stored.width, image.channels = channels;
  image.orientation = stored.orientation;
  const size_t from = size_t(stored.channels), to = size_t(channels);
  if (auto* wide = std::get_if<std::vector<uint16_t>>(&stored.values)) {
    const std::vector<uint16_t> values = converted(std::move(*wide), from, to, 1);
    image.pixels = stretched(values, options.stretch);
    image.coarse = is_coarse(values, image.pixels);
  } else {  // to 0 to 255
    auto& values = std::get<std::vector<uint8_t>>(stored.values);
    image.pixels = converted(std::move(values), from, to, 255 / ((1 << stored.bits) - 1));
  }
  return image;
}

}  // namespace

Image read_image(const std::string& path, int channels, const ReadOptions& options) {
  GT_CHECK(channels == 1 || channels == 3, "read_image: channels is ", channels, ", expected 1 or 3");
  try {
    return read(path, channels, options);
  } catch (const std::bad_alloc&) {
    fail(path, ": expected memory for the image, there is too little");
  }
}

Image grey_image(const std::vector<uint16_t>& values, int64_t height, int64_t width, int channels, Stretch stretch) {
  Image image;
  image.height = height, image.width = width, image.channels = channels;
  image.pixels = stretched(converted(values, 1, size_t(channels), 1), stretch);
  image.coarse = is_coarse(values, image.pixels);
  return image;
}

std::string coarse_text(const std::string& path) {
  return path + ": its values became less than 32 grey levels, because a few are far from the rest; " +
         "data.stretch=percentile, or other files, may help";
}

Image resize_image(const Image& image, int64_t height, int64_t width, Shrink shrink) {
  GT_CHECK(image.height > 0 && image.width > 0 && height > 0 && width > 0, "resize_image: from ", image.height, "x",
           image.width, " to ", height, "x", width);
  if (height == image.height && width == image.width) return image;
  if (shrink == Shrink::sample) return interpolated(image, height, width);
  Image resized(height, width, image.channels);
  const int done =
      stbir_resize_uint8_generic(image.pixels.data(), int(image.width), int(image.height), 0, resized.pixels.data(),
                                 int(width), int(height), 0, int(image.channels), STBIR_ALPHA_CHANNEL_NONE, 0,
                                 STBIR_EDGE_CLAMP, STBIR_FILTER_TRIANGLE, STBIR_COLORSPACE_LINEAR, nullptr);
  if (!done)
    fail("expected memory to resize an image to ", height, "x", width, "x", image.channels, ", there is too little");
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
  if (!done)
    fail("expected memory to encode an image of ", image.height, "x", image.width, "x", image.channels,
         ", there is too little");
  return bytes;
}

void write_png(const std::string& path, const Image& image) {
  std::string bytes;
  try {
    bytes = encode_png(image);
  } catch (const Error& error) {
    fail(path, ": ", error.what());
  }
  write_file(path, bytes);
}

}  // namespace gt
