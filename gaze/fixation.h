// Fixations, gaze tracks, and writing them as GazeMedSeg's table. gaze/readers.h reads gaze.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace gt {

/// One fixation. Its position is in image sides with the origin at the top left, so it holds for any resized copy of
/// the image.
struct Fixation {
  double x = 0, y = 0;  // [0, 1]
  double duration = 0;  // ms
  double start = 0;     // ms since the image appeared
};

/// A gaze track: fixations in temporal order.
struct Track {
  std::string image;  // name without folder and extension
  std::vector<Fixation> fixations;
  int64_t image_height = 0, image_width = 0;  // pixels of the image that was looked at; 0 if unknown
};

/// Counts of fixations that reading dropped, by reason.
struct Dropped {
  int64_t outside = 0;   // position not in [0, 1]
  int64_t brief = 0;     // shorter than the minimum duration
  int64_t unplaced = 0;  // without a position
  int64_t early = 0;     // begun before the image appeared, if the file shows it
  int64_t blinks = 0;    // next to a blink, if the options drop these
  int64_t lost = 0;      // at exactly (0, 0), which trackers write when they lose the eye; samples count too
};

/// The gaze of one file.
struct Gaze {
  std::map<std::string, Track> tracks;  // by image name; none is empty
  bool simulated = false;               // the file is marked as simulated gaze
  std::string format;                   // name of the format that read it
  std::string assumed;                  // how positions and times were understood, as a line of text
  Dropped dropped;
};

/// Writes tracks as GazeMedSeg's table, with the column SIMULATED if `simulated`. The file is replaced atomically.
void write_gaze(const std::string& path, const std::vector<Track>& tracks, bool simulated);

/// The name of an image: of "C:\\data\\a.dcm.PNG" it is "a". One rule holds for lists, tables, folders and what is
/// written. Folders before / or \\ and all extensions of image and table files, in any letter case, are removed; blanks
/// around it too. Unicode is composed (NFC). A name is its own name. Throws Error, with `where` before the message, for
/// bytes that are not UTF-8 and for control characters such as line breaks. The name may be empty.
std::string image_name(const std::string& path, const std::string& where = "");

}  // namespace gt
