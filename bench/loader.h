// The input pipeline alone, without a network: how many images a second it could give a training step.
#pragma once

#include <string>

namespace gt {

/// Times loading the training split of a data set (read, decode, resize: once a run) and taking batches of 8 from it
/// (once a step), with 1, 2, 4 .. `threads` threads, at this size in pixels, each for about `budget` seconds. Prints
/// images a second; writes them to `json` unless it is empty. Throws Error if there is no such data set.
void time_loader(const std::string& folder, int64_t size, int threads, double budget, const std::string& json);

}  // namespace gt
