// Small PNG and JPEG files, for tests.
#pragma once

#include <zlib.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace gt {

/// The end of the message about a picture that is too large.
inline const std::string how_to_allow = "; data.max_pixels, or the option --max-pixels, allows more";

inline std::string deflated(const std::string& bytes, int window) {
  z_stream stream = {};
  deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, uLong(bytes.size())) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = uInt(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = uInt(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

inline std::string big_endian(uint32_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out += char(value >> (8 * i));
  return out;
}

inline std::string bytes_of(std::initializer_list<int> list) { return std::string(list.begin(), list.end()); }

// ---- PNG ------------------------------------------------------------------------------------------------------------

inline std::string png_chunk(const std::string& type, const std::string& body) {
  const std::string both = type + body;
  return big_endian(uint32_t(body.size()), 4) + both +
         big_endian(uint32_t(crc32(0, reinterpret_cast<const Bytef*>(both.data()), uInt(both.size()))), 4);
}

struct PngParts {
  int width = 1, height = 1, bits = 8, type = 0;  // type: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA
  std::string rows;                               // each begins with its filter, 0
  std::string chunks = {};                        // before the pixels
  bool interlaced = false;
};

inline std::string png_file(const PngParts& p) {
  const std::string header = big_endian(uint32_t(p.width), 4) + big_endian(uint32_t(p.height), 4) +
                             bytes_of({p.bits, p.type, 0, 0, p.interlaced});
  return "\x89PNG\r\n\x1A\n" + png_chunk("IHDR", header) + p.chunks + png_chunk("IDAT", deflated(p.rows, 15)) +
         png_chunk("IEND", "");
}

/// A grey PNG of 16 bits.
inline std::string png16(int width, int height, const std::vector<uint16_t>& values) {
  std::string rows;
  for (size_t i = 0; i < values.size(); ++i) {
    if (i % size_t(width) == 0) rows += '\0';
    rows += big_endian(values[i], 2);
  }
  return png_file({.width = width, .height = height, .bits = 16, .rows = rows});
}

/// The TIFF block of EXIF that says an orientation.
inline std::string exif(int orientation, bool little = false) {
  const auto number = [&](uint32_t value, int bytes) {
    const std::string big = big_endian(value, bytes);
    return little ? std::string(big.rbegin(), big.rend()) : big;
  };
  return (little ? "II" : "MM") + number(42, 2) + number(8, 4) + number(1, 2) + number(0x0112, 2) + number(3, 2) +
         number(1, 4) + number(uint32_t(orientation), 2) + number(0, 2) + number(0, 4);
}

// ---- JPEG -----------------------------------------------------------------------------------------------------------

inline std::string jpeg_segment(int marker, const std::string& body) {
  return bytes_of({0xFF, marker}) + big_endian(uint32_t(body.size() + 2), 2) + body;
}

/// The Huffman tables of jpeg_file(): DC codes of 4 bits for the sizes 0 to 11; the AC code "0" is the block's end.
inline std::string jpeg_tables() {
  std::string dc = bytes_of({0x00, 0, 0, 0, 12}) + std::string(12, '\0'),
              ac = bytes_of({0x10, 1}) + std::string(16, '\0');
  for (int size = 0; size < 12; ++size) dc += char(size);
  return jpeg_segment(0xC4, dc) + jpeg_segment(0xC4, ac);
}

struct JpegParts {
  int blocks_across = 1, blocks_down = 1;
  std::vector<int> values;    // of each block, in each component: 0 to 255; the value of a flat block
  int components = 1;         // values come block by block, with all components of a block together
  std::string segments = {};  // before the frame
  std::string tables = jpeg_tables();
  int frame = 0xC0;  // baseline; 0xC2: progressive, with the AC values in a scan for each component; 0xC3: lossless
};

/// A JPEG of flat blocks of 8x8 pixels; lossless, a value is a pixel. All quantisers are 8, so that a DC coefficient is
/// the value less 128.
inline std::string jpeg_file(const JpegParts& p) {
  std::string bits;
  const auto append = [&](int value, int count) {
    for (int i = count - 1; i >= 0; --i) bits += char('0' + (value >> i & 1));
  };
  const auto packed = [&] {
    while (bits.size() % 8) bits += '1';
    std::string data;
    for (size_t i = 0; i < bits.size(); i += 8) {
      data += char(std::stoi(bits.substr(i, 8), nullptr, 2));
      if (data.back() == '\xFF') data += '\0';
    }
    bits.clear();
    return data;
  };
  const bool progressive = p.frame == 0xC2, lossless = p.frame == 0xC3;
  std::vector<int> before(size_t(p.components), 0);
  for (size_t i = 0; i < p.values.size(); ++i) {
    int& last = before[i % before.size()];
    const int difference = p.values[i] - 128 - last;
    last += difference;
    int size = 0;
    while (std::abs(difference) >> size) ++size;
    append(size, 4);
    append(difference < 0 ? difference + (1 << size) - 1 : difference, size);
    if (!progressive && !lossless) append(0, 1);
  }
  std::string frame = big_endian(8, 1) + big_endian(uint32_t(8 * p.blocks_down), 2) +
                      big_endian(uint32_t(8 * p.blocks_across), 2) + bytes_of({p.components}),
              scan = bytes_of({p.components});
  for (int c = 1; c <= p.components; ++c) frame += bytes_of({c, 0x11, 0}), scan += bytes_of({c, 0});
  std::string file = "\xFF\xD8" + p.segments + jpeg_segment(0xDB, '\0' + std::string(64, 8)) +
                     jpeg_segment(p.frame, frame) + p.tables +
                     jpeg_segment(0xDA, scan + bytes_of({lossless, progressive || lossless ? 0 : 63, 0})) + packed();
  for (int c = 1; progressive && c <= p.components; ++c) {
    bits.append(size_t(p.blocks_across * p.blocks_down), '0');
    file += jpeg_segment(0xDA, bytes_of({1, c, 0, 1, 63, 0})) + packed();
  }
  return file + "\xFF\xD9";
}

}  // namespace gt
