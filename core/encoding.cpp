#include "core/encoding.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string_view>

#include "core/check.h"
#include "core/text.h"

namespace gt {

namespace {

constexpr std::string_view utf8_mark = "\xEF\xBB\xBF", utf16_little = "\xFF\xFE", utf16_big = "\xFE\xFF";

/// The line of an offset, from 1. Line ends are LF, CRLF or CR.
int64_t line_of(std::string_view text, size_t at) {
  int64_t line = 1;
  for (size_t i = 0; i < std::min(at, text.size()); ++i)
    line += text[i] == '\n' ? i == 0 || text[i - 1] != '\r' : text[i] == '\r';
  return line;
}

void append_utf8(std::string& out, uint32_t c) {
  if (c < 0x80) {
    out += char(c);
  } else if (c < 0x800) {
    out += {char(0xC0 | c >> 6), char(0x80 | (c & 0x3F))};
  } else if (c < 0x10000) {
    out += {char(0xE0 | c >> 12), char(0x80 | (c >> 6 & 0x3F)), char(0x80 | (c & 0x3F))};
  } else {
    out += {char(0xF0 | c >> 18), char(0x80 | (c >> 12 & 0x3F)), char(0x80 | (c >> 6 & 0x3F)), char(0x80 | (c & 0x3F))};
  }
}

std::string from_utf16(std::string_view bytes, bool big_endian, const std::string& path) {
  const auto unit = [&](size_t at) -> uint32_t {
    const uint32_t a = uint8_t(bytes[at]), b = uint8_t(bytes[at + 1]);
    return big_endian ? a << 8 | b : b << 8 | a;
  };
  std::string out;
  for (size_t at = 0; at + 1 < bytes.size(); at += 2) {
    uint32_t c = unit(at);
    if (c >= 0xD800 && c < 0xE000) {  // a surrogate pair
      const uint32_t low = at + 3 < bytes.size() ? unit(at + 2) : 0;
      if (c >= 0xDC00 || low < 0xDC00 || low >= 0xE000)
        fail(path, ":", line_of(out, out.size()), ": expected UTF-16 text, got half of a surrogate pair");
      c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
      at += 2;
    }
    append_utf8(out, c);
  }
  if (bytes.size() % 2)
    fail(path, ":", line_of(out, out.size()), ": expected UTF-16 text, the file ends within a character");
  return out;
}

std::string from_latin1(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) append_utf8(out, uint8_t(c));
  return out;
}

/// The length of the UTF-8 character at an offset; 0 if the bytes there are none.
size_t utf8_length(std::string_view s, size_t at) {
  const auto byte = [&](size_t i) { return at + i < s.size() ? uint8_t(s[at + i]) : uint8_t(0); };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4) return 0;
  for (size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xC0) != 0x80) return 0;
  const uint8_t second = byte(1);
  const bool overlong = (first == 0xE0 && second < 0xA0) || (first == 0xF0 && second < 0x90);
  const bool surrogate = first == 0xED && second >= 0xA0, beyond = first == 0xF4 && second >= 0x90;
  return overlong || surrogate || beyond ? 0 : length;
}

void check_utf8(std::string_view text, const std::string& path) {
  for (size_t at = 0; at < text.size();) {
    const size_t length = utf8_length(text, at);
    if (length == 0) {
      char byte[8];
      std::snprintf(byte, sizeof byte, "0x%02X", unsigned(uint8_t(text[at])));
      fail(path, ":", line_of(text, at), ": expected UTF-8 or UTF-16 text, got the byte ", byte,
           "; save the file as UTF-8, or give gradtrack fixations --encoding latin1");
    }
    at += length;
  }
}

/// The byte order of UTF-16 without a mark, noticed by the zeros of its ASCII characters: "little", "big" or "".
std::string_view unmarked_utf16(std::string_view bytes) {
  const size_t pairs = std::min<size_t>(bytes.size(), 4096) / 2;
  size_t zeros[2] = {0, 0};
  for (size_t i = 0; i < 2 * pairs; ++i) zeros[i % 2] += bytes[i] == '\0';
  if (2 * zeros[1] > pairs && 4 * zeros[0] < pairs) return "little";
  if (2 * zeros[0] > pairs && 4 * zeros[1] < pairs) return "big";
  return "";
}

std::string with_line_feeds(const std::string& text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r')
      out += text[i];
    else if (i + 1 == text.size() || text[i + 1] != '\n')
      out += '\n';
  }
  return out;
}

std::string to_utf8(const std::string& bytes, const std::string& path, const std::string& encoding) {
  const std::string_view all = bytes;
  if (encoding == "latin1") return from_latin1(all);
  if (all.starts_with(utf8_mark)) return bytes.substr(utf8_mark.size());
  if (all.starts_with(utf16_little) || all.starts_with(utf16_big))
    return from_utf16(all.substr(2), all.starts_with(utf16_big), path);
  const std::string_view order = unmarked_utf16(all);
  return order.empty() ? bytes : from_utf16(all, order == "big", path);
}

/// Whether no byte is a control character of Latin-1, other than tabs and line ends.
bool is_printable_latin1(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) {
    const uint8_t byte = uint8_t(c);
    return byte >= 0xA0 || (byte >= 0x20 && byte < 0x7F) || c == '\t' || c == '\n' || c == '\r';
  });
}

}  // namespace

std::string decode_text(const std::string& bytes, const std::string& path, const std::string& encoding,
                        bool* assumed_latin1) {
  if (encoding != "auto" && encoding != "latin1")
    fail(path, ": expected the encoding auto or latin1, got '", encoding, "'");
  std::string text = to_utf8(bytes, path, encoding);
  if (encoding == "auto" && !is_utf8(text) && is_printable_latin1(bytes)) {
    text = from_latin1(bytes);
    if (assumed_latin1 != nullptr) *assumed_latin1 = true;
  }
  check_utf8(text, path);
  if (const size_t zero = text.find('\0'); zero != text.npos)
    fail(path, ":", line_of(text, zero), ": expected text, got a zero byte");
  return with_line_feeds(text);
}

}  // namespace gt
