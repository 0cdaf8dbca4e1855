// The speed of the input pipeline without a network, in images per second.
#pragma once

#include <string>

namespace gt {

/// Times two stages on the training split of a data set. Loading reads, decodes and resizes all images, once a run.
/// Batching takes 8 of them, once a step. Images are resized to `size` pixels. Each stage runs for about `budget`
/// seconds with 1, 2, 4,
/// ... `threads` threads. Prints images per second and writes them to the file `json` unless it is empty. Throws Error
/// if the data set cannot be loaded.
void time_loader(const std::string& folder, int64_t size, int threads, double budget, const std::string& json);

}  // namespace gt
