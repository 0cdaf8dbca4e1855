#include "gaze/readers.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "gaze/formats.h"
#include "gaze/image_fit.h"

namespace gt {
namespace {

constexpr size_t max_fixations = 10000;  // of an image

// ---- Units ----------------------------------------------------------------------------------------------------------

/// Throws Error if times look like those of another unit than assumed, unless an option says the unit: durations that
/// no eye has. If the file does not declare the unit, two more things are checked. Starts must rise about as the
/// durations say, and samples must follow one another as a tracker's do.
void check_times(const std::string& path, const GazeFile& file, const GazeOptions& options) {
  if (!options.time_unit.empty()) return;
  std::vector<double> durations, gaps, steps;  // ms, in durations, ms
  for (const auto& [image, recording] : file.recordings)
    for (size_t i = 0; i < recording.records.size(); ++i) {
      const Record& r = recording.records[i];
      if (r.duration > 0) durations.push_back(r.duration);
      if (i == 0) continue;
      const Record& before = recording.records[i - 1];
      if (r.time > before.time) steps.push_back(r.time - before.time);
      if (r.time > before.time && before.duration > 0) gaps.push_back((r.time - before.time) / before.duration);
    }
  const auto refuse = [&](const std::string& what) {
    fail(path, ": times were expected in ms, ", what, ": expected the unit in the columns' names, such as [ms], or ",
         "gradtrack fixations --time-unit");
  };
  if (!durations.empty() && median(durations) > 60000)
    refuse(str_cat("durations are ", median(durations), " in the middle and look like microseconds"));
  if (file.sure_of_clock) return;
  if (!durations.empty() && median(durations) < 10)
    refuse(str_cat("durations are ", median(durations), " in the middle and look like seconds"));
  if (!file.samples && file.has_times && !gaps.empty() && median(gaps) < 0.1)
    refuse("fixations start less than a tenth of their durations apart; starts look like seconds");
  if (!file.samples && file.has_times && !gaps.empty() && median(gaps) > 500)
    refuse("fixations start over 500 durations apart; starts look like microseconds");
  if (file.samples && !steps.empty() && median(steps) < 0.1)
    refuse(str_cat("samples are ", median(steps), " apart and look like seconds"));
  if (file.samples && !steps.empty() && median(steps) > 400)
    refuse(str_cat("samples are ", median(steps), " apart and look like microseconds"));
}

// ---- Fixations of the file ------------------------------------------------------------------------------------------

/// Sorts fixations by index and checks that their start times rise.
void sort_fixations(const std::string& path, ImageRecording& recording) {
  std::vector<Record>& records = recording.records;
  std::stable_sort(records.begin(), records.end(), [](const Record& a, const Record& b) { return a.index < b.index; });
  for (size_t i = 1; i < records.size(); ++i) {
    const Record &before = records[i - 1], &record = records[i];
    if (record.index == before.index)
      fail(path, ":", record.line, ": fixation ", record.index, " of image ", recording.track.image,
           " was given on line ", before.line, " already");
    if (record.time < before.time)
      fail(path, ":", record.line, ": fixation ", record.index, " of image ", recording.track.image,
           " is out of order: it starts at ", record.time, " ms, before fixation ", before.index, " on line ",
           before.line, " (", before.time, " ms)");
  }
}

/// Start times of fixations that follow one another without gaps.
void set_times(std::vector<Record>& records) {
  double time = 0;
  for (Record& record : records) {
    record.time = time;
    time += record.duration;
  }
}

// ---- Fixations detected in samples ----------------------------------------------------------------------------------

/// The samples in the thresholds' unit: pixels of the screen or, if its width in mm and its distance are known, degrees
/// from its centre.
std::vector<GazeSample> to_threshold_units(const std::string& path, const ImageRecording& recording,
                                           const Viewing& viewing) {
  const Rectangle& shown = recording.shown;
  if (!shown.known())
    fail(path, ": positions on image ", recording.track.image,
         " are in image sides, the thresholds in pixels or degrees: expected the image's place on the screen "
         "(--image-rect, --image-size or --screen)");
  const bool degrees = viewing.distance_mm > 0;
  if (degrees && !(viewing.screen_mm > 0 && viewing.screen_width > 0))
    fail(path,
         ": a viewing distance is given: expected the screen's width in mm and in pixels too (--screen-mm, --screen)");
  const auto angle = [&](double pixels, double side) {
    const double mm = (pixels - side / 2) * viewing.screen_mm / viewing.screen_width;
    return std::atan(mm / viewing.distance_mm) * 180 / std::numbers::pi;
  };
  std::vector<GazeSample> samples;
  for (const Record& r : recording.records) {
    const double x = shown.x + r.x * shown.width, y = shown.y + r.y * shown.height;
    samples.push_back(degrees ? GazeSample{r.time, angle(x, viewing.screen_width), angle(y, viewing.screen_height)}
                              : GazeSample{r.time, x, y});
  }
  return samples;
}

/// Removes samples without a position and those at the time of the sample before. Counts the lost ones.
void clean_samples(const std::string& path, ImageRecording& recording, Dropped& dropped) {
  std::vector<Record> kept;
  for (const Record& r : recording.records) {
    dropped.lost += r.lost;
    if (std::isnan(r.x) || std::isnan(r.y)) continue;
    if (!kept.empty() && r.time < kept.back().time)
      fail(path, ":", r.line, ": a sample of image ", recording.track.image, " is out of order: its time is ", r.time,
           " ms, that of line ", kept.back().line, " is ", kept.back().time, " ms");
    if (kept.empty() || r.time > kept.back().time) kept.push_back(r);
  }
  recording.records = std::move(kept);
}

/// Replaces samples by the fixations detected in them, each at the mean of its samples.
void detect(const std::string& path, const GazeOptions& options, ImageRecording& recording, Dropped& dropped) {
  clean_samples(path, recording, dropped);
  const std::vector<Record>& samples = recording.records;
  std::vector<Record> fixations;
  for (const auto& [begin, end] :
       detect_fixations(to_threshold_units(path, recording, options.viewing), options.detect)) {
    Record f = samples[begin];
    f.x = f.y = 0;
    for (size_t i = begin; i < end; ++i) f.x += samples[i].x, f.y += samples[i].y;
    f.x /= double(end - begin), f.y /= double(end - begin);
    f.duration = samples[end - 1].time - f.time;
    fixations.push_back(f);
  }
  recording.records = std::move(fixations);
}

// ---- Cleaning -------------------------------------------------------------------------------------------------------

/// Moves the usable fixations into the recording's track. Throws Error if there are too many of them.
void fill_track(const std::string& path, const GazeOptions& options, ImageRecording& recording, Dropped& dropped) {
  const auto inside = [](double v) { return v >= 0 && v <= 1; };
  for (const Record& r : recording.records) {
    if (r.lost || (r.x == 0 && r.y == 0))  // the image's corner, as if the eye were lost
      ++dropped.lost;
    else if (std::isnan(r.x) || std::isnan(r.y))
      ++dropped.unplaced;
    else if (!inside(r.x) || !inside(r.y))
      ++dropped.outside;
    else if (r.duration < options.min_duration)
      ++dropped.brief;
    else
      recording.track.fixations.push_back({r.x, r.y, r.duration, r.time - recording.onset});
  }
  if (recording.track.fixations.size() > max_fixations)
    fail(path, ": image ", recording.track.image, " has ", recording.track.fixations.size(),
         " fixations, expected at most ", max_fixations, "; samples are read with gradtrack fixations --detect");
}

/// The area of the screen in which each image has its own rectangle.
Rectangle fitting_area(const GazeOptions& options) {
  const Viewing& v = options.viewing;
  if (v.screen_width == 0 || options.images.empty() || v.image_width > 0 || (v.fit == "native" && v.image.known()))
    fail("--fit ", v.fit, ": expected --screen WxH and --images DIR, and no --image-size",
         v.fit == "native" ? " or --image-rect" : "");
  return image_rectangle(v);
}

}  // namespace

Gaze read_gaze(const std::string& path, const GazeOptions& given) {
  GazeOptions options = given;
  const bool fits = !given.viewing.fit.empty();
  if (fits) options.viewing.image = fitting_area(given);
  Table table(path, options.encoding, options.decimal);
  const GazeFormat& format = format_of(table, options);
  GazeFile file = format.read(table, options);
  if (fits) fit_images(path, file, options);
  Gaze gaze;
  gaze.format = format.name;
  gaze.simulated = file.simulated;
  gaze.assumed = assumed_text(file) + (table.assumed_latin1() ? "; text in Latin-1 (assumed)" : "");
  check_positions(path, file.positions);
  check_times(path, file, options);
  gaze.dropped = file.dropped;
  for (auto at = file.recordings.begin(); at != file.recordings.end(); at = file.recordings.erase(at)) {
    auto& [image, recording] = *at;  // erased as soon as it is a track: there may be millions
    if (file.samples) {
      detect(path, options, recording, gaze.dropped);
    } else {
      if (!file.has_times) set_times(recording.records);
      sort_fixations(path, recording);
    }
    fill_track(path, options, recording, gaze.dropped);
    if (!recording.track.fixations.empty()) gaze.tracks.emplace(image, std::move(recording.track));
  }
  if (gaze.tracks.empty())
    fail(path, ": expected fixations, the file has none that can be used; dropped: ",
         dropped_text(gaze.dropped, options.min_duration));
  return gaze;
}

std::string dropped_text(const Dropped& dropped, double min_duration) {
  return str_cat(dropped.outside, " outside the image, ", dropped.brief, " shorter than ", min_duration, " ms, ",
                 dropped.unplaced, " without a position, ", dropped.early, " begun before the image, ", dropped.blinks,
                 " next to a blink, ", dropped.lost, " lost, at (0, 0)");
}

}  // namespace gt
