#include "gaze/nrrd.h"

#include <cctype>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>
#include <string_view>

#include "core/check.h"
#include "core/io.h"
#include "gaze/gunzip.h"

namespace gt {

namespace {

namespace fs = std::filesystem;

constexpr int64_t max_side = 1 << 14, max_values = 500'000'000;

std::string lower(std::string_view s) {
  std::string out(s);
  for (char& c : out) c = char(std::tolower(uint8_t(c)));
  return out;
}

// ---- Header ---------------------------------------------------------------------------------------------------------

/// Fields that are read, and fields that do not change what a label volume means.
const std::set<std::string>
    read_fields = {"dimension", "sizes",     "type",      "encoding",  "endian",          "space",
                   "kinds",     "byte skip", "line skip", "data file", "space directions"},
    harmless_fields = {
        "content",      "number",      "spacings",     "thicknesses",     "axis mins",        "axis maxs", "centers",
        "centerings",   "labels",      "units",        "old min",         "old max",          "min",       "max",
        "sample units", "space units", "space origin", "space dimension", "measurement frame"};

/// The name of a field as the format writes it, without regard to letters and to the blank inside.
std::string canonical(std::string_view name) {
  static const std::map<std::string, std::string> spellings = [] {
    std::map<std::string, std::string> all;
    for (const auto* fields : {&read_fields, &harmless_fields})
      for (const std::string& field : *fields) {
        std::string joined;
        for (const char c : field)
          if (c != ' ') joined += c;
        all[joined] = all[field] = field;
      }
    return all;
  }();
  const auto at = spellings.find(lower(name));
  return at == spellings.end() ? "" : at->second;
}

struct Field {
  std::string value;
  int line = 0;
};

struct Header {
  std::string path;
  std::map<std::string, Field> fields;
  size_t size = 0;  // bytes before the data

  bool has(const std::string& name) const { return fields.count(name) > 0; }
  /// The value of a field as written. Throws Error if there is none.
  const std::string& value(const std::string& name) const {
    const auto at = fields.find(name);
    if (at == fields.end()) fail(path, ": the header has no field '", name, "'");
    return at->second.value;
  }
  /// The value of a field whose letters may have any case.
  std::string word(const std::string& name) const { return lower(value(name)); }
  template <class... Parts>
  [[noreturn]] void refuse(const std::string& name, const Parts&... parts) const {
    fail(path, ":", fields.at(name).line, ": field '", name, "': ", parts..., ", got '", value(name), "'");
  }
};

void add_field(Header& header, std::string_view text, int line) {
  const size_t colon = text.find(": ");
  // An empty value has no blank after its colon.
  const size_t end = colon == text.npos && text.ends_with(":") ? text.size() - 1 : colon;
  if (end == text.npos) fail(header.path, ":", line, ": expected 'field: value', got '", text, "'");
  const std::string name = canonical(trim_blanks(text.substr(0, end)));
  if (name.empty())
    fail(header.path, ":", line, ": field '", trim_blanks(text.substr(0, end)),
         "' is not known, expected a field that can be read or ignored safely");
  const auto [at, added] = header.fields.emplace(name, Field{std::string(trim_blanks(text.substr(end + 1))), line});
  if (!added) fail(header.path, ":", line, ": field '", name, "' is already on line ", at->second.line);
}

Header read_header(const std::string& path, const std::string& bytes) {
  if (!bytes.starts_with("NRRD000")) fail(path, ": is not an NRRD file");
  Header header{path, {}, 0};
  for (int line = 1;; ++line) {
    const size_t found = bytes.find('\n', header.size), end = std::min(found, bytes.size());
    if (header.size >= bytes.size()) {
      if (header.has("data file")) return header;
      fail(path, ":", line, ": the header has no end, expected a blank line before the data");
    }
    const std::string_view text = trim_blanks(std::string_view(bytes).substr(header.size, end - header.size));
    header.size = std::min(end + 1, bytes.size());
    if (text.empty()) return header;
    const bool is_key_and_value = text.find(":=") < text.find(": ");
    if (line > 1 && text[0] != '#' && !is_key_and_value) add_field(header, text, line);
  }
}

// ---- Fields ---------------------------------------------------------------------------------------------------------

struct Type {
  size_t bytes;
  bool is_signed;
};

Type type_of(const Header& header) {
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
                                                    {"signed short int", {2, true}},
                                                    {"int16", {2, true}},
                                                    {"int16_t", {2, true}},
                                                    {"ushort", {2, false}},
                                                    {"unsigned short", {2, false}},
                                                    {"unsigned short int", {2, false}},
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
  const auto at = types.find(header.word("type"));
  if (at == types.end()) header.refuse("type", "expected integers of up to 32 bits");
  return at->second;
}

void read_sizes(const Header& header, Volume& volume) {
  if (header.value("dimension") != "3") header.refuse("dimension", "expected 3");
  std::istringstream sizes(header.value("sizes"));
  sizes >> volume.width >> volume.height >> volume.depth;
  const bool whole = sizes && (sizes >> std::ws).eof();
  for (const int64_t side : {volume.width, volume.height, volume.depth})
    if (!whole || side < 1 || side > max_side) header.refuse("sizes", "expected three numbers from 1 to ", max_side);
  if (volume.width * volume.height * volume.depth > max_values)
    header.refuse("sizes", "expected at most ", max_values, " values");
}

/// Throws Error if an axis counts components, not positions.
void check_kinds(const Header& header) {
  if (!header.has("kinds")) return;
  std::istringstream kinds(header.word("kinds"));
  int count = 0;
  for (std::string kind; kinds >> kind; ++count)
    if (kind != "domain" && kind != "space" && kind != "???" && kind != "none")
      header.refuse("kinds", "expected domain or space for each axis");
  if (count != 3) header.refuse("kinds", "expected one for each of 3 axes");
}

/// A number of lines or bytes to skip.
int64_t skip(const Header& header, const std::string& name, int64_t min) {
  if (!header.has(name)) return 0;
  std::istringstream in(header.value(name));
  int64_t count = 0;
  if (!(in >> count) || !(in >> std::ws).eof() || count < min) header.refuse(name, "expected a number from ", min);
  return count;
}

/// The factors by which a space's axes become left, back, head.
std::array<double, 3> signs_of(const Header& header) {
  if (!header.has("space")) fail(header.path, ": the header has 'space directions' without 'space'");
  const std::string space = header.word("space");
  if (space == "left-posterior-superior" || space == "lps") return {1, 1, 1};
  if (space == "right-anterior-superior" || space == "ras") return {-1, -1, 1};
  if (space == "left-anterior-superior" || space == "las") return {1, -1, 1};
  header.refuse("space", "expected left-posterior-superior, right-anterior-superior or left-anterior-superior");
}

void read_directions(const Header& header, Volume& volume) {
  const std::string name = "space directions";
  if (!header.has(name)) return;
  const std::array<double, 3> signs = signs_of(header);
  std::istringstream in(header.value(name));
  volume.directions.emplace();
  for (auto& direction : *volume.directions) {
    double length = 0;
    for (size_t i = 0; i < 3; ++i) {
      char before = 0;
      if (!(in >> before >> direction[i]) || before != (i == 0 ? '(' : ',') || !std::isfinite(direction[i]))
        header.refuse(name, "expected three vectors (x,y,z)");
      length += direction[i] * direction[i];
      direction[i] *= signs[i];
    }
    char after = 0;
    if (!(in >> after) || after != ')' || length == 0) header.refuse(name, "expected three vectors (x,y,z)");
  }
  if (!(in >> std::ws).eof()) header.refuse(name, "expected three vectors (x,y,z)");
}

// ---- Data -----------------------------------------------------------------------------------------------------------

/// The data, and the path of the file that holds them.
struct Stored {
  std::string path;
  std::string_view data;
};

/// Finds the data: after the header in `bytes`, or in the header's data file, which `other` keeps.
Stored stored_data(const Header& header, const std::string& bytes, std::string& other) {
  Stored stored{header.path, std::string_view(bytes).substr(header.size)};
  if (header.has("data file")) {
    const std::string& name = header.value("data file");
    if (lower(name).starts_with("list") || name.find('%') != name.npos)
      header.refuse("data file", "expected one file, not several");
    stored.path = (fs::path(header.path).parent_path() / name).string();
    std::error_code error;
    if (!fs::is_regular_file(stored.path, error)) header.refuse("data file", "there is no file ", stored.path);
    other = read_file(stored.path);
    stored.data = other;
  }
  for (int64_t lines = skip(header, "line skip", 0); lines > 0; --lines) {
    const size_t end = stored.data.find('\n');
    if (end == stored.data.npos) header.refuse("line skip", "the data have fewer lines");
    stored.data.remove_prefix(end + 1);
  }
  return stored;
}

/// The `size` bytes of the values. `unpacked` keeps them if they are packed.
std::string_view plain_data(const Header& header, const Stored& stored, size_t size, std::string& unpacked) {
  const std::string encoding = header.word("encoding");
  const bool raw = encoding == "raw";
  if (!raw && encoding != "gzip" && encoding != "gz") header.refuse("encoding", "expected raw or gzip");
  const int64_t before = skip(header, "byte skip", raw ? -1 : 0);
  if (before > max_values) header.refuse("byte skip", "expected at most ", max_values);
  std::string_view data = stored.data;
  if (!raw) {
    unpacked = gunzip(stored.path, data, size_t(before) + size);
    return std::string_view(unpacked).substr(size_t(before));
  }
  const size_t skipped = before >= 0 ? size_t(before) : data.size() - std::min(data.size(), size);  // -1: up to the end
  if (data.size() < skipped + size)
    fail(stored.path, ": is truncated, expected ", skipped + size, " bytes of data, got ", data.size());
  if (data.size() > skipped + size)
    fail(stored.path, ": has ", data.size(), " bytes of data, expected ", skipped + size, " by the sizes");
  return data.substr(skipped);
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

bool is_big_endian(const Header& header, Type type) {
  if (type.bytes == 1) return false;
  const std::string endian = header.word("endian");
  if (endian != "big" && endian != "little") header.refuse("endian", "expected big or little");
  return endian == "big";
}

}  // namespace

Volume read_nrrd(const std::string& path) {
  const std::string bytes = read_file(path);
  const Header header = read_header(path, bytes);
  Volume volume;
  read_sizes(header, volume);
  check_kinds(header);
  read_directions(header, volume);
  const Type type = type_of(header);
  const bool big_endian = is_big_endian(header, type);
  const size_t count = size_t(volume.width * volume.height * volume.depth);
  std::string other, unpacked;
  const Stored stored = stored_data(header, bytes, other);
  const std::string_view data = plain_data(header, stored, count * type.bytes, unpacked);
  volume.values.resize(count);
  for (size_t i = 0; i < count; ++i) {
    volume.values[i] = value_at(data, i * type.bytes, type, big_endian);
    if (!type.is_signed && volume.values[i] < 0)
      fail(stored.path, ": has a value of ", uint32_t(volume.values[i]), ", expected less than 2^31");
  }
  return volume;
}

}  // namespace gt
