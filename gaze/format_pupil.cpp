// Pupil Labs Core: Pupil Player's fixations.csv, fixations_on_surface_NAME.csv, and gaze_positions of the same two
// kinds. Positions are shares of the surface or of the scene camera's image, with the origin at the bottom left.
#include <algorithm>
#include <cmath>
#include <map>

#include "gaze/formats.h"

namespace gt {
namespace {

constexpr double min_confidence = 0.6;  // of a sample that counts; Pupil Player's default

/// The image that the file is of: fixations_on_surface_NAME.csv is of NAME.
std::string image_of(const Table& table, const GazeOptions& options) {
  if (!options.image.empty()) return image_name(options.image, table.path());
  const std::string file = image_name(table.path(), table.path()), mark = "_on_surface_";
  const size_t at = file.find(mark);
  const std::string name = at == file.npos ? file : file.substr(at + mark.size());
  if (name.empty() || is_one_of(name, {"fixations", "gaze_positions"}))
    table.fail(
        "does not say which image was looked at: expected --image NAME, or a file fixations_on_surface_NAME.csv");
  return name;
}

/// The current row's position in image sides, with the origin at the top left.
std::pair<double, double> position_of(const Table& table, size_t x, size_t y, const Viewing& viewing) {
  const auto u = table.number_if_any(x), v = table.number_if_any(y);
  if (!u || !v || (*u == 0 && *v == 0)) return {no_position, no_position};  // (0, 0): the eye was lost
  const double from_left = *u, from_top = 1 - *v;
  if (!viewing.image.known() || viewing.screen_width == 0) return {from_left, from_top};
  // The surface, or the camera's image, is the screen.
  return {(from_left * viewing.screen_width - viewing.image.x) / viewing.image.width,
          (from_top * viewing.screen_height - viewing.image.y) / viewing.image.height};
}

/// Whether the current row's position is on the surface, if the file says so.
bool is_on_surface(const Table& table, std::optional<size_t> on_surface) {
  if (!on_surface) return true;
  const std::string& word = table.word(*on_surface);
  if (is_one_of(word, {"True", "TRUE", "true", "1"})) return true;
  if (is_one_of(word, {"False", "FALSE", "false", "0"})) return false;
  table.fail("column ", table.columns()[*on_surface].label, ": expected True or False, got '", abbreviated(word), "'");
}

GazeFile read_samples(Table& table, const GazeOptions& options, size_t x, size_t y) {
  const size_t time = table.require("gaze_timestamp");
  const auto confidence = table.find("confidence"), on_surface = table.find("on_surf");
  const std::string image = image_of(table, options);
  GazeFile file;
  file.samples = true;
  file.clock = table.columns()[time].unit.empty() ? "s" : table.columns()[time].unit;
  while (table.next()) {
    const double now = table.milliseconds(time, "s");
    ImageRecording& recording = recording_of(file, table, image, "", now);
    recording.shown = image_rectangle(options.viewing);
    auto [u, v] = position_of(table, x, y, options.viewing);
    const bool uncertain = confidence && table.number_if_any(*confidence).value_or(0) < min_confidence;
    if (uncertain || !is_on_surface(table, on_surface)) u = v = no_position;
    recording.records.push_back({u, v, now, 0, 0, table.line()});
  }
  return file;
}

/// The camera frames of one fixation: sums of the positions on the surface.
struct Frames {
  double x = 0, y = 0;
  int64_t count = 0;
  bool on_surface = false;  // at least one, with or without a position
  double start = 0;         // ms
  int64_t line = 0;         // of the first
};

/// A fixation has a row for each camera frame. Its position is the mean over those on the surface, as the surface moves
/// in the camera's image.
GazeFile read_fixations(Table& table, const GazeOptions& options, size_t x, size_t y) {
  const size_t time = table.require("start_timestamp"), duration = table.require("duration"),
               id = table.require({"fixation_id", "id"});
  const auto on_surface = table.find("on_surf");
  const std::string image = image_of(table, options);
  GazeFile file;
  file.clock = table.columns()[time].unit.empty() ? "s" : table.columns()[time].unit;
  std::map<int64_t, Frames> frames;  // by the fixation's index
  while (table.next()) {
    const double now = table.milliseconds(time, "s");
    ImageRecording& recording = recording_of(file, table, image, "", now);
    recording.shown = image_rectangle(options.viewing);
    const int64_t index = table.whole(id, 0);
    const auto [at, added] = frames.try_emplace(index);
    Frames& f = at->second;
    if (added) {
      f.start = now, f.line = table.line();
      recording.records.push_back({no_position, no_position, now, table.duration(duration), index, table.line()});
    } else if (f.start != now) {
      table.fail("fixation ", index, " starts at another time than on line ", f.line,
                 ": expected one fixation of each id");
    }
    if (!is_on_surface(table, on_surface)) continue;
    f.on_surface = true;
    const auto [u, v] = position_of(table, x, y, options.viewing);
    if (!std::isnan(u)) f.x += u, f.y += v, ++f.count;
  }
  for (auto& [name, recording] : file.recordings) {
    const auto is_outside = [&](const Record& r) { return !frames[r.index].on_surface; };
    file.dropped.outside += int64_t(std::erase_if(recording.records, is_outside));
    for (Record& r : recording.records)
      if (const Frames& f = frames[r.index]; f.count > 0) r.x = f.x / double(f.count), r.y = f.y / double(f.count);
  }
  return file;
}

}  // namespace

bool recognises_pupil(const Table& header) { return header.find_any({"norm_pos_x", "x_norm"}).has_value(); }

GazeFile read_pupil(Table& table, const GazeOptions& options) {
  const size_t x = table.require({"norm_pos_x", "x_norm"}), y = table.require({"norm_pos_y", "y_norm"});
  columns_by_unit(table, {}, x, y, false);  // refuses unknown units
  return options.detect.method.empty() ? read_fixations(table, options, x, y) : read_samples(table, options, x, y);
}

}  // namespace gt
