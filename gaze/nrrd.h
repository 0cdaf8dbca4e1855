// Label volumes in NRRD files (https://teem.sourceforge.net/nrrd/format.html).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gt {

/// Integers on a grid; x varies fastest.
struct Volume {
  int64_t width = 0, height = 0, depth = 0;
  std::vector<int32_t> values;  // (depth,height,width)
  /// The values (height,width) of one slice.
  const int32_t* slice(int64_t z) const { return values.data() + z * height * width; }
};

/// Reads a file of dimension 3 with attached data: integers of up to 32 bits, encoding raw or gzip. Throws Error,
/// naming the file and the field, for other files and for damaged ones.
Volume read_nrrd(const std::string& path);

}  // namespace gt
