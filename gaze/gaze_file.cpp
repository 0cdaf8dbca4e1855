#include "gaze/gaze_file.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

namespace gt {

namespace {

bool is_share(double x, double y) { return x >= 0 && x <= 1 && y >= 0 && y <= 1; }

}  // namespace

Rectangle image_rectangle(const Viewing& viewing) {
  if (viewing.image.known()) return viewing.image;
  return {0, 0, viewing.screen_width, viewing.screen_height};
}

PositionColumns position_columns(const Table& table, const GazeOptions& options, const std::string& x,
                                 const std::string& y) {
  if (const auto u = table.find(x, {"mcsnorm"}), v = table.find(y, {"mcsnorm"}); u && v) return {*u, *v, false, true};
  const auto u = table.find(x, {"", "px", "dacspx"}), v = table.find(y, {"", "px", "dacspx"});
  if (u && v) return columns_by_unit(table, options, *u, *v, true);
  table.fail("expected columns ", x, " and ", y, " in pixels or (MCSnorm), got ", table.column_list());
}

PositionColumns columns_by_unit(const Table& table, const GazeOptions& options, size_t x, size_t y, bool on_screen) {
  const Table::Column &of_x = table.columns()[x], &of_y = table.columns()[y];
  if (of_x.unit != of_y.unit)
    table.fail("columns ", of_x.label, " and ", of_y.label, ": expected positions in one unit");
  if (is_one_of(of_x.unit, {"px", "dacspx", "pixel", "pixels"})) return {x, y, true, true};
  if (is_one_of(of_x.unit, {"mcsnorm", "norm"})) return {x, y, false, true};
  if (!of_x.unit.empty())
    table.fail("column ", of_x.label, ": expected a position in px (pixels of the screen) or norm (image sides), got ",
               "the unit '", abbreviated(of_x.unit), "'");
  return {x, y, options.unit.empty() ? on_screen : options.unit == "px", !options.unit.empty()};
}

std::string_view time_unit(GazeFile& file, const Table& table, const GazeOptions& options, std::optional<size_t> column,
                           std::string_view format_unit) {
  const std::string_view unit = options.time_unit.empty() ? format_unit : options.time_unit;
  const std::string declared = column ? table.columns()[*column].unit : "";
  file.clock = declared.empty() ? std::string(unit) : declared;
  file.sure_of_clock = !declared.empty() || !options.time_unit.empty();
  return unit;
}

Position placed(GazeFile& file, double x, double y, const Rectangle& shown, bool on_screen, bool declared,
                int64_t line) {
  PositionCounts& counts = file.positions;
  if (counts.all++ == 0)
    counts.on_screen = on_screen, counts.declared = declared, counts.line = line, counts.shown = shown;
  counts.in_share += is_share(x, y);
  counts.beyond += x > 2 || y > 2;
  if (!on_screen) return {x, y};
  return {(x - shown.x) / shown.width, (y - shown.y) / shown.height};
}

void place_on_image(GazeFile& file, Record& record, const Rectangle& shown) {
  record.lost = record.x == 0 && record.y == 0;
  const bool missing = record.lost || std::isnan(record.x) || std::isnan(record.y);
  const Position at = missing ? Position() : placed(file, record.x, record.y, shown, true, true, record.line);
  record.x = at.x, record.y = at.y;
}

Position position_in(GazeFile& file, const Table& table, const PositionColumns& columns, const Rectangle& shown) {
  const auto x = table.number_if_any(columns.x), y = table.number_if_any(columns.y);
  if (!x || !y) return {};
  if (*x == 0 && *y == 0) return {no_position, no_position, true};
  if (columns.on_screen && !shown.known() && is_share(*x, *y) && !columns.declared)
    table.fail("column ", table.columns()[columns.x].label, ": ", *x,
               " was expected in pixels of the screen and looks like image sides: expected gradtrack fixations "
               "--unit share, or --unit px and the image's place on the screen");
  if (columns.on_screen && !shown.known())
    table.fail("column ", table.columns()[columns.x].label,
               " is in pixels of the screen: expected the image's place there (gradtrack fixations --image-rect, "
               "--image-size or --screen)");
  return placed(file, *x, *y, shown, columns.on_screen, columns.declared, table.line());
}

void check_positions(const std::string& path, const PositionCounts& p) {
  if (p.declared || p.all == 0) return;
  if (p.on_screen && 2 * p.in_share > p.all)
    fail(path, ":", p.line, ": positions were expected in pixels of the screen, ", p.in_share, " of ", p.all,
         " are between 0 and 1 and look like image sides: gradtrack fixations --unit px or --unit share settles it");
  if (!p.on_screen && 2 * p.beyond > p.all)
    fail(path, ":", p.line, ": positions were expected in image sides (0 to 1), ", p.beyond, " of ", p.all,
         " are above 2 and look like pixels: give the unit in the columns' names or by gradtrack fixations --unit");
}

std::string assumed_text(const GazeFile& file) {
  const PositionCounts& p = file.positions;
  std::string text = "positions in image sides";
  if (!file.positions_text.empty())
    text = file.positions_text;
  else if (p.on_screen)
    text = str_cat("positions in pixels of the screen, image of line ", p.line, " at ", p.shown.x, ",", p.shown.y, " ",
                   p.shown.width, "x", p.shown.height);
  return text + (file.has_times ? "; times in " + file.clock : "; fixations without gaps");
}

std::string image_in(const Table& table, size_t column) {
  const std::string name = image_name(table.word(column), str_cat(table.path(), ":", table.line()));
  if (name.empty())
    table.fail("column ", table.columns()[column].label, ": expected a name, got '", table.word(column), "'");
  return name;
}

std::string image_file_name(const std::string& text, const std::string& where) {
  const std::string name = image_name(text, where);
  return name != std::filesystem::path(text).filename().string() ? name : "";
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + int64_t(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

ImageRecording& recording_of(GazeFile& file, const Table& table, const std::string& image, const std::string& source,
                             double time) {
  return recording_of(file, str_cat(table.path(), ":", table.line()), image, source, time);
}

ImageRecording& recording_of(GazeFile& file, const std::string& where, const std::string& image,
                             const std::string& source, double time) {
  const auto [at, added] = file.recordings.try_emplace(image);
  ImageRecording& recording = at->second;
  if (added) recording.track.image = image, recording.source = source, recording.onset = time;
  if (recording.source != source)
    fail(where, ": image ", image, " was looked at in ", source, ", after ", recording.source,
         ": expected one recording of each image (--recording NAME reads one alone)");
  return recording;
}

RecordingFilter::RecordingFilter(const Table& table, const GazeOptions& options,
                                 std::initializer_list<std::string_view> columns)
    : recording_(options.recording) {
  for (const std::string_view column : columns)
    if (const auto at = table.find(column)) columns_.push_back(*at);
}

bool RecordingFilter::accepts(const Table& table) {
  if (recording_.empty()) return true;
  const auto names_it = [&](size_t column) { return table.word(column) == recording_; };
  const bool accepted = std::any_of(columns_.begin(), columns_.end(), names_it);
  found_ |= accepted;
  if (!accepted && !columns_.empty()) others_.insert(table.word(columns_[0]));
  return accepted;
}

std::string RecordingFilter::source(const Table& table) const {
  std::string source = "recording";
  for (const size_t column : columns_) source += " " + table.word(column);
  return source;
}

void RecordingFilter::finish(const Table& table) const {
  if (recording_.empty() || found_) return;
  std::string others;
  for (const std::string& other : others_) others += (others.empty() ? "" : ", ") + other;
  fail(table.path(), ": has no recording '", recording_, "', only ",
       others.empty() ? "unnamed ones" : abbreviated(others));
}

}  // namespace gt
