#include "gaze/image_sizes.h"

#include "core/io.h"
#include "gaze/dicom.h"
#include "gaze/image.h"

namespace gt {
namespace {

PixelSize read_size(const std::string& path) {
  if (is_dicom(read_file(path))) {
    const DicomHeader header = read_dicom_header(path);
    if (header.width == 0) fail(path, ": is a DICOM file without an image");
    return {double(header.width), double(header.height)};
  }
  const Image image = read_image(path, 1);
  return {double(image.width), double(image.height)};
}

}  // namespace

std::optional<PixelSize> ImageSizes::of(const ListEntry& image) {
  if (!folder_.has(image.name)) return std::nullopt;
  const auto [at, added] = sizes_.try_emplace(image.name);
  if (added) at->second = read_size(folder_.find(image));
  return at->second;
}

}  // namespace gt
