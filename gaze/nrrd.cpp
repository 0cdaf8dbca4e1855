#include "gaze/nrrd.h"

#include <zlib.h>

#include <bit>
#include <cstring>
#include <map>
#include <sstream>
#include <string_view>

#include "core/check.h"
#include "core/io.h"

namespace gt {

namespace {

constexpr int64_t max_side = 1 << 14;

struct Header {
  std::map<std::string, std::string> fields;
  size_t size = 0;  // bytes before the data
};

Header read_header(const std::string& path, const std::string& bytes) {
  if (!bytes.starts_with("NRRD000")) fail(path, ": is not an NRRD file");
  Header header;
  for (int line = 1;; ++line) {
    const size_t end = bytes.find('\n', header.size);
    if (end == bytes.npos) fail(path, ":", line, ": the header has no end, expected a blank line before the data");
    const std::string_view text = trim_blanks(std::string_view(bytes).substr(header.size, end - header.size));
    header.size = end + 1;
    if (text.empty()) return header;
    const size_t colon = text.find(": ");
    if (line == 1 || text[0] == '#' || text.find(":=") < colon) continue;  // magic, comment, key and value
    if (colon == text.npos) fail(path, ":", line, ": expected 'field: value', got '", text, "'");
    header.fields[std::string(text.substr(0, colon))] = trim_blanks(text.substr(colon + 2));
  }
}

/// A field of the header. Throws Error if there is none.
const std::string& field(const std::string& path, const Header& header, const std::string& name) {
  const auto at = header.fields.find(name);
  if (at == header.fields.end()) fail(path, ": the header has no field '", name, "'");
  return at->second;
}

struct Type {
  size_t bytes;
  bool is_signed;
};

Type type_named(const std::string& path, const std::string& word) {
  static const std::map<std::string, Type> types = {{"signed char", {1, true}},
                                                    {"int8", {1, true}},
                                                    {"int8_t", {1, true}},
                                                    {"uchar", {1, false}},
                                                    {"unsigned char", {1, false}},
                                                    {"uint8", {1, false}},
                                                    {"uint8_t", {1, false}},
                                                    {"short", {2, true}},
                                                    {"short int", {2, true}},
                                                    {"signed short", {2, true}},
                                                    {"int16", {2, true}},
                                                    {"int16_t", {2, true}},
                                                    {"ushort", {2, false}},
                                                    {"unsigned short", {2, false}},
                                                    {"uint16", {2, false}},
                                                    {"uint16_t", {2, false}},
                                                    {"int", {4, true}},
                                                    {"signed int", {4, true}},
                                                    {"int32", {4, true}},
                                                    {"int32_t", {4, true}},
                                                    {"uint", {4, false}},
                                                    {"unsigned int", {4, false}},
                                                    {"uint32", {4, false}},
                                                    {"uint32_t", {4, false}}};
  const auto at = types.find(word);
  if (at == types.end()) fail(path, ": field 'type': expected integers of up to 32 bits, got '", word, "'");
  return at->second;
}

/// Unpacks data to `size` bytes. Throws Error if they are fewer or damaged.
std::string gunzip(const std::string& path, std::string_view packed, size_t size) {
  std::string out(size, '\0');
  z_stream stream = {};
  constexpr int any_header = 15 + 32;  // gzip or zlib
  if (inflateInit2(&stream, any_header) != Z_OK) fail(path, ": no memory to unpack the data");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = uInt(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = uInt(size);
  const int result = inflate(&stream, Z_FINISH);
  const size_t got = stream.total_out;
  inflateEnd(&stream);
  if (got != size || (result != Z_STREAM_END && result != Z_OK && result != Z_BUF_ERROR))
    fail(path, ": the data are damaged: expected ", size, " bytes unpacked, got ", got);
  return out;
}

/// The value at byte `at`.
int32_t value_at(std::string_view bytes, size_t at, Type type, bool big_endian) {
  uint32_t value = 0;
  for (size_t i = 0; i < type.bytes; ++i) {
    const size_t from = big_endian ? at + i : at + type.bytes - 1 - i;
    value = value << 8 | uint8_t(bytes[from]);
  }
  const uint32_t sign = 1u << (8 * type.bytes - 1);
  if (type.is_signed && type.bytes < 4 && (value & sign)) value |= ~(sign * 2 - 1);
  return int32_t(value);
}

}  // namespace

Volume read_nrrd(const std::string& path) {
  const std::string bytes = read_file(path);
  const Header header = read_header(path, bytes);
  if (header.fields.count("data file") || header.fields.count("datafile"))
    fail(path, ": the data are in another file, expected them after the header");
  if (field(path, header, "dimension") != "3")
    fail(path, ": field 'dimension': expected 3, got ", field(path, header, "dimension"));
  Volume volume;
  std::istringstream sizes(field(path, header, "sizes"));
  sizes >> volume.width >> volume.height >> volume.depth;
  for (const int64_t side : {volume.width, volume.height, volume.depth})
    if (!sizes || side < 1 || side > max_side)
      fail(path, ": field 'sizes': expected three numbers from 1 to ", max_side, ", got '",
           field(path, header, "sizes"), "'");
  const Type type = type_named(path, field(path, header, "type"));
  const std::string& encoding = field(path, header, "encoding");
  if (encoding != "raw" && encoding != "gzip" && encoding != "gz")
    fail(path, ": field 'encoding': expected raw or gzip, got '", encoding, "'");
  const bool big_endian = type.bytes > 1 && field(path, header, "endian") == "big";

  const size_t count = size_t(volume.width * volume.height * volume.depth), size = count * type.bytes;
  const std::string_view stored = std::string_view(bytes).substr(header.size);
  if (size > UINT32_MAX || stored.size() > UINT32_MAX) fail(path, ": is larger than 4 GiB");
  if (encoding == "raw" && stored.size() < size)
    fail(path, ": is truncated, expected ", size, " bytes of data, got ", stored.size());
  const std::string unpacked = encoding == "raw" ? "" : gunzip(path, stored, size);
  const std::string_view data = encoding == "raw" ? stored : unpacked;
  volume.values.resize(count);
  for (size_t i = 0; i < count; ++i) volume.values[i] = value_at(data, i * type.bytes, type, big_endian);
  return volume;
}

}  // namespace gt
