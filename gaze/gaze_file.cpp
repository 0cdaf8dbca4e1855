#include "gaze/gaze_file.h"

#include <algorithm>

namespace gt {

Rectangle image_rectangle(const Viewing& viewing) {
  if (viewing.image.known()) return viewing.image;
  return {0, 0, viewing.screen_width, viewing.screen_height};
}

PositionColumns position_columns(const Table& table, const std::string& x, const std::string& y) {
  if (const auto u = table.find(x, {"mcsnorm"}), v = table.find(y, {"mcsnorm"}); u && v) return {*u, *v, false};
  const auto u = table.find(x, {"", "px", "dacspx"}), v = table.find(y, {"", "px", "dacspx"});
  if (u && v) return {*u, *v, true};
  table.fail("expected columns ", x, " and ", y, " in pixels or (MCSnorm), got ", table.column_list());
}

std::pair<double, double> position_in(const Table& table, const PositionColumns& columns, const Rectangle& shown) {
  const auto x = table.number_if_any(columns.x), y = table.number_if_any(columns.y);
  if (!x || !y) return {no_position, no_position};
  if (!columns.on_screen) return {*x, *y};
  if (!shown.known())
    table.fail("column ", table.columns()[columns.x].label,
               " is in pixels of the screen: expected the image's place there (gradtrack fixations --image-rect, "
               "--image-size or --screen)");
  return {(*x - shown.x) / shown.width, (*y - shown.y) / shown.height};
}

std::string image_in(const Table& table, size_t column) {
  const std::string name = image_name(table.word(column), str_cat(table.path(), ":", table.line()));
  if (name.empty())
    table.fail("column ", table.columns()[column].label, ": expected a name, got '", table.word(column), "'");
  return name;
}

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

ImageRecording& recording_of(GazeFile& file, const Table& table, const std::string& image, const std::string& source,
                             double time) {
  const auto [at, added] = file.recordings.try_emplace(image);
  ImageRecording& recording = at->second;
  if (added) recording.track.image = image, recording.source = source, recording.onset = time;
  if (recording.source != source)
    table.fail("image ", image, " was looked at in ", source, ", after ", recording.source,
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
