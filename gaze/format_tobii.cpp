// Tobii Pro Lab's data export: one row per sample, in which the columns of a fixation repeat.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "gaze/formats.h"

namespace gt {
namespace {

// ---- What its readers share -----------------------------------------------------------------------------------------

/// The columns that name the image, and those of its rectangle on the screen.
struct MediaColumns {
  size_t time, media;
  std::optional<size_t> x, y, width, height;
};

MediaColumns media_columns(const Table& table) {
  return {table.require("Recording timestamp"),     table.require({"Presented Media name", "Presented Stimulus name"}),
          table.find("Presented Media position X"), table.find("Presented Media position Y"),
          table.find("Presented Media width"),      table.find("Presented Media height")};
}

/// The image's rectangle on the screen: the options' if given, else the current row's.
Rectangle media_rectangle(const Table& table, const MediaColumns& c, const Viewing& viewing) {
  if (viewing.image.known() || !c.x || !c.y || !c.width || !c.height) return image_rectangle(viewing);
  const auto x = table.number_if_any(*c.x), y = table.number_if_any(*c.y), width = table.number_if_any(*c.width),
             height = table.number_if_any(*c.height);
  if (!x || !y || !width || !height || *width <= 0 || *height <= 0) return image_rectangle(viewing);
  return {*x, *y, *width, *height};
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + int64_t(values.size() / 2), values.end());
  return values[values.size() / 2];
}

/// Converts times to ms. They are in ms or us, and some headers do not say which. Durations are in ms. Fixations start
/// a few durations apart, and samples 1 to 40 ms. So times are in us if typical steps are 50 durations or, of samples,
/// 200 or more.
void settle_time_unit(const Table& table, size_t time, GazeFile& file) {
  if (!table.columns()[time].unit.empty()) return;
  std::vector<double> steps;
  for (const auto& [image, recording] : file.recordings)
    for (size_t i = 1; i < recording.records.size(); ++i) {
      const Record &before = recording.records[i - 1], &record = recording.records[i];
      if (record.time > before.time)
        steps.push_back((record.time - before.time) / (file.samples ? 4 : std::max(1.0, before.duration)));
    }
  if (steps.empty() || median(steps) < 50) return;
  for (auto& [image, recording] : file.recordings) {
    recording.onset /= 1000;
    for (Record& r : recording.records) r.time /= 1000;
  }
}

// ---- Samples --------------------------------------------------------------------------------------------------------

GazeFile read_samples(Table& table, const GazeOptions& options) {
  const MediaColumns c = media_columns(table);
  const PositionColumns columns = position_columns(table, "Gaze point X", "Gaze point Y");
  RecordingFilter filter(table, options, {"Recording name", "Participant name"});
  GazeFile file;
  file.samples = true;
  while (table.next()) {
    if (!filter.accepts(table) || table.word(c.media).empty()) continue;
    const double now = table.milliseconds(c.time);
    ImageRecording& recording = recording_of(file, table, image_in(table, c.media), filter.source(table), now);
    if (!recording.shown.known()) recording.shown = media_rectangle(table, c, options.viewing);
    const auto [x, y] = position_in(table, columns, recording.shown);
    recording.records.push_back({x, y, now, 0, 0, table.line()});
  }
  filter.finish(table);
  settle_time_unit(table, c.time, file);
  return file;
}

// ---- Fixations mapped onto snapshots (glasses) ----------------------------------------------------------------------

/// The columns of a snapshot, such as "Mapped fixation X [SNAPSHOT]". Positions are in pixels of the snapshot.
struct Snapshot {
  std::string image;
  size_t x, y, type, index;
  std::optional<size_t> width, height;
};

std::vector<Snapshot> find_snapshots(const Table& table, const GazeOptions& options) {
  std::vector<Snapshot> snapshots;
  for (const Table::Column& column : table.columns()) {
    if (table.find(column.name) != table.find("Mapped fixation X")) continue;
    const std::string& unit = column.unit;
    const size_t open = column.label.find('[');
    const std::string name = options.image.empty() && open != column.label.npos
                                 ? column.label.substr(open + 1, column.label.size() - open - 2)
                                 : options.image;
    const auto require = [&](std::string_view what) {
      if (const auto at = table.find(what, {unit})) return *at;
      table.fail("expected a column ", what, " [", name, "] with ", column.label, ", got ", table.column_list());
    };
    snapshots.push_back({image_name(name), require("Mapped fixation X"), require("Mapped fixation Y"),
                         require("Mapped eye movement type"), require("Mapped eye movement index"),
                         table.find("Media width", {unit}), table.find("Media height", {unit})});
  }
  return snapshots;
}

GazeFile read_mapped_fixations(Table& table, const GazeOptions& options) {
  const size_t time = table.require("Recording timestamp"),
               duration = table.require({"Gaze event duration", "Eye movement event duration"});
  const std::vector<Snapshot> snapshots = find_snapshots(table, options);
  RecordingFilter filter(table, options, {"Recording name", "Participant name"});
  GazeFile file;
  std::set<std::pair<std::string, int64_t>> seen;  // image, index
  while (table.next()) {
    if (!filter.accepts(table)) continue;
    for (const Snapshot& s : snapshots) {
      if (table.word(s.type) != "Fixation" || table.word(s.x).empty()) continue;
      const double now = table.milliseconds(time);
      ImageRecording& recording = recording_of(file, table, s.image, filter.source(table), now);
      Rectangle shown = image_rectangle(options.viewing);
      if (!shown.known() && s.width && s.height) shown = {0, 0, table.number(*s.width), table.number(*s.height)};
      const int64_t index = table.whole(s.index, 1);
      if (!seen.emplace(s.image, index).second) continue;
      const auto [x, y] = position_in(table, {s.x, s.y, true}, shown);
      recording.records.push_back({x, y, now, table.duration(duration), index, table.line()});
    }
  }
  filter.finish(table);
  settle_time_unit(table, time, file);
  return file;
}

// ---- Fixations ------------------------------------------------------------------------------------------------------

/// All rows with the index of a fixation repeat it. It belongs to the image on which it began.
GazeFile read_fixations(Table& table, const GazeOptions& options) {
  const MediaColumns c = media_columns(table);
  const size_t type = table.require("Eye movement type"), index = table.require("Eye movement type index"),
               duration = table.require({"Gaze event duration", "Eye movement event duration"});
  const PositionColumns columns = position_columns(table, "Fixation point X", "Fixation point Y");
  RecordingFilter filter(table, options, {"Recording name", "Participant name"});
  GazeFile file;
  using FixationId = std::pair<std::string, int64_t>;             // source, index
  std::map<FixationId, std::pair<std::string, size_t>> begun_on;  // image and place among its records; "" for none
  std::set<FixationId> early;                                     // begun before an image
  while (table.next()) {
    if (!filter.accepts(table)) continue;
    const double now = table.milliseconds(c.time);
    const std::string source = filter.source(table);
    const std::string image = table.word(c.media).empty() ? "" : image_in(table, c.media);
    const bool fixation = table.word(type) == "Fixation";
    const int64_t number = fixation ? table.whole(index, 1) : 0;
    if (image.empty()) {
      if (fixation) begun_on.try_emplace({source, number}, "", 0);
      continue;
    }
    ImageRecording& recording = recording_of(file, table, image, source, now);
    if (!fixation) continue;
    const auto [at, added] = begun_on.try_emplace({source, number}, image, recording.records.size());
    if (at->second.first.empty()) {
      file.dropped.early += early.emplace(source, number).second;
      continue;
    }
    const auto [x, y] = position_in(table, columns, media_rectangle(table, c, options.viewing));
    if (added) {
      recording.records.push_back({x, y, now, table.duration(duration), number, table.line()});
    } else if (Record& r = file.recordings[at->second.first].records[at->second.second]; std::isnan(r.x)) {
      r.x = x, r.y = y;
    }
  }
  filter.finish(table);
  settle_time_unit(table, c.time, file);
  return file;
}

}  // namespace

bool recognises_tobii(const Table& header) {
  return header.find_any({"Recording timestamp", "Eye movement type", "Fixation point X"}).has_value();
}

GazeFile read_tobii(Table& table, const GazeOptions& options) {
  if (!options.detect.method.empty()) return read_samples(table, options);
  return table.find("Mapped fixation X") ? read_mapped_fixations(table, options) : read_fixations(table, options);
}

}  // namespace gt
