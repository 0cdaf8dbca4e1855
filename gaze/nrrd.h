// NRRD volumes (https://teem.sourceforge.net/nrrd/format.html) of labels.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gt {

/// Whole numbers on a grid; x runs fastest.
struct Volume {
  int64_t width = 0, height = 0, depth = 0;
  std::vector<int32_t> values;  // (depth, height, width)
  const int32_t* slice(int64_t z) const { return values.data() + z * height * width; }
};

/// Reads a file of dimension 3 whose header and data stand together, of whole numbers of up to 32 bits, raw or gzip.
/// Throws Error, naming the file and the field, for any other and for one that is damaged.
Volume read_nrrd(const std::string& path);

}  // namespace gt
