// SR Research EyeLink: fixation and sample reports of Data Viewer (EyeLink Data Viewer User's Manual). Positions are in
// pixels of the screen. A missing value is a dot.
#include "gaze/formats.h"

namespace gt {
namespace {

size_t image_column(const Table& table, const GazeOptions& options) {
  if (!options.image_column.empty()) return table.require(options.image_column);
  if (const auto at = table.find("IMAGE")) return *at;
  table.fail("expected a column IMAGE or --image-column NAME, the trial variable that names the image, among ",
             table.column_list());
}

/// A sample report. Of two eyes it reads the average, else the right, else the left.
GazeFile read_samples(Table& table, const GazeOptions& options) {
  const size_t image = image_column(table, options), time = table.require({"TIMESTAMP", "SAMPLE_INDEX"});
  const PositionColumns columns =
      columns_by_unit(table, options, table.require({"AVERAGE_GAZE_X", "RIGHT_GAZE_X", "LEFT_GAZE_X"}),
                      table.require({"AVERAGE_GAZE_Y", "RIGHT_GAZE_Y", "LEFT_GAZE_Y"}), true);
  RecordingFilter filter(table, options, {"RECORDING_SESSION_LABEL", "TRIAL_INDEX"});
  GazeFile file;
  file.samples = true;
  const std::string_view unit = time_unit(file, table, options, time, "ms");
  while (table.next()) {
    if (!filter.accepts(table) || is_one_of(table.word(image), {"", ".", "NA"})) continue;
    const double now = table.milliseconds(time, unit);
    ImageRecording& recording = recording_of(file, table, image_in(table, image), filter.source(table), now);
    recording.shown = image_rectangle(options.viewing);
    const auto [x, y, lost] = position_in(file, table, columns, recording.shown);
    recording.records.push_back({x, y, now, 0, 0, table.line(), lost});
  }
  filter.finish(table);
  return file;
}

GazeFile read_fixations(Table& table, const GazeOptions& options) {
  const size_t image = image_column(table, options), index = table.require("CURRENT_FIX_INDEX"),
               duration = table.require("CURRENT_FIX_DURATION"), start = table.require("CURRENT_FIX_START");
  const PositionColumns columns =
      columns_by_unit(table, options, table.require("CURRENT_FIX_X"), table.require("CURRENT_FIX_Y"), true);
  const auto blink = table.find("CURRENT_FIX_BLINK_AROUND");
  if (options.drop_blinks && !blink)
    table.fail("expected a column CURRENT_FIX_BLINK_AROUND, got ", table.column_list());
  RecordingFilter filter(table, options, {"RECORDING_SESSION_LABEL", "TRIAL_INDEX"});
  GazeFile file;
  const std::string_view unit = time_unit(file, table, options, start, "ms");
  while (table.next()) {
    if (!filter.accepts(table) || is_one_of(table.word(image), {"", ".", "NA"})) continue;
    ImageRecording& recording = recording_of(file, table, image_in(table, image), filter.source(table), 0);
    if (options.drop_blinks && !is_one_of(table.word(*blink), {"NONE", "", "."})) {
      ++file.dropped.blinks;
      continue;
    }
    const auto [x, y, lost] = position_in(file, table, columns, image_rectangle(options.viewing));
    recording.records.push_back({x, y, table.milliseconds(start, unit), table.duration(duration, unit),
                                 table.whole(index, 1), table.line(), lost});
  }
  filter.finish(table);
  return file;
}

}  // namespace

/// GazeMedSeg's table shares CURRENT_FIX_X with a fixation report, but is comma-separated and has no trial columns.
bool recognises_eyelink(const Table& header) {
  if (header.find_any({"AVERAGE_GAZE_X", "RIGHT_GAZE_X", "LEFT_GAZE_X"})) return true;
  const bool trials = header.find_any({"RECORDING_SESSION_LABEL", "TRIAL_INDEX", "TRIAL_LABEL"}).has_value();
  return header.find("CURRENT_FIX_X") && (trials || header.tabbed());
}

GazeFile read_eyelink(Table& table, const GazeOptions& options) {
  return options.detect.method.empty() ? read_fixations(table, options) : read_samples(table, options);
}

}  // namespace gt
