// A plain table: x, y, duration [, start] of fixations or, with options.detect, time, x, y of samples; positions in
// image sides or, if the header says x [px], in pixels of the screen. A column `image` names the image; without it the
// file is one track, of options.image or of the image that the file is named after.
#include "gaze/formats.h"

namespace gt {

bool recognises_plain(const Table& header) { return header.find_any({"x", "y"}).has_value(); }

GazeFile read_plain(Table& table, const GazeOptions& options) {
  const bool samples = !options.detect.method.empty();
  const size_t x = table.require("x"), y = table.require("y"), duration = samples ? x : table.require("duration");
  const auto time = samples ? std::optional(table.require("time")) : table.find("start"), image = table.find("image");
  const PositionColumns columns = columns_by_unit(table, options, x, y, false);
  const std::string only_image = image_name(options.image.empty() ? table.path() : options.image, table.path());
  GazeFile file;
  file.samples = samples;
  file.has_times = time.has_value();
  const std::string_view unit = time_unit(file, table, options, time, "ms");
  while (table.next()) {
    const double now = time ? table.milliseconds(*time, unit) : 0;
    ImageRecording& recording =
        recording_of(file, table, image ? image_in(table, *image) : only_image, "", samples ? now : 0);
    recording.shown = image_rectangle(options.viewing);
    const auto [u, v, lost] = position_in(file, table, columns, recording.shown);
    recording.records.push_back({u, v, now, samples ? 0 : table.duration(duration, unit),
                                 int64_t(recording.records.size()) + 1, table.line(), lost});
  }
  return file;
}

}  // namespace gt
