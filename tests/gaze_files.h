// Reading gaze from text, for tests.
#pragma once

#include <string>

#include "gaze/readers.h"
#include "tests/catch.h"
#include "tests/temp_folder.h"

namespace gt {

/// Reads gaze from a file of this text and name.
inline Gaze read_text(const std::string& text, const GazeOptions& options = {}, const std::string& file = "gaze.csv") {
  const TempFolder folder;
  write(folder / file, text);
  return read_gaze(folder / file, options);
}

/// The message of the Error for such a file, from the file's name on if it has it. Checks that it is one line.
inline std::string refusal_of_text(const std::string& text, const GazeOptions& options = {},
                                   const std::string& file = "gaze.csv") {
  const std::string message = error_of([&] { read_text(text, options, file); });
  CHECK(message.find('\n') == message.npos);
  const size_t at = message.find(file);
  return at == message.npos ? message : message.substr(at);
}

inline void check_contains(const std::string& message, const std::string& part) {
  INFO(message << " should contain: " << part);
  CHECK(message.find(part) != message.npos);
}

inline void check_fixation(const Fixation& f, double x, double y, double duration, double start) {
  CHECK(f.x == Approx(x).margin(1e-9));
  CHECK(f.y == Approx(y).margin(1e-9));
  CHECK(f.duration == Approx(duration));
  CHECK(f.start == Approx(start).margin(1e-6));
}

/// Whether two tracks have one image and equal fixations.
inline bool same_track(const Track& a, const Track& b) {
  if (a.image != b.image || a.fixations.size() != b.fixations.size()) return false;
  for (size_t i = 0; i < a.fixations.size(); ++i) {
    const Fixation &f = a.fixations[i], &g = b.fixations[i];
    if (f.x != g.x || f.y != g.y || f.duration != g.duration || f.start != g.start) return false;
  }
  return true;
}

}  // namespace gt
