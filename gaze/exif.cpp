// The orientation in EXIF (https://www.cipa.jp/std/documents/e/DC-X008-Translation-2019-E.pdf, tag 0x0112).
#include "core/check.h"
#include "gaze/picture_files.h"

namespace gt {

int exif_orientation(const std::string& path, std::string_view tiff) {
  if (tiff.size() < 8 || (!tiff.starts_with("II") && !tiff.starts_with("MM"))) return 1;
  const bool little = tiff[0] == 'I';
  const auto number = [&](size_t at, size_t count) {
    uint64_t value = 0;
    for (size_t i = 0; i < count; ++i) value = value << 8 | uint8_t(tiff[little ? at + count - 1 - i : at + i]);
    return size_t(value);
  };
  constexpr size_t entry_size = 12, orientation_tag = 0x0112, short_type = 3, long_type = 4;
  const size_t directory = number(4, 4);
  if (directory > tiff.size() - 2) return 1;
  const size_t count = number(directory, 2);
  for (size_t i = 0, at = directory + 2; i < count && at + entry_size <= tiff.size(); ++i, at += entry_size) {
    if (number(at, 2) != orientation_tag) continue;
    const size_t type = number(at + 2, 2), value = number(at + 8, type == long_type ? 4 : 2);
    if ((type != short_type && type != long_type) || value > 8)
      fail(path, ": has EXIF orientation ", value, " of type ", type, ", expected 1 to 8");
    return value == 0 ? 1 : int(value);  // 0: unknown
  }
  return 1;
}

}  // namespace gt
