// SMI BeGaze: the event export (BeGaze 2.3 Manual, section 8.2.2) and the metrics export "Event Statistics - Single".
// Of a file with both eyes, the right eye is read. Positions are in pixels.
#include <map>
#include <utility>

#include "gaze/formats.h"

namespace gt {
namespace {

enum class Eye { left, right };
using Eyes = std::map<Eye, GazeFile>;

/// The right eye's fixations or, if the file has none, the left eye's.
GazeFile preferred_eye(Eyes& eyes) { return std::move(eyes[eyes.contains(Eye::right) ? Eye::right : Eye::left]); }

/// The eye that the current row names by one of two words. Throws Error for another word.
Eye eye_in(const Table& table, size_t column, const std::string& left, const std::string& right) {
  const std::string& word = table.word(column);
  if (word != left && word != right)
    table.fail("column ", table.columns()[column].label, ": expected '", left, "' or '", right, "', got '", word, "'");
  return word == right ? Eye::right : Eye::left;
}

// ---- Event export ---------------------------------------------------------------------------------------------------

/// Images by the trial and the time (ms) of the message that names them. Some versions count time from each trial's
/// start.
using Shown = std::map<std::pair<std::string, double>, std::string>;

/// The name of the image in the description "# Message: NAME.jpg"; "" for another message.
std::string image_in_message(const std::string& description, const std::string& path) {
  const std::string mark = "# Message: ";
  if (!description.starts_with(mark)) return "";
  return image_file_name(description.substr(mark.size()), path);
}

Shown images_in_messages(Table& table) {
  Shown shown;
  if (!table.open_section("Table Header for User Events:", "UserEvent")) return shown;
  const size_t trial = table.require("Trial"), start = table.require("Start"), text = table.require("Description");
  while (table.next())
    if (const std::string name = image_in_message(table.word(text), table.path()); !name.empty())
      shown[{table.word(trial), table.milliseconds(start, "us")}] = name;
  return shown;
}

/// The last message of a trial until a time; the end if there is none.
Shown::const_iterator message_before(const Shown& shown, const std::string& trial, double time) {
  const auto after = shown.upper_bound({trial, time});
  if (after == shown.begin() || std::prev(after)->first.first != trial) return shown.end();
  return std::prev(after);
}

GazeFile read_events(Table& table, const GazeOptions& options) {
  const Shown shown = options.image.empty() ? images_in_messages(table) : Shown();
  const std::string only_image =
      image_name(options.image.empty() && shown.empty() ? table.text_after("Stimulus:") : options.image, table.path());
  if (!table.open_section("Table Header for Fixations:", "Fixation"))
    table.fail("expected a line 'Table Header for Fixations:', as in an event export");
  if (only_image.empty() && shown.empty())
    table.fail(
        "does not say which image was looked at: expected --image NAME, user events '# Message: NAME.jpg' or a "
        "line 'Stimulus:'");
  const size_t event = table.require("Event Type"), trial = table.require("Trial"), number = table.require("Number"),
               start = table.require("Start"), duration = table.require("Duration");
  const PositionColumns columns =
      columns_by_unit(table, options, table.require("Location X"), table.require("Location Y"), true);
  RecordingFilter filter(table, options, {"Trial"});
  Eyes eyes;
  while (table.next()) {
    if (!filter.accepts(table)) continue;
    GazeFile& file = eyes[eye_in(table, event, "Fixation L", "Fixation R")];
    const double time = table.milliseconds(start, "us");
    const auto message = message_before(shown, table.word(trial), time);
    if (only_image.empty() && message == shown.end()) {
      ++file.dropped.early;
      continue;
    }
    ImageRecording& recording =
        only_image.empty() ? recording_of(file, table, message->second, filter.source(table), message->first.second)
                           : recording_of(file, table, only_image, filter.source(table), time);
    const auto [x, y, lost] = position_in(file, table, columns, image_rectangle(options.viewing));
    recording.records.push_back(
        {x, y, time, table.duration(duration, "us"), table.whole(number, 1), table.line(), lost});
    file.clock = table.columns()[start].unit.empty() ? "us" : table.columns()[start].unit;
  }
  filter.finish(table);
  return preferred_eye(eyes);
}

// ---- Event statistics -----------------------------------------------------------------------------------------------

GazeFile read_statistics(Table& table, const GazeOptions& options) {
  const size_t image = table.require("Stimulus"), category = table.require("Category"), index = table.require("Index"),
               start = table.require("Event Start Trial Time"), duration = table.require("Event Duration");
  const PositionColumns columns = position_columns(table, options, "Fixation Position X", "Fixation Position Y");
  const auto eye = table.find("Eye L/R");
  RecordingFilter filter(table, options, {"Participant", "Trial"});
  Eyes eyes;
  while (table.next()) {
    if (!filter.accepts(table) || table.word(category) != "Fixation" || is_one_of(table.word(image), {"", "-"}))
      continue;
    GazeFile& file = eyes[eye ? eye_in(table, *eye, "Left", "Right") : Eye::right];
    ImageRecording& recording = recording_of(file, table, image_in(table, image), filter.source(table), 0);
    const auto [x, y, lost] = position_in(file, table, columns, image_rectangle(options.viewing));
    recording.records.push_back(
        {x, y, table.milliseconds(start, ""), table.duration(duration, ""), table.whole(index, 1), table.line(), lost});
    file.clock = table.columns()[start].unit;
  }
  filter.finish(table);
  return preferred_eye(eyes);
}

}  // namespace

bool recognises_begaze(const Table& header) {
  return header.columns()[0].label == "[BeGaze]" || header.find("Event Start Trial Time");
}

GazeFile read_begaze(Table& table, const GazeOptions& options) {
  return table.find("Event Start Trial Time") ? read_statistics(table, options) : read_events(table, options);
}

}  // namespace gt
