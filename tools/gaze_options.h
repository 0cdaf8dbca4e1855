// The options that say how to read gaze, for the commands that do.
#pragma once

#include <CLI/CLI.hpp>

#include "gaze/readers.h"

namespace gt {

/// Adds --format, --image-rect and the like to a command; `options` must outlive its parsing.
void add_reading_options(CLI::App& command, GazeOptions& options);

/// Adds --detect and its thresholds.
void add_detection_options(CLI::App& command, GazeOptions& options);

}  // namespace gt
