// What every gaze format is read into, and the helpers that its reader shares with the others. A format is added as
// described in gaze/formats.h.
#pragma once

#include <initializer_list>
#include <limits>
#include <map>
#include <optional>
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
  bool lost = false;                        // at (0, 0)
};

/// A position in image sides, and whether it was (0, 0), which trackers write when they lose the eye: x and y are then
/// no_position.
struct Position {
  double x = no_position, y = no_position;
  bool lost = false;
};

/// What positions look like, as they stand in the file.
struct PositionCounts {
  int64_t all = 0;         // neither missing nor lost
  int64_t in_share = 0;    // both coordinates in [0, 1]
  int64_t beyond = 0;      // a coordinate above 2
  bool on_screen = false;  // they were read as pixels of the screen, else as image sides
  bool declared = false;   // the file or an option says so
  int64_t line = 0;        // of the first
  Rectangle shown;         // the image's rectangle for it
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
  Dropped dropped;             // fixations that the reader dropped
  PositionCounts positions;    // counted by position_in()
  std::string positions_text;  // how positions were understood, if position counts do not tell it
  std::string clock = "ms";    // unit of the time column, for the summary
  bool sure_of_clock = true;   // the file, the format or an option gives the unit
};

/// The image's rectangle on the screen as the options give it: options.image, else the whole screen, else unknown.
Rectangle image_rectangle(const Viewing& viewing);

/// The two columns of a position.
struct PositionColumns {
  size_t x, y;
  bool on_screen;         // pixels of the screen, else image sides
  bool declared = false;  // the columns' units or an option say so
};

/// The columns x and y with the unit MCSnorm (image sides) or, without these, in pixels of the screen. Throws Error if
/// neither pair is there.
PositionColumns position_columns(const Table& table, const GazeOptions& options, const std::string& x,
                                 const std::string& y);

/// Two columns by their units: px (pixels of the screen), mcsnorm or norm (image sides), or none. Without a unit,
/// options.unit says which, else `on_screen`. Throws Error for other units and for different ones.
PositionColumns columns_by_unit(const Table& table, const GazeOptions& options, size_t x, size_t y, bool on_screen);

/// Notes the unit of the file's time column, and returns it: the column's, else options.time_unit, else the format's.
std::string_view time_unit(GazeFile& file, const Table& table, const GazeOptions& options, std::optional<size_t> column,
                           std::string_view format_unit);

/// A position as it stands in the file, neither missing nor (0, 0), in image sides. `shown` is the image's rectangle on
/// the screen, if `on_screen`. Counts what it looks like in file.positions; `declared`: the file gives the unit.
Position placed(GazeFile& file, double x, double y, const Rectangle& shown, bool on_screen, bool declared,
                int64_t line);

/// Turns a record's position in pixels of the screen, whose unit the file gives, into image sides; (0, 0) becomes lost.
void place_on_image(GazeFile& file, Record& record, const Rectangle& shown);

/// The position in the current row, in image sides; no_position where it is missing or lost. `shown` is the image's
/// rectangle on the screen. Counts what it looks like in file.positions. Throws Error if the columns are in pixels and
/// the rectangle is unknown.
Position position_in(GazeFile& file, const Table& table, const PositionColumns& columns, const Rectangle& shown);

/// Throws Error if most positions look like those of the other unit, and no unit was declared.
void check_positions(const std::string& path, const PositionCounts& positions);

/// The positions' and times' units, and the image's rectangle, as a line of text.
std::string assumed_text(const GazeFile& file);

/// The image's name in a column of the current row. Throws Error if there is none.
std::string image_in(const Table& table, size_t column);

/// The name of an image whose file a text names; "" if the text does not end like one.
std::string image_file_name(const std::string& text, const std::string& where);

/// The value in the middle of at least one; of two, the greater.
double median(std::vector<double> values);

/// Whether the word is one of these.
bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words);

/// The image's entry in the file; a new one starts at `time` (ms). Throws Error, beginning with `where`, if the image
/// has an entry of another source: a track is one recording's.
ImageRecording& recording_of(GazeFile& file, const std::string& where, const std::string& image,
                             const std::string& source, double time);
/// As above, at the table's current line.
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
