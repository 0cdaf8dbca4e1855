// The chunks of a PNG file (https://www.w3.org/TR/png-3).
#include <zlib.h>

#include <span>

#include "core/check.h"
#include "gaze/image.h"
#include "gaze/picture_files.h"

namespace gt {

namespace {

constexpr size_t overhead = 12;  // of a chunk: length, type, checksum
constexpr int type_grey = 0, type_palette = 3;

struct Chunk {
  std::string_view type, body;
};

uint32_t checksum(std::string_view bytes) {
  return uint32_t(crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

std::string big_endian_bytes(uint32_t value) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += char(value >> shift);
  return out;
}

void append_chunk(std::string& png, std::string_view type, std::string_view body) {
  const size_t start = png.size() + 4;
  png += big_endian_bytes(uint32_t(body.size()));
  png += type;
  png += body;
  png += big_endian_bytes(checksum(std::string_view(png).substr(start)));
}

/// Takes a chunk off the front of `bytes`. Throws Error if it is cut short or its checksum is wrong.
Chunk take_chunk(const std::string& path, std::string_view& bytes) {
  if (bytes.size() < overhead || big_endian(bytes, 0, 4) > bytes.size() - overhead)
    fail(path, ": is truncated, the end of the image is missing");
  const size_t length = size_t(big_endian(bytes, 0, 4));
  const Chunk chunk{bytes.substr(4, 4), bytes.substr(8, length)};
  for (const char c : chunk.type)
    if ((c < 'A' || c > 'Z') && (c < 'a' || c > 'z')) fail(path, ": is damaged, the name of a chunk is not 4 letters");
  if (checksum(bytes.substr(4, 4 + length)) != big_endian(bytes, 8 + length, 4))
    fail(path, ": is damaged, the checksum of chunk ", chunk.type, " is wrong");
  bytes.remove_prefix(overhead + length);
  return chunk;
}

/// The bytes as zlib packs them.
std::string packed(const std::string& bytes) {
  uLongf size = compressBound(uLong(bytes.size()));
  std::string out(size, '\0');
  const int result =
      compress2(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(bytes.data()),
                uLong(bytes.size()), Z_DEFAULT_COMPRESSION);
  if (result != Z_OK) fail("expected memory to pack a PNG image of ", bytes.size(), " bytes, there is too little");
  out.resize(size);
  return out;
}

int channels_of(const std::string& path, int type, int bits) {
  const bool any = bits == 1 || bits == 2 || bits == 4, byte = bits == 8, word = bits == 16;
  if (type == type_grey && (any || byte || word)) return 1;
  if (type == type_palette && (any || byte)) return 1;
  if (byte || word) {
    if (type == 2) return 3;
    if (type == 4) return 2;
    if (type == 6) return 4;
  }
  fail(path, ": has colour type ", type, " with ", bits, " bits, expected a combination that PNG defines");
}

/// Reads the header into `file`, and returns the colour type.
int read_header(const std::string& path, const Chunk& chunk, const ReadOptions& options, PngFile& file) {
  if (chunk.type != "IHDR" || chunk.body.size() != 13) fail(path, ": is damaged, expected the chunk IHDR of 13 bytes");
  file.width = int64_t(big_endian(chunk.body, 0, 4)), file.height = int64_t(big_endian(chunk.body, 4, 4));
  check_size(path, file.height, file.width, options);
  file.bits = uint8_t(chunk.body[8]);
  const int type = uint8_t(chunk.body[9]), interlace = uint8_t(chunk.body[12]);
  file.channels = channels_of(path, type, file.bits);
  if (chunk.body[10] != 0 || chunk.body[11] != 0 || interlace > 1)
    fail(path, ": has an unknown compression, filter or interlace method");
  file.interlaced = interlace == 1;
  return type;
}

void read_palette(const std::string& path, std::string_view body, PngFile& file) {
  if (body.empty() || body.size() % 3 != 0 || body.size() > size_t(3) << file.bits || !file.palette.empty())
    fail(path, ": is damaged, its palette has ", body.size(), " bytes, expected 3 for each of at most ", 1 << file.bits,
         " colours");
  for (size_t i = 0; i < body.size(); i += 3)
    file.palette.push_back({uint8_t(body[i]), uint8_t(body[i + 1]), uint8_t(body[i + 2]), 255});
}

void read_transparency(const std::string& path, std::string_view body, int type, PngFile& file) {
  if (type == type_palette) {
    if (body.size() > file.palette.size())
      fail(path, ": is damaged, it has ", body.size(), " alpha values for ", file.palette.size(), " colours");
    for (size_t i = 0; i < body.size(); ++i) file.palette[i][3] = uint8_t(body[i]);
    return;
  }
  if (file.channels % 2 == 0 || body.size() != size_t(file.channels) * 2)
    fail(path, ": is damaged, its transparent colour has ", body.size(), " bytes");
  file.transparent.emplace();
  for (size_t i = 0; i < 3; ++i) (*file.transparent)[i] = uint16_t(big_endian(body, file.channels == 1 ? 0 : 2 * i, 2));
}

/// Throws Error if the pixels cannot fit in their packed bytes: deflate packs at most 1,032 to 1.
void check_packed(const std::string& path, const PngFile& file, size_t packed) {
  const uint64_t unpacked = uint64_t(file.height) * uint64_t(file.width) * uint64_t(file.channels * file.bits) / 8;
  if (unpacked / 1032 > packed)
    fail(path, ": is damaged, ", packed, " bytes cannot hold ", file.height, "x", file.width, " pixels");
}

/// The bytes of all rows with their filters, of a picture or of its 7 interlaced passes.
uint64_t unpacked_size(const PngFile& file) {
  struct Pass {
    int64_t x, y, across, down;  // first column and row, and steps
  };
  static constexpr Pass whole[] = {{0, 0, 1, 1}},
                        interlaced[] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
                                        {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};
  int64_t size = 0;
  for (const Pass& p : file.interlaced ? std::span<const Pass>(interlaced) : std::span<const Pass>(whole)) {
    const int64_t width = (file.width - p.x + p.across - 1) / p.across,
                  height = (file.height - p.y + p.down - 1) / p.down;
    if (width > 0 && height > 0) size += height * (1 + (width * file.channels * file.bits + 7) / 8);
  }
  return uint64_t(size);
}

}  // namespace

void check_png_pixels(const std::string& path, const PngFile& file) {
  z_stream stream = {};
  if (inflateInit(&stream) != Z_OK) fail(path, ": no memory to unpack the pixels");
  std::string_view chunks = std::string_view(file.essential).substr(png_start.size());
  std::array<Bytef, 1 << 14> unpacked;
  int result = Z_OK;
  while (!chunks.empty()) {
    const Chunk chunk = take_chunk(path, chunks);
    if (chunk.type != "IDAT") continue;
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(chunk.body.data()));
    stream.avail_in = uInt(chunk.body.size());
    do {
      stream.next_out = unpacked.data(), stream.avail_out = uInt(unpacked.size());
      result = inflate(&stream, Z_NO_FLUSH);
    } while (result == Z_OK && (stream.avail_in > 0 || stream.avail_out == 0));
  }
  const uint64_t got = stream.total_out, expected = unpacked_size(file);
  inflateEnd(&stream);
  if (result != Z_STREAM_END || got != expected)
    fail(path, ": is damaged, its pixels have ", got, result == Z_STREAM_END ? "" : " whole", " bytes, expected ",
         expected);
}

PngFile read_png_file(const std::string& path, std::string_view bytes, const ReadOptions& options) {
  PngFile file;
  file.essential = png_start;
  bytes.remove_prefix(png_start.size());
  const Chunk header = take_chunk(path, bytes);
  const int type = read_header(path, header, options, file);
  std::string grey_header(header.body);
  if (type == type_palette) grey_header[9] = type_grey;
  append_chunk(file.essential, "IHDR", grey_header);
  size_t packed = 0;
  for (std::string_view before = "IHDR";;) {
    const Chunk chunk = take_chunk(path, bytes);
    if (chunk.type == "IEND") break;
    const bool ancillary = chunk.type[0] & 0x20;
    if (chunk.type == "IDAT") {
      if (packed > 0 && before != "IDAT") fail(path, ": is damaged, its pixels are not in consecutive chunks");
      if (type == type_palette && file.palette.empty()) fail(path, ": is damaged, it has no palette before its pixels");
      packed += chunk.body.size();
      append_chunk(file.essential, "IDAT", chunk.body);
    } else if (chunk.type == "PLTE" && type == type_palette) {
      read_palette(path, chunk.body, file);
    } else if (chunk.type == "tRNS") {
      read_transparency(path, chunk.body, type, file);
    } else if (chunk.type == "eXIf") {
      file.orientation = exif_orientation(path, chunk.body);
    } else if (chunk.type == "acTL") {
      fail(path, ": is an animated PNG, expected one picture");
    } else if (!ancillary && chunk.type != "PLTE") {
      fail(path, ": is damaged or unsupported, it has a chunk '", chunk.type, "' that must be understood");
    }
    before = chunk.type;
  }
  if (packed == 0) fail(path, ": is damaged, it has no pixels (chunk IDAT)");
  check_packed(path, file, packed);
  append_chunk(file.essential, "IEND", "");
  return file;
}

std::string encode_png16(const std::vector<uint16_t>& values, int64_t height, int64_t width) {
  GT_CHECK(height > 0 && width > 0 && int64_t(values.size()) == height * width, "encode_png16: ", values.size(),
           " values for ", height, "x", width);
  std::string rows;
  rows.reserve(values.size() * 2 + size_t(height));
  for (int64_t y = 0; y < height; ++y) {
    rows += '\0';  // no filter
    for (int64_t x = 0; x < width; ++x) {
      const uint16_t value = values[size_t(y * width + x)];
      rows += char(value >> 8);
      rows += char(value & 0xFF);
    }
  }
  constexpr char grey_of_16_bits[] = {16, type_grey, 0, 0, 0};
  std::string png(png_start);
  append_chunk(
      png, "IHDR",
      big_endian_bytes(uint32_t(width)) + big_endian_bytes(uint32_t(height)) + std::string(grey_of_16_bits, 5));
  append_chunk(png, "IDAT", packed(rows));
  append_chunk(png, "IEND", "");
  return png;
}

}  // namespace gt
