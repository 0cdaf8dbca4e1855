// Command-line options of the commands that read gaze.
#pragma once

#include <CLI/CLI.hpp>

#include "gaze/readers.h"

namespace gt {

/// Adds --format and the options that describe the screen to a command. `options` must outlive the parsing.
void add_reading_options(CLI::App& command, GazeOptions& options);

/// Adds --detect and its thresholds to a command. `options` must outlive the parsing.
void add_detection_options(CLI::App& command, GazeOptions& options);

}  // namespace gt
