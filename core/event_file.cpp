#include "core/event_file.h"

#include <array>
#include <bit>

namespace gt {
namespace {

std::string little_endian(uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += char(value >> (8 * i) & 0xFF);
  return out;
}

// ---- Records --------------------------------------------------------------------------------------------------------

constexpr std::array<uint32_t, 256> crc_table = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
    table[i] = crc;
  }
  return table;
}();

/// A record's checksum is masked, since a checksum of bytes that hold their own checksum is weak.
std::string masked_crc(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return little_endian(std::rotr(crc, 15) + 0xA282EAD8u, 4);
}

std::string record(const std::string& data) {
  const std::string length = little_endian(data.size(), 8);
  return length + masked_crc(length) + data + masked_crc(data);
}

// ---- Protocol buffers -----------------------------------------------------------------------------------------------

std::string varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += char(value | 0x80);
  return out + char(value);
}

enum WireType { whole = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

std::string key(int field, WireType type) { return varint(uint64_t(field) << 3 | uint64_t(type)); }

std::string whole_field(int field, int64_t value) { return key(field, whole) + varint(uint64_t(value)); }
std::string double_field(int field, double value) {
  return key(field, fixed64) + little_endian(std::bit_cast<uint64_t>(value), 8);
}
std::string float_field(int field, double value) {
  return key(field, fixed32) + little_endian(std::bit_cast<uint32_t>(float(value)), 4);
}
std::string bytes_field(int field, const std::string& value) {
  return key(field, bytes) + varint(value.size()) + value;
}

// ---- Messages -------------------------------------------------------------------------------------------------------

/// Event: wall_time = 1, step = 2, and what happened.
std::string event(double wall_time, int64_t step, const std::string& what) {
  return record(double_field(1, wall_time) + (step != 0 ? whole_field(2, step) : "") + what);
}

/// Event.summary = 5, Summary.value = 1, Summary.Value.tag = 1
std::string summary_value(const std::string& tag, const std::string& value) {
  return bytes_field(1, bytes_field(1, tag) + value);
}

}  // namespace

uint32_t crc32c(std::string_view data) {
  uint32_t crc = ~0u;
  for (const char c : data) crc = crc >> 8 ^ crc_table[(crc ^ uint8_t(c)) & 0xFF];
  return ~crc;
}

std::string event_header(double wall_time) {
  return event(wall_time, 0, bytes_field(3, "brain.Event:2"));  // Event.file_version = 3
}

std::string event_restart(double wall_time, int64_t step) {
  constexpr int64_t start = 1;                                           // SessionLog.SessionStatus.START
  return event(wall_time, step, bytes_field(7, whole_field(1, start)));  // Event.session_log = 7
}

std::string event_scalars(double wall_time, int64_t step, const EventScalars& scalars) {
  std::string values;
  for (const auto& [tag, value] : scalars) values += summary_value(tag, float_field(2, value));  // simple_value = 2
  return event(wall_time, step, bytes_field(5, values));
}

std::string event_image(double wall_time, int64_t step, const EventImage& image) {
  // Summary.Value.image = 4: height = 1, width = 2, colorspace = 3, encoded_image_string = 4
  const std::string picture = whole_field(1, image.height) + whole_field(2, image.width) +
                              whole_field(3, image.channels) + bytes_field(4, image.png);
  return event(wall_time, step, bytes_field(5, summary_value(image.tag, bytes_field(4, picture))));
}

}  // namespace gt
