// Label volumes in NRRD files (https://teem.sourceforge.net/nrrd/format.html).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gt {

/// Integers on a grid; x varies fastest.
struct Volume {
  int64_t width = 0, height = 0, depth = 0;
  std::vector<int32_t> values;  // (depth,height,width)
  /// The steps of the axes x, y, z in mm: to the patient's left, back and head. Nothing if the file gives none.
  std::optional<std::array<std::array<double, 3>, 3>> directions;

  /// The values (height,width) of one slice.
  const int32_t* slice(int64_t z) const { return values.data() + z * height * width; }
  int32_t* slice(int64_t z) { return values.data() + z * height * width; }
};

/// Reads a file of dimension 3: integers of up to 32 bits, encoding raw or gzip, after the header or in one other file.
/// Throws Error, naming the file and the field, for other files, for damaged ones, and for fields that it does not know
/// to be harmless.
Volume read_nrrd(const std::string& path);

}  // namespace gt
