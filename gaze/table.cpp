#include "gaze/table.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <set>

#include "core/encoding.h"
#include "core/io.h"
#include "gaze/gunzip.h"
#include "gaze/number_text.h"

namespace gt {

namespace {

constexpr size_t max_columns = 4096, max_text = 1 << 30;

std::string lower(std::string_view s) {
  std::string out(s);
  for (char& c : out) c = char(std::tolower(uint8_t(c)));
  return out;
}

/// The line that begins at an offset, without its end.
std::string_view line_at(std::string_view text, size_t at) { return text.substr(at, text.find('\n', at) - at); }

/// Splits "Gaze event duration [ms]" into name and unit. "(MCSnorm)" and "[MCS norm]" give one unit.
Table::Column column_of(const std::string& label) {
  Table::Column column{label, label, "", lower(label)};
  const size_t open = label.find_first_of("[(");
  if (open == label.npos || open == 0 || !(label.ends_with(']') || label.ends_with(')'))) return column;
  column.name = trim_blanks(std::string_view(label).substr(0, open));
  column.key = lower(column.name);
  column.unit = lower(std::string_view(label).substr(open + 1, label.size() - open - 2));
  std::erase(column.unit, ' ');
  for (const std::string_view micro : {"\xC2\xB5s", "\xCE\xBCs"})  // micro sign and Greek letter
    if (column.unit == micro) column.unit = "us";
  return column;
}

/// Whether exports write a missing value so.
bool is_missing(const std::string& s) {
  static const std::set<std::string> words = {
      "",    ".",    "-",    "na",       "n/a",     "#n/a",   "nan",     "-nan",      "null",        "none",
      "inf", "-inf", "+inf", "infinity", "1.#qnan", "1.#inf", "-1.#ind", "-infinity", "\xE2\x80\x93"};
  return words.contains(lower(s));
}

/// The tab, comma or semicolon that a header has most of, outside quotes.
char separator_of(std::string_view header) {
  size_t counts[3] = {0, 0, 0};
  constexpr std::string_view candidates = ",\t;";
  bool quoted = false;
  for (const char c : header) {
    if (c == '"') quoted = !quoted;
    if (const size_t at = candidates.find(c); at != candidates.npos && !quoted) ++counts[at];
  }
  return candidates[size_t(std::max_element(counts, counts + 3) - counts)];
}

/// Whether a line before the header is passed over: a comment, or a spreadsheet's declaration of the separator.
bool is_preamble(std::string_view line) {
  return trim_blanks(line).empty() || line.starts_with('#') || lower(line.substr(0, 4)) == "sep=";
}

/// The bytes of a file of gaze, unpacked. Throws Error for EyeLink's binary files.
std::string text_file(const std::string& path) {
  std::string bytes = read_file(path);
  if (bytes.starts_with("\x1F\x8B")) bytes = gunzip_any(path, bytes, max_text);
  const bool binary = bytes.find('\0') != bytes.npos;
  if (bytes.starts_with("SR_RESEARCH") || (binary && lower(path).ends_with(".edf")))
    fail(path, ": is a binary EDF file of EyeLink: expected its text, which SR Research's program edf2asc makes of it");
  return bytes;
}

}  // namespace

std::string abbreviated(const std::string& s) { return s.size() <= 60 ? s : s.substr(0, 60) + "..."; }

Table::Table(const std::string& path, const std::string& encoding, const std::string& decimal)
    : path_(path), text_(decode_text(text_file(path), path, encoding, &assumed_latin1_)), decimal_(decimal) {
  if (!read_header()) gt::fail(path, ": expected a fixation table, the file is empty");
}

void Table::set_columns(const std::vector<std::string>& given) {
  columns_.clear();
  std::set<std::string> labels;
  for (const std::string& label : given) {
    columns_.push_back(column_of(label));
    columns_.back().repeated = !label.empty() && !labels.insert(lower(label)).second;
  }
}

void Table::use_header(const std::vector<std::string>& labels) {
  set_columns(labels);
  separator_ = '\t';
  at_ = 0, lines_read_ = 0;
}

bool Table::read_header() {
  columns_.clear();
  auto line = next_line();
  while (line && is_preamble(*line)) line = next_line();
  if (!line) return false;
  separator_ = separator_of(*line);
  read_fields(*line);
  while (!fields_.empty() && fields_.back().empty()) fields_.pop_back();
  if (fields_.empty()) fail("expected a header with names of columns, got separators alone");
  if (fields_.size() > max_columns) fail("expected at most ", max_columns, " columns, the header has ", fields_.size());
  set_columns(fields_);
  return true;
}

bool Table::open_section(std::string_view title, std::string_view row) {
  at_ = 0, lines_read_ = 0;
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

size_t Table::read_quoted(size_t at, std::string& field) {
  for (; at < text_.size(); ++at) {
    lines_read_ += text_[at] == '\n';
    if (text_[at] == '"') {
      if (text_.compare(at, 2, "\"\"") != 0) break;
      ++at;  // a doubled quote stands for one
    }
    field += text_[at];
  }
  if (at == text_.size()) fail("expected a closing quote, the file ends within a quoted field");
  const size_t next = std::min(text_.find_first_not_of(separator_ == '\t' ? " " : " \t", at + 1), text_.size());
  if (next < text_.size() && text_[next] != separator_ && text_[next] != '\n')
    fail("expected the end of the field after the quoted '", abbreviated(field), "'");
  return next;
}

void Table::read_fields(std::string_view line) {
  fields_.clear();
  size_t at = size_t(line.data() - text_.data());
  const char ends[] = {separator_, '\n'};
  for (;; ++at) {
    std::string& field = fields_.emplace_back();
    const size_t first = std::min(text_.find_first_not_of(separator_ == '\t' ? " " : " \t", at), text_.size());
    if (first < text_.size() && text_[first] == '"') {
      at = read_quoted(first + 1, field);
      field = std::string(trim_blanks(field));
    } else {
      const size_t end = std::min(text_.find_first_of(std::string_view(ends, sizeof ends), at), text_.size());
      field = std::string(trim_blanks(std::string_view(text_).substr(at, end - at)));
      at = end;
    }
    if (at >= text_.size() || text_[at] == '\n') break;
  }
  at_ = at + 1;
}

std::optional<std::string_view> Table::next_line() {
  if (at_ >= text_.size()) return std::nullopt;
  const std::string_view line = line_at(text_, at_);
  at_ += line.size() + 1;
  line_ = ++lines_read_;
  return line;
}

bool Table::next() {
  while (const auto line = next_line()) {
    if (trim_blanks(*line).empty() || !line->starts_with(row_)) continue;
    read_fields(*line);
    if (std::all_of(fields_.begin(), fields_.end(), [](const std::string& f) { return f.empty(); })) continue;
    while (fields_.size() > columns_.size() && fields_.back().empty()) fields_.pop_back();
    if (fields_.size() != columns_.size())
      fail("expected ", columns_.size(), " fields as in the header, got ", fields_.size());
    return true;
  }
  return false;
}

std::optional<size_t> Table::find(std::string_view name, std::initializer_list<std::string_view> units) const {
  const std::string key = lower(name);
  std::optional<size_t> found;
  for (size_t i = 0; i < columns_.size(); ++i) {
    const bool fits = units.size() == 0 || std::find(units.begin(), units.end(), columns_[i].unit) != units.end();
    if (!fits || columns_[i].key != key) continue;
    if (columns_[i].repeated) fail("column ", abbreviated(columns_[i].label), " appears twice");
    if (!found) found = i;
  }
  return found;
}

std::optional<size_t> Table::find_any(std::initializer_list<std::string_view> names) const {
  for (const std::string_view name : names)
    if (const auto at = find(name)) return at;
  return std::nullopt;
}

size_t Table::require(std::initializer_list<std::string_view> names) const {
  if (const auto at = find_any(names)) {
    for (size_t i = *at + 1; i < columns_.size(); ++i)
      if (columns_[i].key == columns_[*at].key)
        fail("columns ", columns_[*at].label, " and ", columns_[i].label, " have one name: expected one of them");
    return *at;
  }
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
  const std::string& text = fields_[column];
  const NumberReadings r = read_number(text);
  const auto refuse = [&](const auto&... parts) { fail("column ", columns_[column].label, ": ", parts...); };
  std::optional<double> value = r.point;
  if (decimal_ == "comma") {
    value = r.comma;
  } else if (decimal_ == "auto" && r.ambiguous() && (separator_ != ',' || text.find(',') != text.npos)) {
    if (!marks_) marks_ = decimal_marks(text_, separator_);
    const bool undecided = marks_->point == marks_->comma;
    if (undecided && (marks_->point || text.find(',') != text.npos))
      refuse("'", abbreviated(text), "' may be ", *r.point, " or ", *r.comma,
             ": expected to know the decimal mark (gradtrack fixations --decimal point or --decimal comma)");
    if (marks_->comma) value = r.comma;
  } else if (decimal_ == "auto" && !r.point && r.comma && separator_ != ',') {
    if (!marks_) marks_ = decimal_marks(text_, separator_);
    if (marks_->point)
      refuse("'", abbreviated(text), "' has a decimal comma, other numbers of the file have decimal points: ",
             "expected one mark (gradtrack fixations --decimal point or --decimal comma)");
    value = r.comma;
  }
  if (!value) refuse("expected a number, got '", abbreviated(text), "'");
  return *value;
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
