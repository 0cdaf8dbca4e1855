// Numbers as exports write them: with decimal points or commas, and with separated thousands.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace gt {

/// The readings of a number's text. Thousands are groups of three digits, separated by blanks, apostrophes or the mark
/// that is not the decimal one. A reading is missing if the text is no finite number in it.
struct NumberReadings {
  std::optional<double> point;  // the decimal mark is the point: 1,234.5
  std::optional<double> comma;  // the decimal mark is the comma: 1.234,5
  bool ambiguous() const { return point && comma && *point != *comma; }
};

NumberReadings read_number(std::string_view text);

/// Which decimal marks the numbers of a text prove: those that have only one reading.
struct DecimalMarks {
  bool point = false, comma = false;
};

/// Looks at all fields of a text. Linear in its length.
DecimalMarks decimal_marks(std::string_view text, char separator);

}  // namespace gt
