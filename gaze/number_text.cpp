#include "gaze/number_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/io.h"

namespace gt {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Replaces every mark that only separates thousands by a blank.
std::string with_blanks(std::string_view text) {
  std::string out(text);
  for (const std::string_view mark : {"\xC2\xA0", "\xE2\x80\xAF", "\xE2\x80\x99", "'"})
    for (size_t at = 0; (at = out.find(mark, at)) != out.npos;) out.replace(at, mark.size(), " ");
  return out;
}

/// The digits without separators of thousands; nothing if the groups are not of three digits.
std::optional<std::string> without_groups(std::string_view digits, char separator) {
  std::string out;
  for (size_t at = 0, group = 0;; ++group) {
    const size_t end = std::min(digits.find(separator, at), digits.size());
    const std::string_view part = digits.substr(at, end - at);
    const bool fits = group == 0 ? !part.empty() && part.size() <= 3 && part[0] != '0' : part.size() == 3;
    if (!fits || !std::all_of(part.begin(), part.end(), is_digit)) return std::nullopt;
    out += part;
    if (end == digits.size()) return out;
    at = end + 1;
  }
}

/// `text` is without a sign.
std::optional<double> read_with(const std::string& text, char decimal, char other) {
  const size_t point = std::min(text.find(decimal), text.size());
  std::string number = text.substr(0, point);
  for (const char separator : {other, ' '})
    if (number.find(separator) != number.npos) {
      const auto digits = without_groups(number, separator);
      if (!digits) return std::nullopt;
      number = *digits;
    }
  if (point < text.size()) number += '.' + text.substr(point + 1);
  double value = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  const bool whole = error == std::errc{} && end == number.data() + number.size();
  if (!whole || !std::isfinite(value) || number[0] == '-') return std::nullopt;
  return value;
}

}  // namespace

NumberReadings read_number(std::string_view text) {
  const bool negative = text.starts_with('-');
  const std::string digits = with_blanks(negative ? text.substr(1) : text);
  NumberReadings readings = {read_with(digits, '.', ','), read_with(digits, ',', '.')};
  if (negative)
    for (std::optional<double>* value : {&readings.point, &readings.comma})
      if (*value) *value = -**value;
  return readings;
}

DecimalMarks decimal_marks(std::string_view text, char separator) {
  const char ends[] = {separator, '\n', '"'};
  DecimalMarks marks;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find_first_of(std::string_view(ends, sizeof ends), at), text.size());
    const std::string_view field = trim_blanks(text.substr(at, end - at));
    at = end + 1;
    if (field.size() > 32 || field.find_first_of(".,") == field.npos) continue;
    const NumberReadings readings = read_number(field);
    marks.point |= readings.point && !readings.comma;
    marks.comma |= readings.comma && !readings.point;
  }
  return marks;
}

}  // namespace gt
