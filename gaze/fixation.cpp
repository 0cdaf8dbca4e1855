#include "gaze/fixation.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>

#include "core/check.h"
#include "core/io.h"

namespace gt {

namespace {

using Fields = std::vector<std::string>;

// ---- Comma-separated values -----------------------------------------------------------------------------------------

/// The fields of a line. A field in double quotes may hold commas, and "" for a quote.
Fields split(std::string_view line) {
  Fields fields(1);
  bool quoted = false;
  for (size_t i = 0; i < line.size(); ++i) {
    const bool twice = quoted && line.substr(i, 2) == "\"\"";
    if (line[i] == '"' && !twice)
      quoted = !quoted;
    else if (line[i] == ',' && !quoted)
      fields.emplace_back();
    else
      fields.back() += line[i];
    i += twice;
  }
  for (std::string& f : fields) f = std::string(trim(f));
  return fields;
}

std::string quote(const std::string& field) {
  if (field.find_first_of(",\"") == field.npos && trim(field) == field) return field;
  std::string quoted = "\"";
  for (const char c : field) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + '"';
}

/// For messages: what is too long to read is cut.
std::string shown(const std::string& s) { return s.size() <= 60 ? s : s.substr(0, 60) + "..."; }

/// A table with a header, row after row. Messages name the file and the line.
class Table {
 public:
  explicit Table(const std::string& path) : path_(path), lines_(read_lines(path)) {
    if (!next()) gt::fail(path, ": expected a fixation table, the file is empty");
    header_ = std::move(fields_);
    for (size_t i = 0; i < header_.size(); ++i)
      if (!header_[i].empty() && std::count(header_.begin(), header_.end(), header_[i]) > 1)
        fail("column ", shown(header_[i]), " appears twice");
  }

  /// Moves on to the next line.
  bool next() {
    if (next_ == lines_.size()) return false;
    const TextLine& line = lines_[next_++];
    line_ = line.number;
    fields_ = split(line.text);
    if (!header_.empty() && fields_.size() != header_.size())
      fail("expected ", header_.size(), " fields as in the header, got ", fields_.size());
    return true;
  }

  std::optional<size_t> find(const char* column) const {
    const auto at = std::find(header_.begin(), header_.end(), column);
    return at == header_.end() ? std::nullopt : std::optional(size_t(at - header_.begin()));
  }

  /// The column's place. Throws Error if it is missing.
  size_t require(const char* column) const {
    if (const auto at = find(column)) return *at;
    std::string columns;
    for (const std::string& name : header_) columns += (columns.empty() ? "" : ", ") + name;
    fail("expected a column ", column, ", got ", shown(columns));
  }

  const std::string& word(size_t column) const { return fields_[column]; }

  double number(size_t column) const {
    const std::string& s = fields_[column];
    double value = 0;
    const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), value);
    if (error != std::errc{} || end != s.data() + s.size() || !std::isfinite(value))
      fail("column ", header_[column], ": expected a number, got '", shown(s), "'");
    return value;
  }

  /// A whole number of at least `least`.
  int64_t whole(size_t column, int64_t least) const {
    const double value = number(column);
    if (value != std::floor(value) || value < double(least) || value > 1e9)
      fail("column ", header_[column], ": expected a whole number of at least ", least, ", got ", word(column));
    return int64_t(value);
  }

  double duration(size_t column) const {
    const double value = number(column);
    if (value < 0) fail("column ", header_[column], ": expected a duration in ms, got ", word(column));
    return value;
  }

  int64_t line() const { return line_; }

  template <class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    gt::fail(path_, ":", line_, ": ", parts...);
  }

 private:
  std::string path_;
  std::vector<TextLine> lines_;
  size_t next_ = 0;
  int64_t line_ = 0;
  Fields header_, fields_;
};

// ---- Rows -> tracks -------------------------------------------------------------------------------------------------

struct Row {
  Fixation fixation;
  int64_t index;
  int64_t line;
};

struct Rows {
  Track track;  // without its fixations
  std::vector<Row> rows;
};

/// Orders the rows by index and checks that they are one sequence in time.
void order(const std::string& path, Rows& image) {
  std::vector<Row>& rows = image.rows;
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.index < b.index; });
  for (size_t i = 1; i < rows.size(); ++i) {
    const Row &before = rows[i - 1], &row = rows[i];
    if (row.index == before.index)
      fail(path, ":", row.line, ": fixation ", row.index, " of image ", image.track.image, " was given on line ",
           before.line, " already");
    if (row.fixation.start < before.fixation.start)
      fail(path, ":", row.line, ": fixation ", row.index, " of image ", image.track.image,
           " is out of order: it starts at ", row.fixation.start, " ms, before fixation ", before.index, " on line ",
           before.line, " (", before.fixation.start, " ms)");
  }
}

/// Where the file has no start times, fixations follow one another without gaps.
void set_starts(std::vector<Row>& rows) {
  double time = 0;
  for (Row& row : rows) {
    row.fixation.start = time;
    time += row.fixation.duration;
  }
}

void clean(const CleaningRules& rules, Rows& image, Dropped& dropped) {
  const auto inside = [](double v) { return v >= 0 && v <= 1; };
  for (const Row& row : image.rows) {
    const Fixation& f = row.fixation;
    if (!inside(f.x) || !inside(f.y))
      ++dropped.outside;
    else if (f.duration < rules.min_duration)
      ++dropped.brief;
    else
      image.track.fixations.push_back(f);
  }
}

// ---- Formats --------------------------------------------------------------------------------------------------------

struct Content {
  std::map<std::string, Rows> images;
  bool has_starts = false;
  bool simulated = false;
};

Content read_gazemedseg(Table& table) {
  const size_t image = table.require("IMAGE"), index = table.require("CURRENT_FIX_INDEX"),
               x = table.require("CURRENT_FIX_X"), y = table.require("CURRENT_FIX_Y"),
               duration = table.require("CURRENT_FIX_DURATION");
  const auto start = table.find("CURRENT_FIX_START"), height = table.find("IMAGE_HEIGHT"),
             width = table.find("IMAGE_WIDTH"), simulated = table.find("SIMULATED");
  Content content;
  content.has_starts = start.has_value();
  while (table.next()) {
    const std::string name = image_name(table.word(image));
    if (name.empty()) table.fail("column IMAGE: expected a name, got '", table.word(image), "'");
    Rows& rows = content.images[name];
    rows.track.image = name;
    if (height) rows.track.image_height = table.whole(*height, 0);
    if (width) rows.track.image_width = table.whole(*width, 0);
    if (simulated) content.simulated |= table.whole(*simulated, 0) != 0;
    const Fixation f{table.number(x), table.number(y), table.duration(duration), start ? table.number(*start) : 0};
    rows.rows.push_back({f, table.whole(index, 1), table.line()});
  }
  return content;
}

Content read_plain(Table& table, const std::string& name) {
  const size_t x = table.require("x"), y = table.require("y"), duration = table.require("duration");
  const auto start = table.find("start");
  Content content;
  content.has_starts = start.has_value();
  Rows& rows = content.images[name];
  rows.track.image = name;
  while (table.next()) {
    const Fixation f{table.number(x), table.number(y), table.duration(duration), start ? table.number(*start) : 0};
    rows.rows.push_back({f, int64_t(rows.rows.size()) + 1, table.line()});
  }
  return content;
}

std::string number_text(double value) {
  char digits[32];
  return {digits, std::to_chars(digits, digits + sizeof digits, value).ptr};
}

}  // namespace

Gaze read_gaze(const std::string& path, const CleaningRules& rules) {
  Table table(path);
  const bool plain = table.find("x") || table.find("y");
  Content content = plain ? read_plain(table, image_name(path)) : read_gazemedseg(table);
  Gaze gaze;
  gaze.simulated = content.simulated;
  for (auto& [name, image] : content.images) {
    if (!content.has_starts) set_starts(image.rows);
    order(path, image);
    clean(rules, image, gaze.dropped);
    if (!image.track.fixations.empty()) gaze.tracks.emplace(name, std::move(image.track));
  }
  if (gaze.tracks.empty())
    fail(path, ": expected fixations, the table has none that can be used (", gaze.dropped.outside,
         " outside the image, ", gaze.dropped.brief, " shorter than ", rules.min_duration, " ms)");
  return gaze;
}

void write_gaze(const std::string& path, const std::vector<Track>& tracks, bool simulated) {
  std::string out =
      "IMAGE,CURRENT_FIX_INDEX,CURRENT_FIX_X,CURRENT_FIX_Y,CURRENT_FIX_DURATION,CURRENT_FIX_START,IMAGE_HEIGHT,"
      "IMAGE_WIDTH";
  out += simulated ? ",SIMULATED\n" : "\n";
  for (const Track& track : tracks)
    for (size_t i = 0; i < track.fixations.size(); ++i) {
      const Fixation& f = track.fixations[i];
      out += quote(track.image) + ',' + std::to_string(i + 1);
      for (const double v : {f.x, f.y, f.duration, f.start}) out += ',' + number_text(v);
      out += ',' + std::to_string(track.image_height) + ',' + std::to_string(track.image_width);
      out += simulated ? ",1\n" : "\n";
    }
  write_file(path, out);
}

std::string image_name(const std::string& path) {
  // Only what is known as a file's extension is cut, so that a name with a dot in it stays whole when read again.
  static constexpr std::string_view extensions[] = {".jpg",  ".jpeg", ".png", ".bmp", ".tif",
                                                    ".tiff", ".gif",  ".dcm", ".csv"};
  const std::filesystem::path file = std::filesystem::path(path).filename();
  std::string extension = file.extension().string();
  for (char& c : extension) c = char(std::tolower(uint8_t(c)));
  const bool known = std::find(std::begin(extensions), std::end(extensions), extension) != std::end(extensions);
  return known ? file.stem().string() : file.string();
}

}  // namespace gt
