// Fixations and tracks, and the files they come in.
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
  int64_t outside = 0;  // position not in [0, 1]
  int64_t brief = 0;    // shorter than the least duration
};

struct Gaze {
  std::map<std::string, Track> tracks;  // by image name
  bool simulated = false;               // the file says that it was made from masks
  Dropped dropped;
};

struct CleaningRules {
  double min_duration = 50;  // ms (GazeMedSeg)
};

/// Reads a fixation table; the format is told by its header:
///   GazeMedSeg      IMAGE, CURRENT_FIX_INDEX, CURRENT_FIX_X, CURRENT_FIX_Y, CURRENT_FIX_DURATION, ... (METHOD 1), any
///                   column order, further columns ignored; a column SIMULATED of ones marks simulated gaze
///   plain           x, y, duration [, start]: one track, of the image that the file is named after
/// CRLF, a byte order mark and blank lines are accepted. Throws Error with file and line for an empty file, a missing
/// column, a short or overlong row, a field that is not a finite number, an index out of order, and a duplicate index.
/// Rows of one image need not stand together; they are ordered by CURRENT_FIX_INDEX.
Gaze read_gaze(const std::string& path, const CleaningRules& rules = {});

/// Writes tracks in the GazeMedSeg schema (with the SIMULATED column if `simulated`), atomically.
void write_gaze(const std::string& path, const std::vector<Track>& tracks, bool simulated);

/// The name without folder and extension: "images/a.b.jpg" -> "a.b".
std::string image_name(const std::string& path);

}  // namespace gt
