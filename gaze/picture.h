// Pictures in JPEG and PNG files: their values as stored.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace gt {

/// How values of more than 8 bits become 8 bits. `full`: the smallest becomes 0, the largest 255. `percentile`: the
/// percentiles 0.1 and 99.9 do, and values beyond them are cut off. `automatic`: `percentile` if these percentiles lie
/// within an eighth of the whole range, as with a few outliers, else `full`.
enum class Stretch { automatic, full, percentile };

/// The way of this name: auto, full or percentile. Throws Error for another name.
Stretch stretch_named(std::string_view name);

/// Distances between the centres of neighbouring pixels, in mm; 0 if they are not known.
struct PixelSpacing {
  double rows = 0;     // from one row to the next
  double columns = 0;  // from one column to the next

  bool known() const { return rows > 0 && columns > 0; }
};

struct ReadOptions {
  int64_t max_pixels = 100'000'000;  // larger pictures are refused before anything is allocated
  Stretch stretch = Stretch::automatic;
  bool luminance = false;  // of a colour JPEG only the luminance is decoded, as 1 channel
  bool embedded = false;   // decode by stb_image even if libpng and libjpeg-turbo are built in
};

struct StoredImage {
  enum class Kind { png, jpeg };
  using Values = std::variant<std::vector<uint8_t>, std::vector<uint16_t>>;  // of up to 8 bits, of more

  Kind kind = Kind::png;
  int64_t height = 0, width = 0;                // as shown: the EXIF orientation is applied
  int64_t channels = 0;                         // 1 grey or palette index, 2 grey and alpha, 3 RGB, 4 RGB and alpha
  int bits = 8;                                 // of a value, 1 to 16: values are from 0 to 2^bits - 1
  Values values;                                // (height,width,channels)
  std::vector<std::array<uint8_t, 4>> palette;  // RGB and alpha of each index; empty without a palette
  int orientation = 1;                          // EXIF orientation of the file, 1 to 8

  bool has_alpha() const { return channels == 2 || channels == 4; }
};

/// Decodes a JPEG or PNG file. CMYK with an Adobe marker becomes RGB. The transparent colour of a PNG without alpha
/// becomes alpha of 0 and 2^bits - 1. Throws Error with the path and the reason for damaged and unsupported files.
StoredImage read_stored(const std::string& path, const ReadOptions& options = {});

/// As above, from the bytes of the file; `path` is for messages.
StoredImage decode_stored(const std::string& path, const std::string& bytes, const ReadOptions& options = {});

/// Whether these bytes begin a JPEG or PNG file.
bool is_picture(std::string_view bytes);

/// The libraries that decode PNG and JPEG, with their versions.
std::string png_decoder();
std::string jpeg_decoder();

}  // namespace gt
