// Reading gaze: fixation reports and raw samples of eye trackers' programs, and GazeMedSeg's table. gaze/formats.h
// lists the formats; docs/data.md describes their columns.
#pragma once

#include <string>

#include "gaze/detect.h"
#include "gaze/fixation.h"

namespace gt {

/// A rectangle of the screen in pixels from its top left corner; unknown if it has no width.
struct Rectangle {
  double x = 0, y = 0, width = 0, height = 0;
  bool known() const { return width > 0; }
};

/// How the image was viewed, for formats that give positions on the screen and not in the image.
struct Viewing {
  double screen_width = 0, screen_height = 0;  // pixels; 0 if unknown
  Rectangle image;                             // filled by the whole image; if unknown, the file's or the screen
  double screen_mm = 0, distance_mm = 0;       // the screen's width and its distance from the eye, for degrees
  double image_width = 0, image_height = 0;    // pixels of the image's side; 0 if unknown
  std::string fit{};  // contain or native: each image has its own rectangle within `image`, see gaze/image_fit.h

  /// Places an image of image_width x image_height in the middle of the screen.
  void centre_image() {
    image = {(screen_width - image_width) / 2, (screen_height - image_height) / 2, image_width, image_height};
  }
};

struct GazeOptions {
  std::string format = "auto";    // a format's name, or auto: recognised by the header
  std::string image;              // name of the image, for formats that do not give it
  std::string images;             // folder of the images, for formats in pixels of the image and for viewing.fit
  std::string image_column;       // EyeLink: the trial variable that names the image, if not IMAGE
  std::string image_message;      // EyeLink .asc: what begins the message that names the image; "" is the usual ones
  std::string onset_message;      // EyeLink .asc: what begins the message of its appearance; "" is the usual ones
  std::string eye;                // left or right; "" is the right one, else the left one
  std::string unit;               // of positions whose column does not say it: px or share; "" is the format's
  std::string time_unit;          // of times whose column does not say it: s, ms, us or ns; "" is the format's
  std::string decimal = "auto";   // decimal mark: auto (by the file's numbers), point or comma
  std::string encoding = "auto";  // of the text: auto (UTF-8 or UTF-16) or latin1
  std::string recording;          // the one to read of a file with several: name of recording, session or participant
  Viewing viewing;
  DetectOptions detect;      // with a method: the file holds samples, in which fixations are detected
  bool drop_blinks = false;  // EyeLink: drop fixations next to a blink
  double min_duration = 50;  // ms; shorter fixations are dropped, as GazeMedSeg does
};

/// Reads a file of fixations or, with options.detect.method, of samples. Columns may stand in any order and with
/// others; rows of one image need not stand together; gaze/table.h describes the text. Drops fixations outside the
/// image and those that options.min_duration and the format exclude. Throws Error, naming the file and the line, for:
/// an empty file, an unknown header, a missing column, a row of another length than the header, a field that is not a
/// finite number, fixations out of order or given twice, one image in several recordings, positions on the screen
/// without the image's rectangle, an option that the format does not use, and a file without a usable fixation. Throws
/// Error too if positions or times look like those of another unit than assumed, and for over 10,000 fixations of an
/// image.
Gaze read_gaze(const std::string& path, const GazeOptions& options = {});

/// The counts of dropped fixations as a line of text.
std::string dropped_text(const Dropped& dropped, double min_duration);

}  // namespace gt
