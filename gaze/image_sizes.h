// Sizes of the images of a folder, for gaze that was recorded in pixels.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "gaze/image_folder.h"

namespace gt {

/// Width and height in pixels.
struct PixelSize {
  double width = 0, height = 0;
};

/// The sizes of the images of a folder as they are shown, with the EXIF orientation applied. A file is read when its
/// size is first asked for.
class ImageSizes {
 public:
  /// Throws Error if the folder cannot be read.
  explicit ImageSizes(const std::string& folder) : folder_(folder) {}

  /// The size of an image; nothing if the folder lacks it. Throws Error if its file cannot be read, naming the file, or
  /// if several files have the name.
  std::optional<PixelSize> of(const ListEntry& image);

 private:
  ImageFolder folder_;
  std::map<std::string, PixelSize> sizes_;
};

}  // namespace gt
