#include "gaze/dicom_file.h"

#include <zlib.h>

#include <algorithm>
#include <vector>

#include "core/check.h"

namespace gt {
namespace {

constexpr size_t max_depth = 64;  // sequences and items inside of each other

/// A number of 2 or 4 bytes.
uint32_t number_at(std::string_view bytes, size_t at, size_t count, bool big_endian) {
  uint32_t value = 0;
  for (size_t i = 0; i < count; ++i) value = value << 8 | uint8_t(bytes[at + (big_endian ? i : count - 1 - i)]);
  return value;
}

/// How the elements of a data set are written.
struct Syntax {
  bool explicit_types = true, big_endian = false, deflated = false;
};

/// The header of an element.
struct Element {
  uint32_t tag = 0, length = 0;  // length 0xFFFFFFFF: up to a delimiter
  bool is_sequence = false;
  size_t content = 0;  // its place
};

constexpr uint32_t undefined = 0xFFFFFFFF, item = 0xFFFEE000, item_end = 0xFFFEE00D, sequence_end = 0xFFFEE0DD,
                   pixel_data = 0x7FE00010;

/// The element at a place, or none if the bytes end.
bool read_element(std::string_view bytes, size_t at, const Syntax& syntax, Element& e) {
  if (at + 8 > bytes.size()) return false;
  const auto number = [&](size_t place, size_t count) { return number_at(bytes, place, count, syntax.big_endian); };
  e.tag = number(at, 2) << 16 | number(at + 2, 2);
  const std::string_view type = bytes.substr(at + 4, 2);
  const bool bare = e.tag == item || e.tag == item_end || e.tag == sequence_end;
  if (bare || !syntax.explicit_types) {
    e.length = number(at + 4, 4), e.content = at + 8;
    e.is_sequence =
        !bare && (e.length == undefined || (e.length >= 8 && e.content + 4 <= bytes.size() &&
                                            number(e.content, 2) == 0xFFFE && number(e.content + 2, 2) == 0xE000));
    return true;
  }
  constexpr std::string_view long_types[] = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ",
                                             "SV", "UC", "UN", "UR", "UT", "UV"};
  const bool is_long = std::find(std::begin(long_types), std::end(long_types), type) != std::end(long_types);
  if (is_long && at + 12 > bytes.size()) return false;
  e.length = is_long ? number(at + 8, 4) : number(at + 6, 2);
  e.content = at + (is_long ? 12 : 8);
  e.is_sequence = type == "SQ" || e.length == undefined;
  return true;
}

/// Throws Error if sequences are nested too deeply. `at` is the place of the first element.
void check_depth(const std::string& path, std::string_view bytes, size_t at, const Syntax& syntax) {
  std::vector<size_t> ends;  // of the open sequences and items; npos: up to a delimiter
  for (Element e; read_element(bytes, at, syntax, e);) {
    at = e.content;
    if (e.tag == pixel_data && ends.empty()) return;
    if (e.tag == item_end || e.tag == sequence_end) {
      if (!ends.empty()) ends.pop_back();
    } else if (e.tag == item || e.is_sequence) {
      ends.push_back(e.length == undefined ? bytes.npos : at + e.length);
      if (ends.size() > 2 * max_depth)
        fail(path, ": has more than ", max_depth, " sequences inside of each other, expected fewer");
    } else {
      at += e.length;
    }
    while (!ends.empty() && at >= ends.back()) ends.pop_back();
  }
}

/// The inflated bytes. Throws Error if they are more than `limit`.
std::string inflated(const std::string& path, std::string_view bytes, size_t limit) {
  z_stream stream = {};
  inflateInit2(&stream, -MAX_WBITS);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = uInt(bytes.size());
  std::string out;
  std::vector<char> block(1 << 16);
  for (int status = Z_OK; status == Z_OK;) {
    stream.next_out = reinterpret_cast<Bytef*>(block.data());
    stream.avail_out = uInt(block.size());
    status = inflate(&stream, Z_NO_FLUSH);
    const size_t got = block.size() - stream.avail_out;
    if (out.size() + got > limit) {
      inflateEnd(&stream);
      fail(path, ": is deflated and grows to over ", limit, " bytes, expected an image within data.max_pixels");
    }
    out.append(block.data(), got);
    if (got == 0 && stream.avail_in == 0) break;
  }
  inflateEnd(&stream);
  return out;
}

/// The syntax that the file's header names, or that a file without header seems to have; and the place where the data
/// set begins.
std::pair<Syntax, size_t> syntax_of(std::string_view bytes) {
  constexpr size_t preamble = 128;
  constexpr uint32_t transfer_syntax = 0x00020010;
  const bool has_preamble = bytes.size() > preamble + 4 && bytes.substr(preamble, 4) == "DICM";
  size_t at = has_preamble ? preamble + 4 : 0;
  std::string uid;
  for (Element e; read_element(bytes, at, {}, e) && e.tag >> 16 == 2;) {
    if (e.tag == transfer_syntax && e.content < bytes.size())
      uid = std::string(bytes.substr(e.content, std::min<size_t>(e.length, 64)));
    if (e.length > bytes.size() - e.content) break;
    at = e.content + e.length;
  }
  while (!uid.empty() && (uid.back() == '\0' || uid.back() == ' ')) uid.pop_back();
  Syntax syntax;
  const auto is_letter = [&](size_t i) { return i < bytes.size() && bytes[i] >= 'A' && bytes[i] <= 'Z'; };
  syntax.explicit_types = uid.empty() ? is_letter(at + 4) && is_letter(at + 5) : uid != "1.2.840.10008.1.2";
  syntax.big_endian =
      uid == "1.2.840.10008.1.2.2" || (uid.empty() && bytes.size() > at + 1 && bytes[at] == 0 && bytes[at + 1] != 0);
  syntax.deflated = uid == "1.2.840.10008.1.2.1.99";
  return {syntax, at};
}

}  // namespace

void check_dicom_structure(const std::string& path, std::string_view bytes, int64_t max_pixels) {
  const auto [syntax, at] = syntax_of(bytes);
  if (!syntax.deflated) return check_depth(path, bytes, at, syntax);
  constexpr size_t bytes_of_pixel = 4, other_bytes = 16 << 20;
  const std::string data =
      inflated(path, bytes.substr(std::min(at, bytes.size())), size_t(max_pixels) * bytes_of_pixel + other_bytes);
  check_depth(path, data, 0, syntax);
}

void check_rle(const std::string& path, std::string_view bytes, int64_t pixels, int planes) {
  constexpr size_t header = 64;  // the number of segments and the places of 15
  const auto number = [&](size_t i) { return size_t(number_at(bytes, 4 * i, 4, false)); };
  if (bytes.size() < header || number(0) != size_t(planes))
    fail(path, ": is damaged, its RLE data have ", bytes.size() < header ? 0 : number(0), " segments, expected ",
         planes);
  for (size_t s = 0; s < size_t(planes); ++s) {
    const size_t end = s + 1 < size_t(planes) ? number(s + 2) : bytes.size();
    size_t at = number(s + 1);
    if (at < header || end > bytes.size() || at > end)
      fail(path, ": is damaged, segment ", s + 1, " of its RLE data lies at ", at, " of ", bytes.size(), " bytes");
    int64_t got = 0;
    while (got < pixels && at < end) {
      const int run = int8_t(bytes[at]);  // 0 and above: that many more bytes follow as they are; below: a byte repeats
      if (run != -128) got += run >= 0 ? run + 1 : 1 - run;
      at += run >= 0 ? size_t(run) + 2 : run == -128 ? 1 : 2;
    }
    if (got != pixels || at > end || end - at > 1)  // segments have an even length
      fail(path, ": is damaged, segment ", s + 1, " of its RLE data does not hold ", pixels, " bytes");
  }
}

}  // namespace gt
