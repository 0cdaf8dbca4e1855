// Pupil Labs Core: Pupil Player's fixations.csv, fixations_on_surface_NAME.csv, and gaze_positions of the same two
// kinds. Positions are shares of the surface or of the scene camera's image, with the origin at the bottom left.
#include <map>

#include "gaze/formats.h"

namespace gt {
namespace {

constexpr double min_confidence = 0.6;  // of a sample that counts; Pupil Player's default

/// The image that the file is of: fixations_on_surface_NAME.csv is of NAME.
std::string image_of(const Table& table, const GazeOptions& options) {
  if (!options.image.empty()) return image_name(options.image);
  const std::string file = image_name(table.path()), mark = "_on_surface_";
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
  if (!u || !v) return {no_position, no_position};
  const double from_left = *u, from_top = 1 - *v;
  if (!viewing.image.known() || viewing.screen_width == 0) return {from_left, from_top};
  // The surface, or the camera's image, is the screen.
  return {(from_left * viewing.screen_width - viewing.image.x) / viewing.image.width,
          (from_top * viewing.screen_height - viewing.image.y) / viewing.image.height};
}

GazeFile read_samples(Table& table, const GazeOptions& options, size_t x, size_t y) {
  const size_t time = table.require("gaze_timestamp");
  const auto confidence = table.find("confidence");
  const std::string image = image_of(table, options);
  GazeFile file;
  file.samples = true;
  while (table.next()) {
    const double now = table.milliseconds(time, "s");
    ImageRecording& recording = recording_of(file, table, image, "", now);
    recording.shown = image_rectangle(options.viewing);
    auto [u, v] = position_of(table, x, y, options.viewing);
    if (confidence && table.number(*confidence) < min_confidence) u = v = no_position;
    recording.records.push_back({u, v, now, 0, 0, table.line()});
  }
  return file;
}

/// A fixation has a row for each camera frame. Its position is the mean over them, as the surface moves in the camera's
/// image.
GazeFile read_fixations(Table& table, const GazeOptions& options, size_t x, size_t y) {
  const size_t time = table.require("start_timestamp"), duration = table.require("duration"),
               id = table.require({"fixation_id", "id"});
  const std::string image = image_of(table, options);
  GazeFile file;
  std::map<int64_t, std::vector<std::pair<double, double>>> frames;  // of each fixation
  while (table.next()) {
    const double now = table.milliseconds(time, "s");
    ImageRecording& recording = recording_of(file, table, image, "", now);
    recording.shown = image_rectangle(options.viewing);
    const auto [u, v] = position_of(table, x, y, options.viewing);
    const int64_t index = table.whole(id, 0);
    auto& of_fixation = frames[index];
    if (of_fixation.empty()) recording.records.push_back({u, v, now, table.duration(duration), index, table.line()});
    of_fixation.emplace_back(u, v);
  }
  for (auto& [name, recording] : file.recordings)
    for (Record& r : recording.records) {
      const auto& of_fixation = frames[r.index];
      r.x = r.y = 0;
      for (const auto& [u, v] : of_fixation)
        r.x += u / double(of_fixation.size()), r.y += v / double(of_fixation.size());
    }
  return file;
}

}  // namespace

bool recognises_pupil(const Table& header) { return header.find_any({"norm_pos_x", "x_norm"}).has_value(); }

GazeFile read_pupil(Table& table, const GazeOptions& options) {
  const size_t x = table.require({"norm_pos_x", "x_norm"}), y = table.require({"norm_pos_y", "y_norm"});
  return options.detect.method.empty() ? read_fixations(table, options, x, y) : read_samples(table, options, x, y);
}

}  // namespace gt
