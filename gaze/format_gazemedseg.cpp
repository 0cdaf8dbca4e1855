// GazeMedSeg's fixation table (METHOD 1), which write_gaze() writes too: IMAGE, CURRENT_FIX_INDEX, CURRENT_FIX_X and
// CURRENT_FIX_Y in image sides, CURRENT_FIX_DURATION; if there, CURRENT_FIX_START, IMAGE_HEIGHT, IMAGE_WIDTH, and
// SIMULATED, which is 1 for simulated gaze.
#include "gaze/formats.h"

namespace gt {

bool recognises_gazemedseg(const Table& header) {
  return header.find("CURRENT_FIX_X") || (header.find("IMAGE") && !header.find("x") && !header.find("y"));
}

GazeFile read_gazemedseg(Table& table, const GazeOptions& options) {
  const size_t image = table.require("IMAGE"), index = table.require("CURRENT_FIX_INDEX"),
               x = table.require("CURRENT_FIX_X"), y = table.require("CURRENT_FIX_Y"),
               duration = table.require("CURRENT_FIX_DURATION");
  const auto start = table.find("CURRENT_FIX_START"), height = table.find("IMAGE_HEIGHT"),
             width = table.find("IMAGE_WIDTH"), simulated = table.find("SIMULATED");
  const PositionColumns columns = columns_by_unit(table, options, x, y, false);
  if (columns.on_screen)
    table.fail("column ", table.columns()[x].label, ": expected positions in image sides, 0 to 1, not in pixels");
  GazeFile file;
  const std::string_view unit = time_unit(file, table, options, start, "ms");
  file.has_times = start.has_value();
  while (table.next()) {
    ImageRecording& recording = recording_of(file, table, image_in(table, image), "", 0);
    if (height && table.number_if_any(*height)) recording.track.image_height = table.whole(*height, 0);
    if (width && table.number_if_any(*width)) recording.track.image_width = table.whole(*width, 0);
    if (simulated) file.simulated |= table.whole(*simulated, 0) != 0;
    const auto [u, v, lost] = position_in(file, table, columns, {});
    recording.records.push_back({u, v, start ? table.milliseconds(*start, unit) : 0, table.duration(duration, unit),
                                 table.whole(index, 1), table.line(), lost});
  }
  return file;
}

}  // namespace gt
