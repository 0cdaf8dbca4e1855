// The formats that read_gaze() knows, each read into the same records. For readers.cpp alone.
#pragma once

#include <limits>
#include <map>
#include <string>
#include <vector>

#include "gaze/readers.h"
#include "gaze/table.h"

namespace gt {

constexpr double lost = std::numeric_limits<double>::quiet_NaN();  // position of a sample or fixation without one

/// A fixation or a sample.
struct Record {
  double x = lost, y = lost;  // image sides
  double time = 0;            // ms, on the recording's own clock
  double duration = 0;        // ms; fixations
  int64_t index = 0;          // fixations, in order of time
  int64_t line = 0;
};

/// What was recorded of one image.
struct Look {
  Track track;            // without its fixations
  std::string recording;  // whose, for messages
  double onset = 0;       // ms, when the image appeared
  Rectangle shown;        // where on the screen it was; unknown where the file's positions are in image sides
  std::vector<Record> records;
};

struct Content {
  std::map<std::string, Look> looks;  // by image name
  bool samples = false;               // fixations if not
  bool has_times = true;
  bool simulated = false;
  Dropped dropped;  // blinks
};

/// The format's name by the header, or options.format. Throws Error if it is none.
std::string format_of(const Table& table, const GazeOptions& options);

Content read_gazemedseg(Table& table, const GazeOptions& options);
Content read_eyelink(Table& table, const GazeOptions& options);
Content read_tobii(Table& table, const GazeOptions& options);
Content read_pupil(Table& table, const GazeOptions& options);
Content read_plain(Table& table, const GazeOptions& options);

}  // namespace gt
