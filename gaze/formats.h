// The table of gaze formats. A format is its own file, gaze/format_NAME.cpp, and one row of the table in formats.cpp.
// Its file defines two functions:
//   bool recognises_NAME(const Table& header)                            whether a file of this header or name has it
//   GazeFile read_NAME(Table& table, const GazeOptions& options)         its rows, read by the helpers of gaze_file.h
#pragma once

#include <span>
#include <string>
#include <vector>

#include "gaze/gaze_file.h"

namespace gt {

/// One row of the table.
struct GazeFormat {
  /// Options that not every format uses, as bits.
  enum Option : unsigned {
    image = 1,
    image_column = 2,
    recording = 4,
    viewing = 8,
    detect = 16,
    drop_blinks = 32,
    unit = 64,
    time_unit = 128,
    eye = 256,
    messages = 512,
    images = 1024,
    image_size = 2048  // --image-size needs no --screen: the file gives it, or has positions in pixels of the image
  };

  const char* name;         // as --format takes it
  const char* description;  // one line, for help
  unsigned options;         // that its reader uses
  bool (*recognises)(const Table& header);
  GazeFile (*read)(Table& table, const GazeOptions& options);
};

/// All formats, in the order in which headers are recognised.
std::span<const GazeFormat> gaze_formats();

/// The format of a file: options.format or, for `auto`, the first that recognises its header. Throws Error if there is
/// none, and if an option is given that the format does not use.
const GazeFormat& format_of(const Table& table, const GazeOptions& options);

/// The names of all formats, or of those that use these options, for messages and help.
std::vector<std::string> format_names(unsigned options = 0);
std::string format_list(unsigned options = 0);  ///< joined by commas

/// One line per format, "NAME  description", for help.
std::string format_descriptions();

}  // namespace gt
