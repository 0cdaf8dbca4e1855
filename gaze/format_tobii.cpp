// Tobii Pro Lab's data export.
#include "gaze/formats.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

namespace gt {

namespace {

/// Where a row of the export says what was looked at, and how.
struct TobiiColumns {
  size_t time, media;
  std::optional<size_t> x, y, width, height;  // of the presented media on the screen
};

TobiiColumns tobii_columns(const Table& table) {
  return {table.require("Recording timestamp"),     table.require({"Presented Media name", "Presented Stimulus name"}),
          table.find("Presented Media position X"), table.find("Presented Media position Y"),
          table.find("Presented Media width"),      table.find("Presented Media height")};
}

/// Where the image was: as the user says, or the file.
Rectangle tobii_shown(const Table& table, const TobiiColumns& c, const Viewing& viewing) {
  if (viewing.image.known() || !c.x || !c.y || !c.width || !c.height) return shown_on(viewing);
  const auto x = table.number_if_any(*c.x), y = table.number_if_any(*c.y), width = table.number_if_any(*c.width),
             height = table.number_if_any(*c.height);
  if (!x || !y || !width || !height || *width <= 0 || *height <= 0) return shown_on(viewing);
  return {*x, *y, *width, *height};
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + int64_t(values.size() / 2), values.end());
  return values[values.size() / 2];
}

/// Exports have had timestamps in ms and in us, and not all say so in the header. Fixations come a few times their
/// duration (ms) apart; samples 1 to 40 ms: what is 50 times as much is in us.
void settle_time_unit(const Table& table, size_t column, GazeFile& content) {
  if (!table.columns()[column].unit.empty()) return;
  std::vector<double> steps;
  for (const auto& [image, look] : content.looks)
    for (size_t i = 1; i < look.records.size(); ++i) {
      const Record &before = look.records[i - 1], &record = look.records[i];
      if (record.time > before.time)
        steps.push_back((record.time - before.time) / (content.samples ? 4 : std::max(1.0, before.duration)));
    }
  if (steps.empty() || median(steps) < 50) return;
  for (auto& [image, look] : content.looks) {
    look.onset /= 1000;
    for (Record& r : look.records) r.time /= 1000;
  }
}

GazeFile read_tobii_samples(Table& table, const GazeOptions& options) {
  const TobiiColumns c = tobii_columns(table);
  const PositionColumns place = position_columns(table, "Gaze point X", "Gaze point Y");
  Recordings recordings(table, options, {"Recording name", "Participant name"});
  GazeFile content;
  content.samples = true;
  while (table.next()) {
    if (!recordings.wants(table) || table.word(c.media).empty()) continue;
    const double now = table.milliseconds(c.time);
    ImageRecording& look = look_at(content, table, image_in(table, c.media), recordings.name(table), now);
    if (!look.shown.known()) look.shown = tobii_shown(table, c, options.viewing);
    const auto [x, y] = position(table, place, look.shown);
    look.records.push_back({x, y, now, 0, 0, table.line()});
  }
  recordings.check(table);
  settle_time_unit(table, c.time, content);
  return content;
}

/// Fixations mapped onto a snapshot (glasses): columns "Mapped fixation X [Snapshot]" in its pixels.
GazeFile read_tobii_mapped(Table& table, const GazeOptions& options) {
  const size_t time = table.require("Recording timestamp");
  Recordings recordings(table, options, {"Recording name", "Participant name"});
  struct Snapshot {
    std::string name;
    size_t x, y, type, index, duration;
    std::optional<size_t> width, height;
  };
  std::vector<Snapshot> snapshots;
  const size_t duration = table.require({"Gaze event duration", "Eye movement event duration"});
  for (const Table::Column& column : table.columns()) {
    if (table.find(column.name) != table.find("Mapped fixation X")) continue;
    const std::string& unit = column.unit;
    const size_t open = column.label.find('[');
    const std::string name = options.image.empty() && open != column.label.npos
                                 ? column.label.substr(open + 1, column.label.size() - open - 2)
                                 : options.image;
    const auto of = [&](std::string_view what) {
      if (const auto at = table.find(what, {unit})) return *at;
      table.fail("expected a column ", what, " [", name, "] beside ", column.label, ", got ", table.column_list());
    };
    snapshots.push_back({image_name(name), of("Mapped fixation X"), of("Mapped fixation Y"),
                         of("Mapped eye movement type"), of("Mapped eye movement index"), duration,
                         table.find("Media width", {unit}), table.find("Media height", {unit})});
  }
  GazeFile content;
  std::set<std::pair<std::string, int64_t>> seen;  // image, index
  while (table.next()) {
    if (!recordings.wants(table)) continue;
    for (const Snapshot& s : snapshots) {
      if (table.word(s.type) != "Fixation" || table.word(s.x).empty()) continue;
      const double now = table.milliseconds(time);
      ImageRecording& look = look_at(content, table, s.name, recordings.name(table), now);
      Rectangle shown = shown_on(options.viewing);
      if (!shown.known() && s.width && s.height) shown = {0, 0, table.number(*s.width), table.number(*s.height)};
      const int64_t index = table.whole(s.index, 1);
      if (!seen.emplace(s.name, index).second) continue;
      const auto [x, y] = position(table, {s.x, s.y, true}, shown);
      look.records.push_back({x, y, now, table.duration(s.duration), index, table.line()});
    }
  }
  recordings.check(table);
  settle_time_unit(table, time, content);
  return content;
}

}  // namespace

GazeFile read_tobii(Table& table, const GazeOptions& options) {
  if (!options.detect.method.empty()) return read_tobii_samples(table, options);
  if (table.find("Mapped fixation X")) return read_tobii_mapped(table, options);
  const TobiiColumns c = tobii_columns(table);
  const size_t type = table.require("Eye movement type"), index = table.require("Eye movement type index"),
               duration = table.require({"Gaze event duration", "Eye movement event duration"});
  const PositionColumns place = position_columns(table, "Fixation point X", "Fixation point Y");
  Recordings recordings(table, options, {"Recording name", "Participant name"});
  GazeFile content;
  std::map<std::pair<std::string, int64_t>, std::pair<std::string, size_t>> first;  // recording, index -> image, record
  std::set<std::pair<std::string, int64_t>> early;                                  // begun before an image
  while (table.next()) {
    if (!recordings.wants(table)) continue;
    const double now = table.milliseconds(c.time);
    const std::string recording = recordings.name(table);
    const std::string image = table.word(c.media).empty() ? "" : image_in(table, c.media);
    const bool fixation = table.word(type) == "Fixation";
    const int64_t number = fixation ? table.whole(index, 1) : 0;
    if (image.empty()) {
      if (fixation) first.try_emplace({recording, number}, "", 0);
      continue;
    }
    ImageRecording& look = look_at(content, table, image, recording, now);
    if (!fixation) continue;
    // One fixation is in all rows of its index; it is of the image that it began on, if it began on one.
    const auto [at, fresh] = first.try_emplace({recording, number}, image, look.records.size());
    if (at->second.first.empty()) {
      content.dropped.early += early.emplace(recording, number).second;
      continue;
    }
    const auto [x, y] = position(table, place, tobii_shown(table, c, options.viewing));
    if (fresh) {
      look.records.push_back({x, y, now, table.duration(duration), number, table.line()});
    } else if (Record& r = content.looks[at->second.first].records[at->second.second]; std::isnan(r.x)) {
      r.x = x, r.y = y;
    }
  }
  recordings.check(table);
  settle_time_unit(table, c.time, content);
  return content;
}

}  // namespace gt
