// What every gaze format is read into, and the helpers that its reader shares with the others. A format is added as
// described in gaze/formats.h.
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

/// The coordinate of a sample or fixation without a position.
inline constexpr double no_position = std::numeric_limits<double>::quiet_NaN();

/// A fixation or a sample.
struct Record {
  double x = no_position, y = no_position;  // image sides
  double time = 0;                          // ms, on the recording's clock
  double duration = 0;                      // ms; fixations only
  int64_t index = 0;                        // place in the sequence; fixations only
  int64_t line = 0;                         // of the file
};

/// What was recorded of one image.
struct ImageRecording {
  Track track;         // without fixations; these follow from `records`
  std::string source;  // names the recording in messages
  double onset = 0;    // ms, when the image appeared
  Rectangle shown;     // the image on the screen; unknown if the file gives positions in image sides
  std::vector<Record> records;
};

/// A file of gaze as its format's reader returns it.
struct GazeFile {
  std::map<std::string, ImageRecording> recordings;  // by image name
  bool samples = false;                              // records are samples, else fixations
  bool has_times = true;                             // else fixations follow one another without gaps
  bool simulated = false;
  Dropped dropped;  // fixations that the reader dropped
};

/// The image's rectangle on the screen as the options give it: options.image, else the whole screen, else unknown.
Rectangle image_rectangle(const Viewing& viewing);

/// The two columns of a position.
struct PositionColumns {
  size_t x, y;
  bool on_screen;  // pixels of the screen, else image sides
};

/// The columns x and y with the unit MCSnorm (image sides) or, without these, in pixels of the screen. Throws Error if
/// neither pair is there.
PositionColumns position_columns(const Table& table, const std::string& x, const std::string& y);

/// The position in the current row, in image sides; no_position where it is missing. `shown` is the image's rectangle
/// on the screen. Throws Error if the columns are in pixels and the rectangle is unknown.
std::pair<double, double> position_in(const Table& table, const PositionColumns& columns, const Rectangle& shown);

/// The image's name in a column of the current row. Throws Error if there is none.
std::string image_in(const Table& table, size_t column);

/// Whether the word is one of these.
bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words);

/// The image's entry in the file; a new one starts at `time` (ms). Throws Error if the image has an entry of another
/// source: a track is one recording's.
ImageRecording& recording_of(GazeFile& file, const Table& table, const std::string& image, const std::string& source,
                             double time);

/// Selects the rows of options.recording, by the columns that name a recording.
class RecordingFilter {
 public:
  RecordingFilter(const Table& table, const GazeOptions& options, std::initializer_list<std::string_view> columns);
  /// Whether the current row is selected: one of the columns has the option's word, or there is no option.
  bool accepts(const Table& table);
  /// The current row's recording, for messages.
  std::string source(const Table& table) const;
  /// After the last row: throws Error if the option is given and no row was selected.
  void finish(const Table& table) const;

 private:
  std::string recording_;
  std::vector<size_t> columns_;
  std::set<std::string> others_;
  bool found_ = false;
};

}  // namespace gt
