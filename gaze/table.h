// Tables of text with a header, as programs export them.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/check.h"

namespace gt {

/// A table read row after row. The separator is the tab, comma or semicolon that the header has most of; fields may be
/// quoted; UTF-8 or, with a byte order mark, UTF-16; LF or CRLF; blank lines are passed over. Where the separator is no
/// comma, 0,5 is the number 0.5. A column "Gaze event duration [ms]" has the name "Gaze event duration" and the unit
/// "ms"; names and units are compared without regard to case, units also without blanks.
/// Every error names the file, the line and, where there is one, the column.
class Table {
 public:
  explicit Table(const std::string& path);

  /// Moves on to the next row; throws Error if it has not as many fields as the header.
  bool next();

  struct Column {
    std::string label, name, unit;  // as written; without unit; the unit, lower case without blanks
  };
  const std::vector<Column>& columns() const { return columns_; }

  /// The place of the column of this name and of one of these units, or of any unit if there are none.
  std::optional<size_t> find(std::string_view name, std::initializer_list<std::string_view> units = {}) const;
  /// The place of the first of these columns that is there.
  std::optional<size_t> find_any(std::initializer_list<std::string_view> names) const;
  /// The same; throws Error if none is there.
  size_t require(std::initializer_list<std::string_view> names) const;
  size_t require(std::string_view name) const { return require({name}); }

  const std::string& word(size_t column) const { return fields_[column]; }
  /// Throws Error if the field is not a finite number.
  double number(size_t column) const;
  /// The same; nothing for what exports put where they have no value: an empty field, ".", "-" or NaN.
  std::optional<double> number_if_any(size_t column) const;
  /// A whole number of at least `least`.
  int64_t whole(size_t column, int64_t least) const;
  /// A duration or time in ms, by the column's unit (s, ms, us, ns; `without` where it names none).
  double milliseconds(size_t column, std::string_view without = "ms") const;
  /// The same, not negative.
  double duration(size_t column, std::string_view without = "ms") const;

  const std::string& path() const { return path_; }
  int64_t line() const { return line_; }
  bool tabbed() const { return separator_ == '\t'; }
  std::string column_list() const;  ///< for messages

  template <class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    gt::fail(path_, ":", line_, ": ", parts...);
  }

 private:
  std::vector<std::string> split(std::string_view line) const;

  std::string path_, text_;
  size_t at_ = 0;  // in text_, of the next line
  int64_t line_ = 0;
  char separator_ = ',';
  std::vector<Column> columns_;
  std::vector<std::string> fields_;
};

/// For messages: what is too long to read is cut.
std::string shown(const std::string& s);

}  // namespace gt
