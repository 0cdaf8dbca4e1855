#include "gaze/formats.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>
#include <utility>

namespace gt {

namespace {

/// Two columns of one position.
struct Place {
  size_t x, y;
  bool on_screen;  // pixels, not image sides
};

Rectangle shown_on(const Viewing& viewing) {
  if (viewing.image.known()) return viewing.image;
  return {0, 0, viewing.screen_width, viewing.screen_height};
}

/// The position in the row, in image sides; `shown` is where the image was, if the file does not give image sides.
std::pair<double, double> position(const Table& table, const Place& place, const Rectangle& shown) {
  const auto x = table.number_if_any(place.x), y = table.number_if_any(place.y);
  if (!x || !y) return {lost, lost};
  if (!place.on_screen) return {*x, *y};
  if (!shown.known())
    table.fail("column ", table.columns()[place.x].label,
               " is in pixels of the screen: expected the image's place there (gradtrack fixations --image-rect, "
               "--image-size or --screen)");
  return {(*x - shown.x) / shown.width, (*y - shown.y) / shown.height};
}

/// The columns of this position in image sides or, where there are none, in pixels.
Place place_of(const Table& table, const std::string& x, const std::string& y) {
  if (const auto u = table.find(x, {"mcsnorm"}), v = table.find(y, {"mcsnorm"}); u && v) return {*u, *v, false};
  const auto u = table.find(x, {"", "px", "dacspx"}), v = table.find(y, {"", "px", "dacspx"});
  if (u && v) return {*u, *v, true};
  table.fail("expected columns ", x, " and ", y, " in pixels or (MCSnorm), got ", table.column_list());
}

/// The image's look; a new one starts at `time`. One image is looked at in one recording.
Look& look_at(Content& content, const Table& table, const std::string& image, const std::string& recording,
              double time) {
  const auto [at, fresh] = content.looks.try_emplace(image);
  Look& look = at->second;
  if (fresh) look.track.image = image, look.recording = recording, look.onset = time;
  if (look.recording != recording)
    table.fail("image ", image, " was looked at in ", recording, ", after ", look.recording,
               ": expected one recording of each image (--recording NAME reads one alone)");
  return look;
}

std::string image_in(const Table& table, size_t column) {
  const std::string name = image_name(table.word(column));
  if (name.empty())
    table.fail("column ", table.columns()[column].label, ": expected a name, got '", table.word(column), "'");
  return name;
}

/// The image of a file of one image.
std::string only_image(const Table& table, const GazeOptions& options) {
  return image_name(options.image.empty() ? table.path() : options.image);
}

/// Which rows are of the wanted recording, and what it is called in messages.
class Recordings {
 public:
  Recordings(const Table& table, const GazeOptions& options, std::initializer_list<std::string_view> names)
      : wanted_(options.recording) {
    for (const std::string_view name : names)
      if (const auto at = table.find(name)) columns_.push_back(*at);
  }
  bool wants(const Table& table) {
    if (wanted_.empty()) return true;
    const bool one = std::any_of(columns_.begin(), columns_.end(), [&](size_t c) { return table.word(c) == wanted_; });
    found_ |= one;
    if (!one && !columns_.empty()) others_.insert(table.word(columns_[0]));
    return one;
  }
  std::string name(const Table& table) const {
    std::string name = "recording";
    for (const size_t c : columns_) name += " " + table.word(c);
    return name;
  }
  /// After the last row: throws Error if the wanted recording was not there.
  void check(const Table& table) const {
    if (wanted_.empty() || found_) return;
    std::string others;
    for (const std::string& o : others_) others += (others.empty() ? "" : ", ") + o;
    fail(table.path(), ": has no recording '", wanted_, "', only ", others.empty() ? "unnamed ones" : shown(others));
  }

 private:
  std::string wanted_;
  std::vector<size_t> columns_;
  std::set<std::string> others_;
  bool found_ = false;
};

bool is_one_of(const std::string& word, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

std::string format_of(const Table& table, const GazeOptions& options) {
  const auto has = [&](std::string_view column) { return table.find(column).has_value(); };
  if (options.format != "auto") {
    if (std::find(std::begin(gaze_formats), std::end(gaze_formats), options.format) == std::end(gaze_formats))
      fail("format of gaze: expected auto, gazemedseg, eyelink, tobii, pupil or plain, got '", options.format, "'");
    return options.format;
  }
  if (has("Recording timestamp") || has("Eye movement type") || has("Fixation point X")) return "tobii";
  if (has("norm_pos_x") || has("x_norm")) return "pupil";
  const bool report = has("RECORDING_SESSION_LABEL") || has("TRIAL_INDEX") || has("TRIAL_LABEL");
  const bool samples = has("AVERAGE_GAZE_X") || has("RIGHT_GAZE_X") || has("LEFT_GAZE_X");
  if (samples || (has("CURRENT_FIX_X") && (report || table.tabbed()))) return "eyelink";
  if (has("CURRENT_FIX_X")) return "gazemedseg";
  if (has("x") || has("y")) return "plain";
  if (has("IMAGE")) return "gazemedseg";
  table.fail("expected a table of gaze (GazeMedSeg, EyeLink, Tobii, Pupil Labs, or x, y, duration), its columns are ",
             table.column_list());
}

// ---- GazeMedSeg -----------------------------------------------------------------------------------------------------

Content read_gazemedseg(Table& table, const GazeOptions& options) {
  if (!options.detect.method.empty()) table.fail("holds fixations: there are no samples to detect them in");
  const size_t image = table.require("IMAGE"), index = table.require("CURRENT_FIX_INDEX"),
               x = table.require("CURRENT_FIX_X"), y = table.require("CURRENT_FIX_Y"),
               duration = table.require("CURRENT_FIX_DURATION");
  const auto start = table.find("CURRENT_FIX_START"), height = table.find("IMAGE_HEIGHT"),
             width = table.find("IMAGE_WIDTH"), simulated = table.find("SIMULATED");
  Content content;
  content.has_times = start.has_value();
  while (table.next()) {
    Look& look = look_at(content, table, image_in(table, image), "", 0);
    if (height) look.track.image_height = table.whole(*height, 0);
    if (width) look.track.image_width = table.whole(*width, 0);
    if (simulated) content.simulated |= table.whole(*simulated, 0) != 0;
    look.records.push_back({table.number(x), table.number(y), start ? table.number(*start) : 0,
                            table.duration(duration), table.whole(index, 1), table.line()});
  }
  return content;
}

// ---- EyeLink --------------------------------------------------------------------------------------------------------

namespace {

size_t eyelink_image_column(const Table& table, const GazeOptions& options) {
  if (!options.image_column.empty()) return table.require(options.image_column);
  if (const auto at = table.find("IMAGE")) return *at;
  table.fail("expected a column IMAGE or --image-column NAME, the trial variable that names the image, among ",
             table.column_list());
}

/// A sample report; of two eyes the average, else the right, else the left.
Content read_eyelink_samples(Table& table, const GazeOptions& options) {
  const size_t image = eyelink_image_column(table, options), time = table.require({"TIMESTAMP", "SAMPLE_INDEX"});
  const Place place = {table.require({"AVERAGE_GAZE_X", "RIGHT_GAZE_X", "LEFT_GAZE_X"}),
                       table.require({"AVERAGE_GAZE_Y", "RIGHT_GAZE_Y", "LEFT_GAZE_Y"}), true};
  Recordings recordings(table, options, {"RECORDING_SESSION_LABEL", "TRIAL_INDEX"});
  Content content;
  content.samples = true;
  while (table.next()) {
    if (!recordings.wants(table) || is_one_of(table.word(image), {"", "."})) continue;
    const double now = table.milliseconds(time);
    Look& look = look_at(content, table, image_in(table, image), recordings.name(table), now);
    look.shown = shown_on(options.viewing);
    const auto [x, y] = position(table, place, look.shown);
    look.records.push_back({x, y, now, 0, 0, table.line()});
  }
  recordings.check(table);
  return content;
}

}  // namespace

Content read_eyelink(Table& table, const GazeOptions& options) {
  if (!options.detect.method.empty()) return read_eyelink_samples(table, options);
  const size_t image = eyelink_image_column(table, options), index = table.require("CURRENT_FIX_INDEX"),
               duration = table.require("CURRENT_FIX_DURATION"), start = table.require("CURRENT_FIX_START");
  const Place place = {table.require("CURRENT_FIX_X"), table.require("CURRENT_FIX_Y"), true};
  const auto blink = table.find("CURRENT_FIX_BLINK_AROUND");
  if (options.drop_blinks && !blink)
    table.fail("expected a column CURRENT_FIX_BLINK_AROUND, got ", table.column_list());
  Recordings recordings(table, options, {"RECORDING_SESSION_LABEL", "TRIAL_INDEX"});
  Content content;
  while (table.next()) {
    if (!recordings.wants(table) || is_one_of(table.word(image), {"", "."})) continue;
    Look& look = look_at(content, table, image_in(table, image), recordings.name(table), 0);
    if (options.drop_blinks && !is_one_of(table.word(*blink), {"NONE", "", "."})) {
      ++content.dropped.blinks;
      continue;
    }
    const auto [x, y] = position(table, place, shown_on(options.viewing));
    look.records.push_back(
        {x, y, table.milliseconds(start), table.duration(duration), table.whole(index, 1), table.line()});
  }
  recordings.check(table);
  return content;
}

// ---- Tobii Pro Lab --------------------------------------------------------------------------------------------------

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
void settle_time_unit(const Table& table, size_t column, Content& content) {
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

Content read_tobii_samples(Table& table, const GazeOptions& options) {
  const TobiiColumns c = tobii_columns(table);
  const Place place = place_of(table, "Gaze point X", "Gaze point Y");
  Recordings recordings(table, options, {"Recording name", "Participant name"});
  Content content;
  content.samples = true;
  while (table.next()) {
    if (!recordings.wants(table) || table.word(c.media).empty()) continue;
    const double now = table.milliseconds(c.time);
    Look& look = look_at(content, table, image_in(table, c.media), recordings.name(table), now);
    if (!look.shown.known()) look.shown = tobii_shown(table, c, options.viewing);
    const auto [x, y] = position(table, place, look.shown);
    look.records.push_back({x, y, now, 0, 0, table.line()});
  }
  recordings.check(table);
  settle_time_unit(table, c.time, content);
  return content;
}

/// Fixations mapped onto a snapshot (glasses): columns "Mapped fixation X [Snapshot]" in its pixels.
Content read_tobii_mapped(Table& table, const GazeOptions& options) {
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
  Content content;
  std::set<std::pair<std::string, int64_t>> seen;  // image, index
  while (table.next()) {
    if (!recordings.wants(table)) continue;
    for (const Snapshot& s : snapshots) {
      if (table.word(s.type) != "Fixation" || table.word(s.x).empty()) continue;
      const double now = table.milliseconds(time);
      Look& look = look_at(content, table, s.name, recordings.name(table), now);
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

Content read_tobii(Table& table, const GazeOptions& options) {
  if (!options.detect.method.empty()) return read_tobii_samples(table, options);
  if (table.find("Mapped fixation X")) return read_tobii_mapped(table, options);
  const TobiiColumns c = tobii_columns(table);
  const size_t type = table.require("Eye movement type"), index = table.require("Eye movement type index"),
               duration = table.require({"Gaze event duration", "Eye movement event duration"});
  const Place place = place_of(table, "Fixation point X", "Fixation point Y");
  Recordings recordings(table, options, {"Recording name", "Participant name"});
  Content content;
  std::map<std::pair<std::string, int64_t>, std::pair<std::string, size_t>> first;  // recording, index -> image, record
  while (table.next()) {
    if (!recordings.wants(table) || table.word(c.media).empty()) continue;
    const double now = table.milliseconds(c.time);
    const std::string image = image_in(table, c.media);
    Look& look = look_at(content, table, image, recordings.name(table), now);
    if (table.word(type) != "Fixation") continue;
    // One fixation is in all rows of its index; it is of the image that it began on.
    const int64_t number = table.whole(index, 1);
    const auto [at, fresh] = first.try_emplace({look.recording, number}, image, look.records.size());
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

// ---- Pupil Labs -----------------------------------------------------------------------------------------------------

namespace {

/// The image that the file is of: fixations_on_surface_NAME.csv is of NAME.
std::string pupil_image(const Table& table, const GazeOptions& options) {
  if (!options.image.empty()) return image_name(options.image);
  const std::string file = image_name(table.path()), mark = "_on_surface_";
  const size_t at = file.find(mark);
  const std::string name = at == file.npos ? file : file.substr(at + mark.size());
  if (name.empty() || is_one_of(name, {"fixations", "gaze_positions"}))
    table.fail(
        "does not say which image was looked at: expected --image NAME, or a file fixations_on_surface_NAME.csv");
  return name;
}

}  // namespace

Content read_pupil(Table& table, const GazeOptions& options) {
  constexpr double least_confidence = 0.6;  // of a sample that counts, Pupil Player's own default
  const bool samples = !options.detect.method.empty();
  const size_t x = table.require({"norm_pos_x", "x_norm"}), y = table.require({"norm_pos_y", "y_norm"}),
               time = table.require(samples ? "gaze_timestamp" : "start_timestamp"),
               duration = samples ? time : table.require("duration"),
               id = samples ? time : table.require({"fixation_id", "id"});
  const auto confidence = table.find("confidence");
  const std::string name = pupil_image(table, options);
  const Viewing& viewing = options.viewing;
  Content content;
  content.samples = samples;
  std::map<int64_t, std::vector<std::pair<double, double>>> places;  // of a fixation: a row for each camera frame
  while (table.next()) {
    const double now = table.milliseconds(time, "s");
    Look& look = look_at(content, table, name, "", now);
    look.shown = shown_on(viewing);
    const auto px = table.number_if_any(x), py = table.number_if_any(y);
    const bool unsure = samples && confidence && table.number(*confidence) < least_confidence;
    double u = px && py && !unsure ? *px : lost, v = px && py && !unsure ? 1 - *py : lost;  // origin bottom left
    if (viewing.image.known() && viewing.screen_width > 0) {                                // the surface is the screen
      u = (u * viewing.screen_width - viewing.image.x) / viewing.image.width;
      v = (v * viewing.screen_height - viewing.image.y) / viewing.image.height;
    }
    if (samples) {
      look.records.push_back({u, v, now, 0, 0, table.line()});
      continue;
    }
    const int64_t index = table.whole(id, 0);
    auto& frames = places[index];
    if (frames.empty()) look.records.push_back({u, v, now, table.duration(duration), index, table.line()});
    frames.emplace_back(u, v);
  }
  if (samples) return content;
  // The surface moves in the camera's picture, and a fixation's place on it with it: the mean over its frames.
  for (auto& [image, look] : content.looks)
    for (Record& r : look.records) {
      const auto& frames = places[r.index];
      r.x = r.y = 0;
      for (const auto& [u, v] : frames) r.x += u / double(frames.size()), r.y += v / double(frames.size());
    }
  return content;
}

// ---- Plain ----------------------------------------------------------------------------------------------------------

Content read_plain(Table& table, const GazeOptions& options) {
  const bool samples = !options.detect.method.empty();
  const size_t x = table.require("x"), y = table.require("y"), duration = samples ? x : table.require("duration");
  const auto time = samples ? std::optional(table.require("time")) : table.find("start"), image = table.find("image");
  const Place place = {x, y, table.columns()[x].unit == "px"};
  Content content;
  content.samples = samples;
  content.has_times = time.has_value();
  while (table.next()) {
    const double now = time ? table.milliseconds(*time) : 0;
    Look& look =
        look_at(content, table, image ? image_in(table, *image) : only_image(table, options), "", samples ? now : 0);
    look.shown = shown_on(options.viewing);
    const auto [u, v] =
        samples || place.on_screen ? position(table, place, look.shown) : std::pair(table.number(x), table.number(y));
    look.records.push_back(
        {u, v, now, samples ? 0 : table.duration(duration), int64_t(look.records.size()) + 1, table.line()});
  }
  return content;
}

}  // namespace gt
