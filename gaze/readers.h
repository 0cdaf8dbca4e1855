// Gaze as people have it: fixation reports and raw samples of eye trackers' programs, and GazeMedSeg's table. What each
// format looks like and where that is written down: docs/data.md.
#pragma once

#include <string>

#include "gaze/detect.h"
#include "gaze/fixation.h"

namespace gt {

/// A rectangle of the screen, pixels from its top left corner; nothing if it has no width.
struct Rectangle {
  double x = 0, y = 0, width = 0, height = 0;
  bool known() const { return width > 0; }
};

/// How the image was looked at, for formats that say where on the screen the eye was and not where in the image.
struct Viewing {
  double screen_width = 0, screen_height = 0;  // pixels; 0 unknown
  Rectangle image;                             // that the whole image filled; unknown: as the file says, or the screen
  double screen_mm = 0, distance_mm = 0;       // the screen's width and how far the eye was from it, for degrees
};

struct GazeOptions {
  std::string format = "auto";  // auto: by the header; or one of gaze_formats
  std::string image;            // name, for formats that do not say which image was looked at
  std::string image_column;     // EyeLink: the trial variable that names the image, where it is not called IMAGE
  std::string recording;        // the one to read of a file with several: recording's, session's or participant's name
  Viewing viewing;
  DetectOptions detect;      // with a method: the file holds samples, of which fixations are to be made
  bool drop_blinks = false;  // EyeLink: fixations beside a blink
  double min_duration = 50;  // ms; what is shorter is dropped (GazeMedSeg)
};

constexpr const char* gaze_formats[] = {"gazemedseg", "eyelink", "tobii", "pupil", "plain"};

/// Reads a table of fixations or, with options.detect.method, of samples:
///   gazemedseg  IMAGE, CURRENT_FIX_INDEX, CURRENT_FIX_X, CURRENT_FIX_Y (image sides), CURRENT_FIX_DURATION, ...
///   (METHOD
///               1); a column SIMULATED of ones marks simulated gaze
///   eyelink     SR Research Data Viewer's fixation or sample report: CURRENT_FIX_X, ... in screen pixels
///   tobii       Tobii Pro Lab's data export: several rows a fixation, which share an Eye movement type index
///   pupil       Pupil Labs' fixations.csv, fixations_on_surface_NAME.csv and the same of gaze_positions
///   plain       x, y, duration [, start]: one track, of the image that the file is named after; samples: time, x, y
///               [, image]. Image sides or, where the header says x [px], screen pixels
/// Columns may stand in any order, beside others, and a file may be what Table (gaze/table.h) reads. Rows of one image
/// need not stand together.
/// Throws Error with file and line for an empty file, a missing column, a short or overlong row, a field that is not a
/// finite number, fixations out of order or given twice, an image looked at in several recordings, positions on the
/// screen where nobody says where the image was, and a file without a fixation that can be used.
Gaze read_gaze(const std::string& path, const GazeOptions& options = {});

}  // namespace gt
