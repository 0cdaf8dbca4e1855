// Synthetic images that resemble endoscopy, with one lesion each and its mask, for the demo and the tests.
#pragma once

#include <cstdint>
#include <string>

#include "gaze/image.h"

namespace gt {

struct SyntheticCase {
  Image image;  // (size,size,3)
  Image mask;   // (size,size,1), 0 or 255
};

/// Case `index` of the random stream `seed`.
SyntheticCase synthesize(int64_t size, uint64_t seed, int64_t index);

/// Writes a data set folder (gaze/dataset.h) with 70 % training, 10 % validation and 20 % test images and simulated
/// gaze. Throws Error if the folder holds a data set.
void write_synthetic_dataset(const std::string& folder, int64_t count, int64_t size, uint64_t seed);

}  // namespace gt
