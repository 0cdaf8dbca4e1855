// The options that say what values of masks mean.
#pragma once

#include <CLI/CLI.hpp>

#include "gaze/mask.h"

namespace gt {

/// Adds --foreground, --ignored and --background. They need the option `needed`, if it is given.
void add_label_options(CLI::App& command, LabelOptions& labels, CLI::Option* needed = nullptr);

}  // namespace gt
