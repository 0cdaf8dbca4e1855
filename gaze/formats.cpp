#include "gaze/formats.h"

#include <algorithm>
#include <utility>

namespace gt {

// ---- What the formats share -----------------------------------------------------------------------------------------

Rectangle shown_on(const Viewing& viewing) {
  if (viewing.image.known()) return viewing.image;
  return {0, 0, viewing.screen_width, viewing.screen_height};
}

std::pair<double, double> position(const Table& table, const PositionColumns& place, const Rectangle& shown) {
  const auto x = table.number_if_any(place.x), y = table.number_if_any(place.y);
  if (!x || !y) return {lost, lost};
  if (!place.on_screen) return {*x, *y};
  if (!shown.known())
    table.fail("column ", table.columns()[place.x].label,
               " is in pixels of the screen: expected the image's place there (gradtrack fixations --image-rect, "
               "--image-size or --screen)");
  return {(*x - shown.x) / shown.width, (*y - shown.y) / shown.height};
}

PositionColumns position_columns(const Table& table, const std::string& x, const std::string& y) {
  if (const auto u = table.find(x, {"mcsnorm"}), v = table.find(y, {"mcsnorm"}); u && v) return {*u, *v, false};
  const auto u = table.find(x, {"", "px", "dacspx"}), v = table.find(y, {"", "px", "dacspx"});
  if (u && v) return {*u, *v, true};
  table.fail("expected columns ", x, " and ", y, " in pixels or (MCSnorm), got ", table.column_list());
}

ImageRecording& look_at(GazeFile& content, const Table& table, const std::string& image, const std::string& recording,
                        double time) {
  const auto [at, fresh] = content.looks.try_emplace(image);
  ImageRecording& look = at->second;
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

Recordings::Recordings(const Table& table, const GazeOptions& options, std::initializer_list<std::string_view> names)
    : wanted_(options.recording) {
  for (const std::string_view name : names)
    if (const auto at = table.find(name)) columns_.push_back(*at);
}

bool Recordings::wants(const Table& table) {
  if (wanted_.empty()) return true;
  const bool one = std::any_of(columns_.begin(), columns_.end(), [&](size_t c) { return table.word(c) == wanted_; });
  found_ |= one;
  if (!one && !columns_.empty()) others_.insert(table.word(columns_[0]));
  return one;
}

std::string Recordings::name(const Table& table) const {
  std::string name = "recording";
  for (const size_t c : columns_) name += " " + table.word(c);
  return name;
}

void Recordings::check(const Table& table) const {
  if (wanted_.empty() || found_) return;
  std::string others;
  for (const std::string& o : others_) others += (others.empty() ? "" : ", ") + o;
  fail(table.path(), ": has no recording '", wanted_, "', only ", others.empty() ? "unnamed ones" : shown(others));
}

namespace {

/// The image of a file of one image.
std::string only_image(const Table& table, const GazeOptions& options) {
  return image_name(options.image.empty() ? table.path() : options.image);
}

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

GazeFile read_gazemedseg(Table& table, const GazeOptions& options) {
  if (!options.detect.method.empty()) table.fail("holds fixations: there are no samples to detect them in");
  const size_t image = table.require("IMAGE"), index = table.require("CURRENT_FIX_INDEX"),
               x = table.require("CURRENT_FIX_X"), y = table.require("CURRENT_FIX_Y"),
               duration = table.require("CURRENT_FIX_DURATION");
  const auto start = table.find("CURRENT_FIX_START"), height = table.find("IMAGE_HEIGHT"),
             width = table.find("IMAGE_WIDTH"), simulated = table.find("SIMULATED");
  GazeFile content;
  content.has_times = start.has_value();
  while (table.next()) {
    ImageRecording& look = look_at(content, table, image_in(table, image), "", 0);
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
GazeFile read_eyelink_samples(Table& table, const GazeOptions& options) {
  const size_t image = eyelink_image_column(table, options), time = table.require({"TIMESTAMP", "SAMPLE_INDEX"});
  const PositionColumns place = {table.require({"AVERAGE_GAZE_X", "RIGHT_GAZE_X", "LEFT_GAZE_X"}),
                                 table.require({"AVERAGE_GAZE_Y", "RIGHT_GAZE_Y", "LEFT_GAZE_Y"}), true};
  Recordings recordings(table, options, {"RECORDING_SESSION_LABEL", "TRIAL_INDEX"});
  GazeFile content;
  content.samples = true;
  while (table.next()) {
    if (!recordings.wants(table) || is_one_of(table.word(image), {"", "."})) continue;
    const double now = table.milliseconds(time);
    ImageRecording& look = look_at(content, table, image_in(table, image), recordings.name(table), now);
    look.shown = shown_on(options.viewing);
    const auto [x, y] = position(table, place, look.shown);
    look.records.push_back({x, y, now, 0, 0, table.line()});
  }
  recordings.check(table);
  return content;
}

}  // namespace

GazeFile read_eyelink(Table& table, const GazeOptions& options) {
  if (!options.detect.method.empty()) return read_eyelink_samples(table, options);
  const size_t image = eyelink_image_column(table, options), index = table.require("CURRENT_FIX_INDEX"),
               duration = table.require("CURRENT_FIX_DURATION"), start = table.require("CURRENT_FIX_START");
  const PositionColumns place = {table.require("CURRENT_FIX_X"), table.require("CURRENT_FIX_Y"), true};
  const auto blink = table.find("CURRENT_FIX_BLINK_AROUND");
  if (options.drop_blinks && !blink)
    table.fail("expected a column CURRENT_FIX_BLINK_AROUND, got ", table.column_list());
  Recordings recordings(table, options, {"RECORDING_SESSION_LABEL", "TRIAL_INDEX"});
  GazeFile content;
  while (table.next()) {
    if (!recordings.wants(table) || is_one_of(table.word(image), {"", "."})) continue;
    ImageRecording& look = look_at(content, table, image_in(table, image), recordings.name(table), 0);
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

GazeFile read_pupil(Table& table, const GazeOptions& options) {
  constexpr double min_confidence = 0.6;  // of a sample that counts, Pupil Player's own default
  const bool samples = !options.detect.method.empty();
  const size_t x = table.require({"norm_pos_x", "x_norm"}), y = table.require({"norm_pos_y", "y_norm"}),
               time = table.require(samples ? "gaze_timestamp" : "start_timestamp"),
               duration = samples ? time : table.require("duration"),
               id = samples ? time : table.require({"fixation_id", "id"});
  const auto confidence = table.find("confidence");
  const std::string name = pupil_image(table, options);
  const Viewing& viewing = options.viewing;
  GazeFile content;
  content.samples = samples;
  std::map<int64_t, std::vector<std::pair<double, double>>> places;  // of a fixation: a row for each camera frame
  while (table.next()) {
    const double now = table.milliseconds(time, "s");
    ImageRecording& look = look_at(content, table, name, "", now);
    look.shown = shown_on(viewing);
    const auto px = table.number_if_any(x), py = table.number_if_any(y);
    const bool unsure = samples && confidence && table.number(*confidence) < min_confidence;
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

GazeFile read_plain(Table& table, const GazeOptions& options) {
  const bool samples = !options.detect.method.empty();
  const size_t x = table.require("x"), y = table.require("y"), duration = samples ? x : table.require("duration");
  const auto time = samples ? std::optional(table.require("time")) : table.find("start"), image = table.find("image");
  const PositionColumns place = {x, y, table.columns()[x].unit == "px"};
  GazeFile content;
  content.samples = samples;
  content.has_times = time.has_value();
  while (table.next()) {
    const double now = time ? table.milliseconds(*time) : 0;
    ImageRecording& look =
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
