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

/// Finds the unit of timestamps without one. They are in ms or us; durations are in ms.
class Clock {
 public:
  Clock(GazeFile& file, const Table& table, const GazeOptions& options, size_t time)
      : file_(file), table_(table), unit_(time_unit(file, table, options, time, "ms")), time_(time) {}

  /// The current row's time in ms or, until settle(), perhaps in us.
  double now(const std::string& source) {
    const double time = table_.milliseconds(time_, unit_);
    const auto [before, added] = last_.try_emplace(source, time);
    if (!added && time > before->second) steps_.push_back(time - before->second);
    before->second = time;
    return time;
  }

  /// After the last row: converts all times to ms. Throws Error if the rows and the fixations fit both units.
  void settle() {
    if (file_.sure_of_clock || steps_.empty()) return;
    const std::string unit = guess();
    if (unit.empty())
      fail(table_.path(), ":1: column ", table_.columns()[time_].label,
           " has no unit, and its times may be ms or us: expected --time-unit ms or --time-unit us");
    if (unit == "s")
      fail(table_.path(), ":1: column ", table_.columns()[time_].label,
           " has no unit, and its times look like seconds: expected --time-unit s");
    file_.sure_of_clock = true;
    file_.clock = unit + " (assumed: the column has no unit)";
    if (unit == "ms") return;
    for (auto& [image, recording] : file_.recordings) {
      recording.onset /= 1000;
      for (Record& r : recording.records) r.time /= 1000;
    }
  }

 private:
  /// "s", "ms", "us" or "". Trackers sample every 0.4 to 100 ms. Fixations do not overlap, and seldom are 500 durations
  /// apart.
  std::string guess() {
    const double step = median(steps_);
    std::vector<double> gaps;  // from start to start, in durations
    for (const auto& [image, recording] : file_.recordings)
      for (size_t i = 1; i < recording.records.size() && !file_.samples; ++i) {
        const Record &before = recording.records[i - 1], &record = recording.records[i];
        if (record.time > before.time && before.duration > 0)
          gaps.push_back((record.time - before.time) / before.duration);
      }
    if (step < 0.2 || (!gaps.empty() && median(gaps) < 0.1)) return "s";
    if (step < 100) return "ms";  // of samples; in us, they would be over 10,000 a second
    if (gaps.empty()) return step < 400 ? "" : file_.samples || step > 2000 ? "us" : "";
    if (median(gaps) < 500) return "ms";
    return *std::min_element(gaps.begin(), gaps.end()) >= 500 ? "us" : "";
  }

  GazeFile& file_;
  const Table& table_;
  std::string_view unit_;
  size_t time_;
  std::map<std::string, double> last_;  // time of each recording's last row
  std::vector<double> steps_;           // between rows of a recording
};

// ---- Samples --------------------------------------------------------------------------------------------------------

GazeFile read_samples(Table& table, const GazeOptions& options) {
  const MediaColumns c = media_columns(table);
  const PositionColumns columns = position_columns(table, options, "Gaze point X", "Gaze point Y");
  RecordingFilter filter(table, options, {"Recording name", "Participant name"});
  GazeFile file;
  file.samples = true;
  Clock clock(file, table, options, c.time);
  while (table.next()) {
    if (!filter.accepts(table) || table.word(c.media).empty()) continue;
    const std::string source = filter.source(table);
    const double now = clock.now(source);
    ImageRecording& recording = recording_of(file, table, image_in(table, c.media), source, now);
    if (!recording.shown.known()) recording.shown = media_rectangle(table, c, options.viewing);
    const auto [x, y, lost] = position_in(file, table, columns, recording.shown);
    recording.records.push_back({x, y, now, 0, 0, table.line(), lost});
  }
  filter.finish(table);
  clock.settle();
  return file;
}

// ---- Fixations mapped onto snapshots (glasses) ----------------------------------------------------------------------

/// The columns of a snapshot, such as "Mapped fixation X [SNAPSHOT]". Positions are in pixels of the snapshot.
struct Snapshot {
  std::string image;
  size_t x, y, type, index;
  std::optional<size_t> width, height;
};

bool has_snapshots(const Table& table) {
  return std::any_of(table.columns().begin(), table.columns().end(),
                     [](const Table::Column& column) { return column.key == "mapped fixation x"; });
}

std::vector<Snapshot> find_snapshots(const Table& table, const GazeOptions& options) {
  std::vector<Snapshot> snapshots;
  for (const Table::Column& column : table.columns()) {
    if (column.key != "mapped fixation x") continue;
    const std::string& unit = column.unit;
    const size_t open = column.label.find('[');
    const std::string name = options.image.empty() && open != column.label.npos
                                 ? column.label.substr(open + 1, column.label.size() - open - 2)
                                 : options.image;
    const auto require = [&](std::string_view what) {
      if (const auto at = table.find(what, {unit})) return *at;
      table.fail("expected a column ", what, " [", name, "] with ", column.label, ", got ", table.column_list());
    };
    snapshots.push_back({image_name(name, table.path()), require("Mapped fixation X"), require("Mapped fixation Y"),
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
  Clock clock(file, table, options, time);
  std::set<std::pair<std::string, int64_t>> seen;  // image, index
  while (table.next()) {
    if (!filter.accepts(table)) continue;
    const double now = clock.now(filter.source(table));
    for (const Snapshot& s : snapshots) {
      if (table.word(s.type) != "Fixation" || table.word(s.x).empty()) continue;
      ImageRecording& recording = recording_of(file, table, s.image, filter.source(table), now);
      Rectangle shown = image_rectangle(options.viewing);
      if (!shown.known() && s.width && s.height) shown = {0, 0, table.number(*s.width), table.number(*s.height)};
      const int64_t index = table.whole(s.index, 1);
      if (!seen.emplace(s.image, index).second) continue;
      const auto [x, y, lost] = position_in(file, table, {s.x, s.y, true}, shown);
      recording.records.push_back({x, y, now, table.duration(duration), index, table.line(), lost});
    }
  }
  filter.finish(table);
  clock.settle();
  return file;
}

// ---- Fixations ------------------------------------------------------------------------------------------------------

/// All rows with the index of a fixation repeat it. It belongs to the image on which it began.
GazeFile read_fixations(Table& table, const GazeOptions& options) {
  const MediaColumns c = media_columns(table);
  const size_t type = table.require("Eye movement type"), index = table.require("Eye movement type index"),
               duration = table.require({"Gaze event duration", "Eye movement event duration"});
  const PositionColumns columns = position_columns(table, options, "Fixation point X", "Fixation point Y");
  RecordingFilter filter(table, options, {"Recording name", "Participant name"});
  GazeFile file;
  Clock clock(file, table, options, c.time);
  using FixationId = std::pair<std::string, int64_t>;             // source, index
  std::map<FixationId, std::pair<std::string, size_t>> begun_on;  // image and place among its records; "" for none
  std::set<FixationId> early;                                     // begun before an image
  while (table.next()) {
    if (!filter.accepts(table)) continue;
    const std::string source = filter.source(table);
    const double now = clock.now(source);
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
    const auto [x, y, lost] = position_in(file, table, columns, media_rectangle(table, c, options.viewing));
    if (added) {
      recording.records.push_back({x, y, now, table.duration(duration), number, table.line(), lost});
    } else if (Record& r = file.recordings[at->second.first].records[at->second.second]; std::isnan(r.x)) {
      r.x = x, r.y = y, r.lost = lost;
    }
  }
  filter.finish(table);
  clock.settle();
  return file;
}

}  // namespace

bool recognises_tobii(const Table& header) {
  return header.find_any({"Recording timestamp", "Eye movement type", "Fixation point X"}).has_value();
}

GazeFile read_tobii(Table& table, const GazeOptions& options) {
  if (!options.detect.method.empty()) return read_samples(table, options);
  return has_snapshots(table) ? read_mapped_fixations(table, options) : read_fixations(table, options);
}

}  // namespace gt
