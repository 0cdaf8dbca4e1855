#include "gaze/formats.h"

#include <algorithm>
#include <cstdio>

namespace gt {

// ---- The table ------------------------------------------------------------------------------------------------------

// Name, description, options used. The first format that recognises a header reads the file.
#define GT_GAZE_FORMATS(ROW)                                                                                       \
  ROW(tobii, "Tobii Pro Lab's data export: fixations or samples",                                                  \
      F::image | F::recording | F::viewing | F::detect | F::unit | F::time_unit)                                   \
  ROW(pupil, "Pupil Player's fixations or gaze positions, on a surface or in the camera's image",                  \
      F::image | F::viewing | F::detect)                                                                           \
  ROW(eyelink, "EyeLink: Data Viewer's fixation or sample report",                                                 \
      F::image_column | F::recording | F::viewing | F::detect | F::drop_blinks | F::unit | F::time_unit)           \
  ROW(asc, "EyeLink: text of an EDF file, as edf2asc writes it: fixations or samples",                             \
      F::image | F::image_column | F::recording | F::viewing | F::detect | F::drop_blinks | F::eye | F::messages | \
          F::image_size)                                                                                           \
  ROW(bids, "BIDS eye tracking: NAME_physio.tsv.gz with its sidecar: fixations or samples",                        \
      F::image | F::viewing | F::detect | F::image_size)                                                           \
  ROW(reflacx, "REFLACX's fixations.csv of a reading", F::image | F::viewing | F::images | F::image_size)          \
  ROW(egd_cxr, "EGD-CXR's fixations.csv", F::image | F::recording | F::viewing | F::images | F::image_size)        \
  ROW(begaze, "SMI BeGaze's event export or event statistics: fixations",                                          \
      F::image | F::recording | F::viewing | F::unit)                                                              \
  ROW(gazemedseg, "GazeMedSeg's fixation table, which this program writes", F::time_unit)                          \
  ROW(plain, "columns x, y, duration [, start] or, of samples, time, x, y",                                        \
      F::image | F::viewing | F::detect | F::unit | F::time_unit)

#define GT_DECLARE_FORMAT(name, description, used) \
  bool recognises_##name(const Table&);            \
  GazeFile read_##name(Table&, const GazeOptions&);
GT_GAZE_FORMATS(GT_DECLARE_FORMAT)

namespace {

using F = GazeFormat;

#define GT_FORMAT_ROW(name, description, used) {#name, description, used, recognises_##name, read_##name},
constexpr GazeFormat table_of_formats[] = {GT_GAZE_FORMATS(GT_FORMAT_ROW)};

// ---- Options --------------------------------------------------------------------------------------------------------

struct FormatOption {
  unsigned bit;
  const char* flag;
  bool (*given)(const GazeOptions& options);
};

constexpr FormatOption format_options[] = {
    {F::image, "--image", [](const GazeOptions& o) { return !o.image.empty(); }},
    {F::image_column, "--image-column", [](const GazeOptions& o) { return !o.image_column.empty(); }},
    {F::recording, "--recording", [](const GazeOptions& o) { return !o.recording.empty(); }},
    {F::viewing, "--screen, --image-size or --image-rect",
     [](const GazeOptions& o) { return o.viewing.screen_width > 0 || o.viewing.image.known(); }},
    {F::detect, "--detect", [](const GazeOptions& o) { return !o.detect.method.empty(); }},
    {F::unit, "--unit", [](const GazeOptions& o) { return !o.unit.empty(); }},
    {F::time_unit, "--time-unit", [](const GazeOptions& o) { return !o.time_unit.empty(); }},
    {F::drop_blinks, "--drop-blinks", [](const GazeOptions& o) { return o.drop_blinks; }},
    {F::eye, "--eye", [](const GazeOptions& o) { return !o.eye.empty(); }},
    {F::images, "--images", [](const GazeOptions& o) { return !o.images.empty() && o.viewing.fit.empty(); }},
    {F::messages, "--image-message or --onset-message",
     [](const GazeOptions& o) { return !o.image_message.empty() || !o.onset_message.empty(); }}};

void check_options(const Table& table, const GazeFormat& format, const GazeOptions& options) {
  for (const FormatOption& option : format_options)
    if (option.given(options) && !(format.options & option.bit))
      fail(table.path(), ": has the format ", format.name, ", which does not use ", option.flag,
           "; formats that do: ", format_list(option.bit));
  const Viewing& v = options.viewing;
  if (v.image_width > 0 && !v.image.known() && !(format.options & F::image_size))
    fail(table.path(), ": --image-size: expected --screen WxH too, the format ", format.name,
         " does not give the screen's size");
}

const GazeFormat& find_format(const Table& table, const std::string& name) {
  for (const GazeFormat& format : table_of_formats)
    if (name == "auto" ? format.recognises(table) : name == format.name) return format;
  if (name != "auto") fail("format of gaze: expected auto, ", format_list(), ", got '", name, "'");
  table.fail("expected a table of gaze in one of the formats ", format_list(), "; its columns are ",
             table.column_list());
}

}  // namespace

std::span<const GazeFormat> gaze_formats() { return table_of_formats; }

const GazeFormat& format_of(const Table& table, const GazeOptions& options) {
  const GazeFormat& format = find_format(table, options.format);
  check_options(table, format, options);
  return format;
}

std::vector<std::string> format_names(unsigned options) {
  std::vector<std::string> names;
  for (const GazeFormat& format : table_of_formats)
    if ((format.options & options) == options) names.push_back(format.name);
  return names;
}

std::string format_list(unsigned options) {
  std::string list;
  for (const std::string& name : format_names(options)) list += (list.empty() ? "" : ", ") + name;
  return list;
}

std::string format_descriptions() {
  std::string lines;
  for (const GazeFormat& format : table_of_formats) {
    char line[160];
    std::snprintf(line, sizeof line, "  %-11s %s\n", format.name, format.description);
    lines += line;
  }
  return lines;
}

}  // namespace gt
