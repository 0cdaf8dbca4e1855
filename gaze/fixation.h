// Fixations and tracks, and the table they are kept in. Reading gaze: gaze/readers.h.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace gt {

/// One fixation. Position in image sides, origin at the top left, so that it holds for any resized copy of the image.
struct Fixation {
  double x = 0, y = 0;  // [0, 1]
  double duration = 0;  // ms
  double start = 0;     // ms since the image appeared
};

/// A gaze track: fixations in temporal order.
struct Track {
  std::string image;  // name without folder and extension
  std::vector<Fixation> fixations;
  int64_t image_height = 0, image_width = 0;  // pixels of the image that was looked at; 0 where the file does not say
};

/// What cleaning took out.
struct Dropped {
  int64_t outside = 0;   // position not in [0, 1]
  int64_t brief = 0;     // shorter than the least duration
  int64_t unplaced = 0;  // without a position
  int64_t early = 0;     // begun before the image appeared, where the file says so
  int64_t blinks = 0;    // beside a blink, where these are not wanted
};

struct Gaze {
  std::map<std::string, Track> tracks;  // by image name
  bool simulated = false;               // the file says that it was made from masks
  std::string format;                   // that it was read as
  Dropped dropped;
};

/// Writes tracks in the GazeMedSeg schema (with the SIMULATED column if `simulated`), atomically.
void write_gaze(const std::string& path, const std::vector<Track>& tracks, bool simulated);

/// The name without folder and extension: "images/a.b.jpg" -> "a.b".
std::string image_name(const std::string& path);

}  // namespace gt
