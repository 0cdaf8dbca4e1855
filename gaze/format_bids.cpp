// BIDS eye tracking: NAME_physio.tsv.gz with its sidecar NAME_physio.json and, in one folder, NAME_physioevents.tsv.gz
// with the tracker's fixations and NAME_events.tsv with the images (Brain Imaging Data Structure 1.11, "Physiological
// recordings", https://bids-specification.readthedocs.io). Positions are in pixels of the screen.
#include <algorithm>
#include <cmath>
#include <filesystem>

#include "core/io.h"
#include "core/json.h"
#include "core/text.h"
#include "gaze/formats.h"

namespace gt {
namespace {

/// The part of a path before its suffix "_physio.tsv" or "_physio.tsv.gz"; "" for other paths.
std::string stem_of(const std::string& path) {
  for (const char* end : {"_physio.tsv.gz", "_physio.tsv"})
    if (path.ends_with(end)) return path.substr(0, path.size() - std::string(end).size());
  return "";
}

/// The stem without the entity "_recording-LABEL": events of the task belong to all recordings.
std::string task_stem(const std::string& stem) {
  const size_t at = stem.rfind("_recording-");
  if (at == stem.npos || at < stem.find_last_of('/') + 1) return stem;
  const size_t next = stem.find('_', at + 1);
  return stem.substr(0, at) + (next == stem.npos ? "" : stem.substr(next));
}

Json read_sidecar(const std::string& path) {
  if (!path_exists(path)) fail(path, ": expected this file, the sidecar of the recording, there is none");
  return parse_json(read_file(path), path);
}

std::vector<std::string> columns_of(const Json& sidecar, const std::string& path) {
  std::vector<std::string> columns;
  for (const Json& column : json_list(sidecar, "Columns", path)) {
    if (!column.is_string()) fail(path, ": Columns: expected a list of names");
    columns.push_back(column.get<std::string>());
  }
  return columns;
}

/// The unit of a column by the sidecar, in lower case; "" if it gives none.
std::string unit_of(const Json& sidecar, const std::string& column, const std::string& path) {
  if (!sidecar.contains(column) || !sidecar[column].is_object() || !sidecar[column].contains("Units")) return "";
  return lower(json_string(sidecar[column], "Units", path + ": " + column));
}

/// ms of one unit of time. Throws Error for other units.
double milliseconds_of(const std::string& unit, const std::string& where) {
  if (is_one_of(unit, {"s", "sec", "second", "seconds"})) return 1000;
  if (is_one_of(unit, {"ms", "millisecond", "milliseconds"})) return 1;
  if (is_one_of(unit, {"us", "microsecond", "microseconds"})) return 1e-3;
  if (is_one_of(unit, {"ns", "nanosecond", "nanoseconds"})) return 1e-6;
  fail(where, ": expected Units s, ms, us or ns, got ", gt::quoted(unit));
}

/// Throws Error if a key is there and has another word than these.
void check_word(const Json& sidecar, const char* key, std::initializer_list<std::string_view> words,
                const std::string& path) {
  if (!sidecar.contains(key)) return;
  const std::string word = json_string(sidecar, key, path);
  if (!is_one_of(lower(word), words)) fail(path, ": ", key, ": expected ", *words.begin(), ", got ", gt::quoted(word));
}

void check_coordinates(const Json& sidecar, const std::string& path) {
  check_word(sidecar, "PhysioType", {"eyetrack"}, path);
  check_word(sidecar, "SampleCoordinateSystem", {"gaze-on-screen"}, path);
  check_word(sidecar, "EnvironmentCoordinates", {"top-left"}, path);
  for (const char* key : {"SampleCoordinateUnits", "SampleCoordinateUnit"})
    check_word(sidecar, key, {"pixel", "pixels", "px"}, path);
  const bool stated = sidecar.contains("SampleCoordinateUnits") || sidecar.contains("SampleCoordinateUnit");
  for (const char* column : {"x_coordinate", "y_coordinate"}) {
    const std::string unit = unit_of(sidecar, column, path);
    if (!is_one_of(unit, {"pixel", "pixels", "px"}) && !(unit.empty() && stated))
      fail(path, ": ", column, ": expected Units pixel, got ", gt::quoted(unit));
  }
}

// ---- The screen -----------------------------------------------------------------------------------------------------

/// Completes the options' view of the screen by ScreenResolution, of the recording or of the task. Throws Error if they
/// contradict.
Viewing viewing_of(const Json& sidecar, const std::string& path, const std::string& task, const GazeOptions& options) {
  Viewing viewing = options.viewing;
  Json about = sidecar;
  std::string where = path;
  const std::string events = task + "_events.json";
  if (!about.contains("ScreenResolution") && !about.contains("StimulusPresentation") && path_exists(events))
    about = parse_json(read_file(events), events), where = events;
  if (about.contains("StimulusPresentation")) about = json_object(about, "StimulusPresentation", where);
  if (about.contains("ScreenOrigin") && about["ScreenOrigin"] != Json({"top", "left"}))
    fail(where, ": ScreenOrigin: expected [\"top\", \"left\"]");
  if (about.contains("ScreenResolution")) {
    const Json& sides = json_list(about, "ScreenResolution", where);
    if (sides.size() != 2 || !sides[0].is_number() || !sides[1].is_number() || sides[0] <= 0 || sides[1] <= 0)
      fail(where, ": ScreenResolution: expected [WIDTH, HEIGHT] in pixels");
    const double width = sides[0], height = sides[1];
    if (viewing.screen_width > 0 && (viewing.screen_width != width || viewing.screen_height != height))
      fail(where, ": ScreenResolution is ", width, "x", height, ", --screen says ", viewing.screen_width, "x",
           viewing.screen_height);
    if (viewing.image_width > 0 && viewing.screen_width == 0) {
      viewing.screen_width = width, viewing.screen_height = height;
      viewing.centre_image();
    }
  }
  if (viewing.image_width > 0 && !viewing.image.known())
    fail(path, ": gives no ScreenResolution: expected --screen WxH with --image-size");
  return viewing;
}

// ---- Images ---------------------------------------------------------------------------------------------------------

struct ShownImage {
  std::string name, where;
  double onset = 0, end = 0;  // ms since the task's start
};

/// The images of the task's events: rows with a stim_file.
std::vector<ShownImage> images_of_events(const std::string& path) {
  std::vector<ShownImage> images;
  Table table(path);
  const size_t onset = table.require("onset"), duration = table.require("duration"),
               file = table.require({"stim_file", "stimulus_file"});
  while (table.next()) {
    if (is_one_of(table.word(file), {"n/a", ""})) continue;
    const double start = table.milliseconds(onset, "s"), length = table.duration(duration, "s");
    if (length == 0) table.fail("column duration: expected the time in s for which the image was shown, got 0");
    if (!images.empty() && start < images.back().end)
      table.fail("the image appears at ", start, " ms, while that of ", images.back().where,
                 " is shown: ", "expected one image at a time");
    images.push_back({image_in(table, file), str_cat(path, ":", table.line()), start, start + length});
  }
  if (images.empty()) fail(path, ": has no row with a stim_file, expected the images or --image NAME");
  return images;
}

std::vector<ShownImage> shown_images(const Table& table, const std::string& task, const GazeOptions& options) {
  if (!options.image.empty()) return {{image_name(options.image, table.path()), table.path(), -1e300, 1e300}};
  const std::string events = task + "_events.tsv";
  if (!path_exists(events))
    fail(table.path(), ": does not say which image was looked at: expected --image NAME or the file ", events);
  return images_of_events(events);
}

// ---- Samples and fixations ------------------------------------------------------------------------------------------

struct Clock {
  double first = 0;     // time stamp of the first sample
  double unit = 0;      // ms of one unit of the time stamps; 0: there are none
  double start = 0;     // ms since the task's start of the first sample
  double interval = 0;  // ms between samples
};

/// The samples in pixels of the screen, with times in ms since the task's start.
std::vector<Record> read_samples(Table& table, const Json& sidecar, const std::string& path, Clock& clock) {
  const size_t x = table.require("x_coordinate"), y = table.require("y_coordinate");
  const auto stamp = table.find_any({"timestamp", "time"});
  clock.interval = 1000 / json_number(sidecar, "SamplingFrequency", path, 1e-3, 1e6);
  if (sidecar.contains("StartTime")) clock.start = 1000 * json_number(sidecar, "StartTime", path);
  if (stamp) {
    const std::string& name = table.columns()[*stamp].label;
    clock.unit = milliseconds_of(unit_of(sidecar, name, path), path + ": " + name);
  }
  std::vector<Record> samples;
  while (table.next()) {
    double time = clock.start + double(samples.size()) * clock.interval;
    if (stamp) {
      const double now = table.number(*stamp);
      if (samples.empty()) clock.first = now;
      time = clock.start + (now - clock.first) * clock.unit;
    }
    const auto u = table.number_if_any(x), v = table.number_if_any(y);
    samples.push_back({u.value_or(no_position), v.value_or(no_position), time, 0, 0, table.line()});
    if (samples.size() > 1 && time <= samples[samples.size() - 2].time)
      table.fail("column ", table.columns()[*stamp].label, ": the sample is not after the one before");
  }
  std::vector<double> steps;
  for (size_t i = 1; i < samples.size(); ++i) steps.push_back(samples[i].time - samples[i - 1].time);
  if (!steps.empty() && (median(steps) < clock.interval / 2 || median(steps) > clock.interval * 2))
    fail(table.path(), ": samples are ", median(steps), " ms apart, SamplingFrequency says ", clock.interval,
         " ms: the Units of the time stamps or the frequency in ", path, " are wrong");
  return samples;
}

/// The mean position of the samples in [from, to]; no_position without any.
std::pair<double, double> mean_position(const std::vector<Record>& samples, double from, double to) {
  double x = 0, y = 0;
  int64_t count = 0;
  const auto before = [](const Record& r, double time) { return r.time < time; };
  for (auto at = std::lower_bound(samples.begin(), samples.end(), from, before); at != samples.end() && at->time <= to;
       ++at)
    if (!std::isnan(at->x) && !std::isnan(at->y) && (at->x != 0 || at->y != 0)) x += at->x, y += at->y, ++count;
  if (count == 0) return {no_position, no_position};
  return {x / double(count), y / double(count)};
}

/// The fixations of the recording's events, in pixels of the screen.
std::vector<Record> read_fixations(const Table& table, const std::string& stem, const std::vector<Record>& samples,
                                   const Clock& clock) {
  std::string path = stem + "_physioevents.tsv.gz";
  if (!path_exists(path)) path = stem + "_physioevents.tsv";
  if (!path_exists(path))
    fail(table.path(), ": holds samples, and there is no file ", stem,
         "_physioevents.tsv.gz with fixations: expected it, or --detect idt or ivt");
  const std::string about_path = stem + "_physioevents.json";
  const Json about = read_sidecar(about_path);
  if (about.contains("OnsetSource") && !is_one_of(json_string(about, "OnsetSource", about_path), {"timestamp", "time"}))
    fail(about_path, ": OnsetSource: expected timestamp");
  if (clock.unit == 0) fail(about_path, ": onsets are time stamps, which the samples of ", table.path(), " lack");
  Table events(path);
  events.use_header(columns_of(about, about_path));
  const size_t onset = events.require("onset"), duration = events.require("duration"),
               type = events.require("trial_type");
  const auto unit = [&](const char* column, double usual) {
    const std::string word = unit_of(about, column, about_path);
    return word.empty() ? usual : milliseconds_of(word, about_path + ": " + column);
  };
  const double onset_unit = unit("onset", clock.unit), duration_unit = unit("duration", onset_unit);
  std::vector<Record> fixations;
  while (events.next()) {
    if (lower(events.word(type)) != "fixation") continue;
    const double from = clock.start + (events.number(onset) * onset_unit - clock.first * clock.unit),
                 length = events.number(duration) * duration_unit;
    if (length <= 0) events.fail("column duration: expected that of a fixation, got ", events.word(duration));
    if (!fixations.empty() && from <= fixations.back().time)
      events.fail("the fixation does not start after that of line ", fixations.back().line);
    if (from < samples.front().time - clock.interval || from + length > samples.back().time + 2 * clock.interval)
      events.fail("the fixation from ", from, " to ", from + length, " ms is outside of the samples, ",
                  samples.front().time, " to ", samples.back().time, " ms: expected Units of onset and duration in ",
                  about_path, " that fit");
    const auto [x, y] = mean_position(samples, from, from + length);
    fixations.push_back({x, y, from, length, 0, events.line()});
  }
  return fixations;
}

/// Moves records to the images during which they began.
void add_to_images(GazeFile& file, const Table& table, const std::vector<ShownImage>& images,
                   const std::vector<Record>& records, const Viewing& viewing) {
  const Rectangle shown = image_rectangle(viewing);
  if (!shown.known())
    fail(table.path(),
         ": positions are in pixels of the screen: expected the image's place there (gradtrack fixations "
         "--image-rect, --image-size or --screen)");
  size_t next = 0;
  for (Record r : records) {
    while (next < images.size() && r.time >= images[next].end) ++next;
    if (next == images.size()) break;
    const ShownImage& image = images[next];
    if (r.time < image.onset) {
      file.dropped.early += next == 0 && !file.samples;
      continue;
    }
    const double onset = std::max(image.onset, records.front().time);
    ImageRecording& recording = recording_of(file, image.where, image.name, image.where, onset);
    recording.shown = shown;
    r.index = int64_t(recording.records.size()) + 1;
    place_on_image(file, r, shown);
    recording.records.push_back(r);
  }
  if (file.recordings.empty())
    fail(table.path(), ": no ", file.samples ? "sample" : "fixation", " falls on an image of ", images.front().where,
         ": expected onsets in s since the start of the recording, see StartTime");
}

}  // namespace

bool recognises_bids(const Table& header) { return !stem_of(header.path()).empty(); }

GazeFile read_bids(Table& table, const GazeOptions& options) {
  const std::string stem = stem_of(table.path()), task = task_stem(stem), path = stem + "_physio.json";
  if (stem.empty()) fail(table.path(), ": expected a file NAME_physio.tsv.gz with NAME_physio.json");
  const Json sidecar = read_sidecar(path);
  table.use_header(columns_of(sidecar, path));
  check_coordinates(sidecar, path);
  const Viewing viewing = viewing_of(sidecar, path, task, options);
  const std::vector<ShownImage> images = shown_images(table, task, options);
  Clock clock;
  GazeFile file;
  file.samples = !options.detect.method.empty();
  const std::vector<Record> samples = read_samples(table, sidecar, path, clock);
  if (samples.empty()) fail(table.path(), ": expected samples, there are none");
  add_to_images(file, table, images, file.samples ? samples : read_fixations(table, stem, samples, clock), viewing);
  file.clock = "ms from the image's onset";
  return file;
}

}  // namespace gt
