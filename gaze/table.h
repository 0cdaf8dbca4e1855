// Tables of text with a header, as eye trackers' programs export them.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/check.h"
#include "gaze/number_text.h"

namespace gt {

/// A table, read row by row. core/encoding.h describes the text. Blank lines, lines of separators alone and, before the
/// header, lines that begin with # or "sep=" are skipped. Fields may be quoted and then hold line breaks and doubled
/// quotes (RFC 4180). The separator is the tab, comma or semicolon that the header has most of; rows may end in further
/// ones. Unless it is the comma, 0,5 is the number 0.5. Thousands may be separated: 1,234.5 and 1.234,5 are numbers,
/// 1,234 only if the file's other numbers show which mark is decimal. A column "Gaze event duration [ms]" has the name
/// "Gaze event duration" and the unit "ms". Names and units are compared without regard to case, units also without
/// blanks. Every error names the file, the line and, if a field is wrong, the column.
class Table {
 public:
  /// Reads the file, which gzip may have packed, and its header. `encoding` is as in decode_text(); `decimal` is the
  /// decimal mark: auto, point or comma. Throws Error if the file is empty or has more than 4096 columns.
  explicit Table(const std::string& path, const std::string& encoding = "auto", const std::string& decimal = "auto");

  /// Whether the text was taken for Latin-1, see decode_text().
  bool assumed_latin1() const { return assumed_latin1_; }

  /// Goes to the next row; false after the last. Throws Error if the row has another number of fields than the header.
  bool next();

  /// For a file with several tables: moves to the one below the first line that reads `title`, searching from the
  /// file's start; false if there is none. The line after the title is the header. Rows are the lines that begin with
  /// `row`. Throws Error as the constructor does.
  bool open_section(std::string_view title, std::string_view row);

  /// The whole text, for formats that are not tables.
  std::string_view text() const { return text_; }

  /// For a file without a header: the names of the columns, which tabs separate. Reading starts at the first line.
  void use_header(const std::vector<std::string>& labels);

  /// What follows `key` on the first line of the file that begins with it; "" if there is none.
  std::string text_after(std::string_view key) const;

  struct Column {
    std::string label;      // as written
    std::string name;       // without the unit
    std::string unit;       // in lower case, without blanks; "" if there is none
    std::string key;        // the name in lower case
    bool repeated = false;  // an earlier column has the same label
  };
  const std::vector<Column>& columns() const { return columns_; }

  /// The index of the column with this name and one of these units, or with any unit if none are given.
  /// Throws Error if two such columns have one label.
  std::optional<size_t> find(std::string_view name, std::initializer_list<std::string_view> units = {}) const;
  /// The index of the first of these columns that the table has.
  std::optional<size_t> find_any(std::initializer_list<std::string_view> names) const;
  /// The index of the first of these columns that the table has. Throws Error if it has none of them, or one of them
  /// with several units.
  size_t require(std::initializer_list<std::string_view> names) const;
  size_t require(std::string_view name) const { return require({name}); }

  /// The field of the current row.
  const std::string& word(size_t column) const { return fields_[column]; }
  /// The field as a number. Throws Error if it is not a finite one.
  double number(size_t column) const;
  /// The field as a number, or nothing for a word of missing values: empty, ".", "-", NA, N/A, NaN, null, None, inf.
  std::optional<double> number_if_any(size_t column) const;
  /// The field as a whole number. Throws Error if it is below `min`.
  int64_t whole(size_t column, int64_t min) const;
  /// The field as a time in ms, by the column's unit (s, ms, us or ns), or by `default_unit` if it has none.
  double milliseconds(size_t column, std::string_view default_unit = "ms") const;
  /// The field as a duration in ms. Throws Error if it is negative.
  double duration(size_t column, std::string_view default_unit = "ms") const;

  const std::string& path() const { return path_; }
  int64_t line() const { return line_; }  ///< of the current row, from 1
  bool tabbed() const { return separator_ == '\t'; }
  std::string column_list() const;  ///< all labels, for messages

  /// Throws Error with the file, the current line and these parts.
  template <class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    gt::fail(path_, ":", line_, ": ", parts...);
  }

 private:
  std::optional<std::string_view> next_line();
  bool read_header();
  void set_columns(const std::vector<std::string>& labels);
  void read_fields(std::string_view line);            // of a row that begins with this line of text_
  size_t read_quoted(size_t at, std::string& field);  // from behind its quote; returns the offset of the field's end

  bool assumed_latin1_ = false;              // before text_, which sets it
  std::string path_, text_, decimal_, row_;  // row_ begins each row's line
  size_t at_ = 0;                            // offset of the next line in text_
  int64_t line_ = 0, lines_read_ = 0;        // of the current row, of all rows
  char separator_ = ',';
  std::vector<Column> columns_;
  std::vector<std::string> fields_;
  mutable std::optional<DecimalMarks> marks_;  // of the whole text, once they are needed
};

/// A text for messages, cut after 60 bytes.
std::string abbreviated(const std::string& s);

}  // namespace gt
