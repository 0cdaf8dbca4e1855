// The formats that read_gaze() knows, each read into the same records. For readers.cpp and the
// format*.cpp alone.
#pragma once

#include <initializer_list>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
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
struct ImageRecording {
  Track track;            // without its fixations
  std::string recording;  // whose, for messages
  double onset = 0;       // ms, when the image appeared
  Rectangle shown;        // where on the screen it was; unknown where the file's positions are in image sides
  std::vector<Record> records;
};

struct GazeFile {
  std::map<std::string, ImageRecording> looks;  // by image name
  bool samples = false;                         // fixations if not
  bool has_times = true;
  bool simulated = false;
  Dropped dropped;  // blinks
};

// ---- What the formats share -----------------------------------------------------------------------------------------

/// Where the image was, as the user says: a rectangle, the whole screen, or unknown.
Rectangle shown_on(const Viewing& viewing);

/// Two columns of one position.
struct PositionColumns {
  size_t x, y;
  bool on_screen;  // pixels, not image sides
};

/// The columns of this position in image sides or, where there are none, in pixels.
PositionColumns position_columns(const Table& table, const std::string& x, const std::string& y);

/// The position in the row, in image sides; `shown` is where the image was, if the file does not give image sides.
std::pair<double, double> position(const Table& table, const PositionColumns& place, const Rectangle& shown);

/// The image's name in this column of the row.
std::string image_in(const Table& table, size_t column);

/// The image's look; a new one starts at `time`. One image is looked at in one recording.
ImageRecording& look_at(GazeFile& content, const Table& table, const std::string& image, const std::string& recording,
                        double time);

/// Which rows are of the wanted recording, and what it is called in messages.
class Recordings {
 public:
  Recordings(const Table& table, const GazeOptions& options, std::initializer_list<std::string_view> names);
  bool wants(const Table& table);
  std::string name(const Table& table) const;
  void check(const Table& table) const;  ///< after the last row: throws Error if the wanted one was not there

 private:
  std::string wanted_;
  std::vector<size_t> columns_;
  std::set<std::string> others_;
  bool found_ = false;
};

// ---- The formats ----------------------------------------------------------------------------------------------------

/// The format's name by the header, or options.format. Throws Error if it is none.
std::string format_of(const Table& table, const GazeOptions& options);

GazeFile read_gazemedseg(Table& table, const GazeOptions& options);
GazeFile read_eyelink(Table& table, const GazeOptions& options);
GazeFile read_tobii(Table& table, const GazeOptions& options);
GazeFile read_pupil(Table& table, const GazeOptions& options);
GazeFile read_plain(Table& table, const GazeOptions& options);

}  // namespace gt
