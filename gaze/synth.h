// Synthetic endoscopy-like images with one lesion each, and its mask: data for the demo and the tests.
#pragma once

#include <string>

#include "gaze/image.h"

namespace gt {

struct SyntheticCase {
  Image image;  // (size,size,3)
  Image mask;   // (size,size,1), 0 or 255
};

/// Case number `index` of the stream `seed`.
SyntheticCase synthesize(int64_t size, uint64_t seed, int64_t index);

/// Writes a data set folder in the Kvasir-SEG layout (images/ masks/ train.txt val.txt test.txt, 70/10/20 %) with
/// simulated gaze in gaze.csv. Throws Error if the folder holds one already.
void write_synthetic_dataset(const std::string& folder, int64_t count, int64_t size, uint64_t seed);

}  // namespace gt
