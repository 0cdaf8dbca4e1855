#include <algorithm>
#include <cmath>

#include "gaze/readers.h"
#include "tests/fuzz/fuzz.h"

namespace gt::fuzz {
namespace {

/// Options from 4 bytes.
GazeOptions options_from(const uint8_t* b) {
  constexpr const char* formats[] = {"auto", "gazemedseg", "eyelink", "tobii", "pupil", "begaze", "plain"};
  constexpr const char* later_formats[] = {"asc", "reflacx", "egd_cxr"};  // corpus files keep their meaning
  constexpr const char* methods[] = {"", "idt", "ivt"};
  constexpr const char *units[] = {"", "px", "share"}, *time_units[] = {"", "s", "ms", "us"};
  constexpr const char* decimals[] = {"auto", "comma"};
  constexpr double extremes[] = {0, 1, 1e6, 16};
  GazeOptions o;
  o.format = formats[b[0] % std::size(formats)];
  if (b[1] & 0x40) o.format = later_formats[b[0] % std::size(later_formats)];
  o.unit = units[b[0] / std::size(formats) % std::size(units)];
  o.time_unit = time_units[b[2] >> 6];
  o.decimal = decimals[b[0] >> 6 & 1];
  o.encoding = b[0] & 0x80 ? "latin1" : "auto";
  o.detect.method = methods[b[1] % std::size(methods)];
  if (b[1] & 0x80) {
    o.detect.dispersion = extremes[b[1] >> 2 & 3];
    o.detect.velocity = extremes[b[1] >> 4 & 3];
    o.detect.window = extremes[b[2] & 3];
    o.detect.min_duration = extremes[b[2] >> 2 & 3];
    o.detect.max_gap = extremes[b[2] >> 4 & 3];
  }
  if (b[3] & 1) o.viewing.screen_width = 1920, o.viewing.screen_height = 1080;
  if ((b[1] & 0x40) && (b[3] & 1))
    o.viewing.image_width = 500, o.viewing.image_height = 400, o.viewing.screen_width = 0;
  if (b[3] & 2) o.viewing.image = {100, 50, 768, 768};
  if (b[3] & 4) o.viewing.screen_mm = 500, o.viewing.distance_mm = 600;
  if (b[3] & 8) o.image = "img";
  if (b[3] & 16) o.recording = "P01";
  if (b[3] & 32) o.drop_blinks = true;
  if (b[3] & 64) o.min_duration = 0;
  if (b[3] & 128) o.image_column = "picture";
  return o;
}

void check_fixations(const Gaze& gaze) {
  for (const auto& [name, track] : gaze.tracks) {
    if (track.fixations.empty()) report_finding("a track is empty: " + name);
    for (const Fixation& f : track.fixations)
      if (!(f.x >= 0 && f.x <= 1 && f.y >= 0 && f.y <= 1 && f.duration >= 0) || !std::isfinite(f.duration) ||
          !std::isfinite(f.start))
        report_finding(str_cat("a fixation of ", name, ": ", f.x, " ", f.y, " ", f.duration, " ", f.start));
  }
}

bool equal(const Track& a, const Track& b) {
  return std::equal(a.fixations.begin(), a.fixations.end(), b.fixations.begin(), b.fixations.end(),
                    [](const Fixation& f, const Fixation& g) {
                      return f.x == g.x && f.y == g.y && f.duration == g.duration && f.start == g.start;
                    }) &&
         a.image_height == b.image_height && a.image_width == b.image_width;
}

}  // namespace

/// The bytes: 4 that choose the options, then the table.
void fuzz_gaze(std::string_view bytes) {
  if (bytes.size() < 4) return;
  const std::string path = scratch("gaze.csv"), out = scratch("written.csv");
  const GazeOptions options = options_from(reinterpret_cast<const uint8_t*>(bytes.data()));
  put(path, bytes.substr(4));
  Gaze gaze;
  if (!reads(path, [&] { gaze = read_gaze(path, options); })) return;
  check_fixations(gaze);
  std::vector<Track> tracks;
  for (const auto& [name, track] : gaze.tracks) tracks.push_back(track);
  must_read(out, [&] {
    write_gaze(out, tracks, gaze.simulated);
    GazeOptions all;
    all.min_duration = 0;
    all.time_unit = "ms";  // what is written is in ms, however long
    const Gaze again = read_gaze(out, all);
    const bool same =
        std::equal(gaze.tracks.begin(), gaze.tracks.end(), again.tracks.begin(), again.tracks.end(),
                   [](const auto& a, const auto& b) { return a.first == b.first && equal(a.second, b.second); });
    if (!same) report_finding("gaze changes when it is written and read");
  });
}

}  // namespace gt::fuzz
