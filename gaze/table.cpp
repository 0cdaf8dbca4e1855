#include "gaze/table.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>

#include "core/io.h"

namespace gt {

namespace {

constexpr std::string_view utf8_mark = "\xEF\xBB\xBF", utf16_little = "\xFF\xFE", utf16_big = "\xFE\xFF";

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

std::string from_utf16(std::string_view bytes, bool big_endian) {
  const auto unit = [&](size_t at) {
    const uint32_t a = uint8_t(bytes[at]), b = uint8_t(bytes[at + 1]);
    return big_endian ? a << 8 | b : b << 8 | a;
  };
  std::string out;
  for (size_t at = 0; at + 1 < bytes.size(); at += 2) {
    uint32_t c = unit(at);
    if (c >= 0xD800 && c < 0xDC00 && at + 3 < bytes.size()) {  // the first half of a surrogate pair
      c = 0x10000 + ((c - 0xD800) << 10) + ((unit(at + 2) - 0xDC00) & 0x3FF);
      at += 2;
    }
    append_utf8(out, c);
  }
  return out;
}

std::string read_text(const std::string& path) {
  std::string bytes = read_file(path);
  if (bytes.starts_with(utf8_mark)) return bytes.substr(utf8_mark.size());
  if (bytes.starts_with(utf16_little) || bytes.starts_with(utf16_big))
    return from_utf16(std::string_view(bytes).substr(2), bytes.starts_with(utf16_big));
  return bytes;
}

std::string lower(std::string_view s) {
  std::string out(s);
  for (char& c : out) c = char(std::tolower(uint8_t(c)));
  return out;
}

/// The line that begins at an offset, without its end.
std::string_view line_at(std::string_view text, size_t at) { return text.substr(at, text.find('\n', at) - at); }

/// Splits "Gaze event duration [ms]" into name and unit. "(MCSnorm)" and "[MCS norm]" give one unit.
Table::Column column_of(const std::string& label) {
  Table::Column column{label, label, ""};
  const size_t open = label.find_first_of("[(");
  if (open == label.npos || open == 0 || !(label.ends_with(']') || label.ends_with(')'))) return column;
  column.name = trim_blanks(std::string_view(label).substr(0, open));
  column.unit = lower(std::string_view(label).substr(open + 1, label.size() - open - 2));
  std::erase(column.unit, ' ');
  for (const std::string_view micro : {"\xC2\xB5s", "\xCE\xBCs"})  // micro sign and Greek letter
    if (column.unit == micro) column.unit = "us";
  return column;
}

/// Whether exports write a missing value so.
bool is_missing(const std::string& s) { return s.empty() || s == "." || s == "-" || lower(s) == "nan"; }

}  // namespace

std::string abbreviated(const std::string& s) { return s.size() <= 60 ? s : s.substr(0, 60) + "..."; }

Table::Table(const std::string& path) : path_(path), text_(read_text(path)) {
  if (!read_header()) gt::fail(path, ": expected a fixation table, the file is empty");
}

bool Table::read_header() {
  columns_.clear();
  const size_t start = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size());
  const std::string_view line = line_at(text_, start);
  separator_ = ',';
  size_t max_count = 0;
  for (const char candidate : {',', '\t', ';'}) {
    const size_t count = size_t(std::count(line.begin(), line.end(), candidate));
    if (count > max_count) separator_ = candidate, max_count = count;
  }
  if (!next()) return false;
  for (const std::string& label : fields_) columns_.push_back(column_of(label));
  for (const std::string& label : fields_)
    if (!label.empty() && std::count(fields_.begin(), fields_.end(), label) > 1)
      fail("column ", abbreviated(label), " appears twice");
  return true;
}

bool Table::open_section(std::string_view title, std::string_view row) {
  at_ = 0, line_ = 0;
  row_.clear();
  while (const auto line = next_line()) {
    if (trim_blanks(*line) != title) continue;
    if (!read_header()) fail("expected a header after '", title, "', the file ends");
    row_ = row;
    return true;
  }
  return false;
}

std::string Table::text_after(std::string_view key) const {
  std::string_view line;
  for (size_t at = 0; at < text_.size(); at += line.size() + 1) {
    line = line_at(text_, at);
    if (line.starts_with(key)) return std::string(trim_blanks(line.substr(key.size())));
  }
  return {};
}

std::vector<std::string> Table::split(std::string_view line) const {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (size_t i = 0; i < line.size(); ++i) {
    const bool escaped_quote = quoted && line.substr(i, 2) == "\"\"";
    if (line[i] == '"' && !escaped_quote)
      quoted = !quoted;
    else if (line[i] == separator_ && !quoted)
      fields.emplace_back();
    else
      fields.back() += line[i];
    i += escaped_quote;
  }
  for (std::string& f : fields) f = std::string(trim_blanks(f));
  return fields;
}

std::optional<std::string_view> Table::next_line() {
  if (at_ >= text_.size()) return std::nullopt;
  const std::string_view line = line_at(text_, at_);
  at_ += line.size() + 1;
  ++line_;
  return line;
}

bool Table::next() {
  while (const auto line = next_line()) {
    if (trim_blanks(*line).empty() || !line->starts_with(row_)) continue;
    fields_ = split(*line);
    if (!columns_.empty() && fields_.size() != columns_.size())
      fail("expected ", columns_.size(), " fields as in the header, got ", fields_.size());
    return true;
  }
  return false;
}

std::optional<size_t> Table::find(std::string_view name, std::initializer_list<std::string_view> units) const {
  const std::string key = lower(name);
  for (size_t i = 0; i < columns_.size(); ++i) {
    const bool fits = units.size() == 0 || std::find(units.begin(), units.end(), columns_[i].unit) != units.end();
    if (fits && lower(columns_[i].name) == key) return i;
  }
  return std::nullopt;
}

std::optional<size_t> Table::find_any(std::initializer_list<std::string_view> names) const {
  for (const std::string_view name : names)
    if (const auto at = find(name)) return at;
  return std::nullopt;
}

size_t Table::require(std::initializer_list<std::string_view> names) const {
  if (const auto at = find_any(names)) return *at;
  std::string expected;
  for (const std::string_view name : names) expected += (expected.empty() ? "" : " or ") + std::string(name);
  fail("expected a column ", expected, ", got ", column_list());
}

std::string Table::column_list() const {
  std::string list;
  for (const Column& c : columns_) list += (list.empty() ? "" : ", ") + c.label;
  return abbreviated(list);
}

double Table::number(size_t column) const {
  std::string s = fields_[column];
  if (separator_ != ',') std::replace(s.begin(), s.end(), ',', '.');
  double value = 0;
  const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), value);
  if (error != std::errc{} || end != s.data() + s.size() || !std::isfinite(value))
    fail("column ", columns_[column].label, ": expected a number, got '", abbreviated(fields_[column]), "'");
  return value;
}

std::optional<double> Table::number_if_any(size_t column) const {
  if (is_missing(fields_[column])) return std::nullopt;
  return number(column);
}

int64_t Table::whole(size_t column, int64_t min) const {
  const double value = number(column);
  if (value != std::floor(value) || value < double(min) || value > 1e9)
    fail("column ", columns_[column].label, ": expected a whole number of at least ", min, ", got ", word(column));
  return int64_t(value);
}

double Table::milliseconds(size_t column, std::string_view default_unit) const {
  const std::string_view unit = columns_[column].unit.empty() ? default_unit : columns_[column].unit;
  const double value = number(column);
  if (unit == "ms") return value;
  if (unit == "s") return value * 1e3;
  if (unit == "us") return value / 1e3;
  if (unit == "ns") return value / 1e6;
  fail("column ", columns_[column].label, ": expected a time in s, ms, us or ns, got the unit '",
       abbreviated(std::string(unit)), "'");
}

double Table::duration(size_t column, std::string_view default_unit) const {
  const double value = milliseconds(column, default_unit);
  if (value < 0) fail("column ", columns_[column].label, ": expected a duration in ms, got ", word(column));
  return value;
}

}  // namespace gt
