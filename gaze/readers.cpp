#include "gaze/readers.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "gaze/formats.h"

namespace gt {

namespace {

// ---- Fixations, as the file has them --------------------------------------------------------------------------------

/// Orders fixations by index and checks that they are one sequence in time.
void order(const std::string& path, ImageRecording& look) {
  std::vector<Record>& records = look.records;
  std::stable_sort(records.begin(), records.end(), [](const Record& a, const Record& b) { return a.index < b.index; });
  for (size_t i = 1; i < records.size(); ++i) {
    const Record &before = records[i - 1], &record = records[i];
    if (record.index == before.index)
      fail(path, ":", record.line, ": fixation ", record.index, " of image ", look.track.image, " was given on line ",
           before.line, " already");
    if (record.time < before.time)
      fail(path, ":", record.line, ": fixation ", record.index, " of image ", look.track.image,
           " is out of order: it starts at ", record.time, " ms, before fixation ", before.index, " on line ",
           before.line, " (", before.time, " ms)");
  }
}

/// Where the file has no start times, fixations follow one another without gaps.
void set_times(std::vector<Record>& records) {
  double time = 0;
  for (Record& record : records) {
    record.time = time;
    time += record.duration;
  }
}

// ---- Fixations, from samples ----------------------------------------------------------------------------------------

/// Samples with a position, in pixels of the screen or, where the screen's size in mm and its distance are known, in
/// degrees from its centre.
std::vector<GazeSample> to_threshold_units(const std::string& path, const ImageRecording& look,
                                           const Viewing& viewing) {
  const Rectangle& shown = look.shown;
  if (!shown.known())
    fail(path, ": positions on image ", look.track.image,
         " are in image sides, the thresholds in pixels or degrees: expected the image's place on the screen "
         "(--image-rect, --image-size or --screen)");
  const bool degrees = viewing.distance_mm > 0;
  if (degrees && !(viewing.screen_mm > 0 && viewing.screen_width > 0))
    fail("a viewing distance is given: expected the screen's width in mm and in pixels too");
  const auto angle = [&](double pixels, double side) {
    const double mm = (pixels - side / 2) * viewing.screen_mm / viewing.screen_width;
    return std::atan(mm / viewing.distance_mm) * 180 / std::numbers::pi;
  };
  std::vector<GazeSample> samples;
  for (const Record& r : look.records) {
    const double x = shown.x + r.x * shown.width, y = shown.y + r.y * shown.height;
    samples.push_back(degrees ? GazeSample{r.time, angle(x, viewing.screen_width), angle(y, viewing.screen_height)}
                              : GazeSample{r.time, x, y});
  }
  return samples;
}

/// Leaves the samples that have a position and follow one another in time.
void clean_samples(const std::string& path, ImageRecording& look) {
  std::vector<Record> kept;
  for (const Record& r : look.records) {
    if (std::isnan(r.x) || std::isnan(r.y)) continue;
    if (!kept.empty() && r.time < kept.back().time)
      fail(path, ":", r.line, ": a sample of image ", look.track.image, " is out of order: it is of ", r.time,
           " ms, that on line ", kept.back().line, " of ", kept.back().time, " ms");
    if (kept.empty() || r.time > kept.back().time) kept.push_back(r);
  }
  look.records = std::move(kept);
}

void detect(const std::string& path, const GazeOptions& options, ImageRecording& look) {
  clean_samples(path, look);
  std::vector<Record> fixations;
  for (const auto& [begin, end] : detect_fixations(to_threshold_units(path, look, options.viewing), options.detect)) {
    Record f = look.records[begin];
    f.x = f.y = 0;
    for (size_t i = begin; i < end; ++i) f.x += look.records[i].x, f.y += look.records[i].y;
    f.x /= double(end - begin), f.y /= double(end - begin);
    f.duration = look.records[end - 1].time - f.time;
    fixations.push_back(f);
  }
  look.records = std::move(fixations);
}

// ---- Cleaning -------------------------------------------------------------------------------------------------------

void clean(const GazeOptions& options, ImageRecording& look, Dropped& dropped) {
  const auto inside = [](double v) { return v >= 0 && v <= 1; };
  for (const Record& r : look.records) {
    if (std::isnan(r.x) || std::isnan(r.y))
      ++dropped.unplaced;
    else if (!inside(r.x) || !inside(r.y))
      ++dropped.outside;
    else if (r.duration < options.min_duration)
      ++dropped.brief;
    else
      look.track.fixations.push_back({r.x, r.y, r.duration, r.time - look.onset});
  }
}

GazeFile read_content(Table& table, const GazeOptions& options, const std::string& format) {
  if (format == "eyelink") return read_eyelink(table, options);
  if (format == "tobii") return read_tobii(table, options);
  if (format == "pupil") return read_pupil(table, options);
  if (format == "plain") return read_plain(table, options);
  return read_gazemedseg(table, options);
}

}  // namespace

Gaze read_gaze(const std::string& path, const GazeOptions& options) {
  Table table(path);
  Gaze gaze;
  gaze.format = format_of(table, options);
  GazeFile content = read_content(table, options, gaze.format);
  gaze.simulated = content.simulated;
  gaze.dropped = content.dropped;
  for (auto& [name, look] : content.looks) {
    if (content.samples) {
      detect(path, options, look);
    } else {
      if (!content.has_times) set_times(look.records);
      order(path, look);
    }
    clean(options, look, gaze.dropped);
    if (!look.track.fixations.empty()) gaze.tracks.emplace(name, std::move(look.track));
  }
  if (gaze.tracks.empty())
    fail(path, ": expected fixations, the table has none that can be used (", gaze.dropped.outside,
         " outside the image, ", gaze.dropped.brief, " shorter than ", options.min_duration, " ms, ",
         gaze.dropped.unplaced, " without a position, ", gaze.dropped.early, " begun before the image, ",
         gaze.dropped.blinks, " beside a blink)");
  return gaze;
}

}  // namespace gt
