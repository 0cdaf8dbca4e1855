// What PNG and JPEG files say about themselves, checked before their pixels are decoded; and the decoders.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gaze/picture.h"

namespace gt {

/// The big-endian number in bytes [at, at + count).
inline uint64_t big_endian(std::string_view bytes, size_t at, size_t count) {
  uint64_t value = 0;
  for (size_t i = 0; i < count; ++i) value = value << 8 | uint8_t(bytes[at + i]);
  return value;
}

/// The EXIF orientation, 1 to 8, in a TIFF block; 1 if it has none. Throws Error, naming the path, for another value.
int exif_orientation(const std::string& path, std::string_view tiff);

/// Throws Error if a picture has no or too many pixels.
void check_size(const std::string& path, int64_t height, int64_t width, const ReadOptions& options);

// ---- PNG ------------------------------------------------------------------------------------------------------------

inline constexpr std::string_view png_start = "\x89PNG\r\n\x1A\n";

struct PngFile {
  int64_t height = 0, width = 0, channels = 0;  // channels of the values, without a transparent colour
  int bits = 0;
  bool interlaced = false;
  std::vector<std::array<uint8_t, 4>> palette;
  std::optional<std::array<uint16_t, 3>> transparent;  // the transparent colour, or grey in all three
  int orientation = 1;
  std::string essential;  // a PNG with header and pixels only; a palette index is stored as grey
};

/// Reads all chunks and checks their checksums and order. Throws Error, naming the path and the fault.
PngFile read_png_file(const std::string& path, std::string_view bytes, const ReadOptions& options);

/// Throws Error if the pixels are damaged or too few: stb_image fills the rest with anything.
void check_png_pixels(const std::string& path, const PngFile& file);

// ---- JPEG -----------------------------------------------------------------------------------------------------------

inline constexpr std::string_view jpeg_start = "\xFF\xD8\xFF";

struct HuffmanTable {
  std::array<uint8_t, 16> counts = {};  // codes of 1 to 16 bits
  std::vector<uint8_t> symbols;         // in the order of their codes; empty: the table is not defined
};

struct JpegComponent {
  int id = 0, horizontal = 1, vertical = 1;    // sampling factors
  int64_t blocks_across = 0, blocks_down = 0;  // of 8x8 values, without padding to whole MCUs
};

struct JpegScan {
  struct Part {
    size_t component;
    size_t dc_table, ac_table;
  };
  std::vector<Part> parts;
  int first = 0, last = 63, high = 0, low = 0;        // coefficients; bit positions of progressive scans
  std::array<std::array<HuffmanTable, 4>, 2> tables;  // [DC, AC][number], as defined when the scan begins
  int64_t restart_interval = 0;                       // MCUs; 0: none
  std::string_view data;                              // entropy-coded, with restart markers
};

struct JpegFile {
  int64_t height = 0, width = 0;
  int bits = 8;  // of a value
  bool progressive = false;
  bool lossless = false;  // only if is_medical: a block is one value
  std::vector<JpegComponent> components;
  std::vector<JpegScan> scans;
  int orientation = 1;
  std::string_view picture;  // the bytes from the start marker to the end marker
};

/// Reads all segments and checks them: sizes, tables, colours. `is_medical`: a frame of DICOM, grey, of up to 16 bits
/// and perhaps lossless. Throws Error, naming the path and the fault.
JpegFile read_jpeg_file(const std::string& path, std::string_view bytes, const ReadOptions& options,
                        bool is_medical = false);

/// Throws Error if a scan's codes are damaged or end before all blocks are there: stb_image fills the rest with grey.
void check_jpeg_scans(const std::string& path, const JpegFile& file);

// ---- Decoders: values (height,width,channels) as stored, without EXIF orientation -----------------------------------

// Those of libpng and libjpeg are there if the build has these libraries (GT_PNG, GT_JPEG).

void decode_png_by_stb(const std::string& path, const PngFile& file, StoredImage& image);
void decode_jpeg_by_stb(const std::string& path, const JpegFile& file, const ReadOptions& options, StoredImage& image);

void decode_png_by_libpng(const std::string& path, const PngFile& file, StoredImage& image);
void decode_jpeg_by_libjpeg(const std::string& path, const JpegFile& file, const ReadOptions& options,
                            StoredImage& image);

}  // namespace gt
