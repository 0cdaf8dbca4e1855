// The lines of the text that edf2asc makes of an EyeLink's EDF file (EyeLink 1000 Plus User Manual, section "Using ASC
// files").
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gaze/gaze_file.h"

namespace gt {

struct AscMessage {
  double time = 0;  // ms
  int64_t line = 0;
  std::string text;
};

/// The data between a line START and its END.
struct AscBlock {
  double start = 0, end = 0;  // ms
  int64_t line = 0;           // of START
  bool left = false, right = false, use_right = false, ended = false;
  std::vector<Record> records;  // of the eye that is read, x and y in pixels of the screen
  std::vector<bool> blinks;     // whether the fixation is next to a blink
  bool blink = false;           // after the last fixation
};

struct AscRecording {
  std::vector<AscMessage> messages;
  std::vector<AscBlock> blocks;
  double left = 0, top = 0, width = 0, height = 0;  // the screen; no width: not known
  int64_t screen_line = 0;
  bool samples = false;  // records are samples
};

/// The words of a line, between blanks and tabs.
std::vector<std::string_view> words_of(std::string_view line);

/// The finite number that a word is, or nothing.
std::optional<double> number_of(std::string_view word);

/// Reads the messages and, of one eye, the fixations or, with options.detect.method, the samples. Throws Error, naming
/// the file and the line, for lines that are cut short, out of order or outside of a recording.
AscRecording read_asc_lines(const Table& table, const GazeOptions& options);

}  // namespace gt
