#include "gaze/image_fit.h"

#include <algorithm>
#include <memory>

#include "core/text.h"

namespace gt {

Rectangle fitted(const PixelSize& image, const Rectangle& area, const std::string& fit) {
  if (fit != "contain" && fit != "native") fail("fit of images: expected contain or native, got '", fit, "'");
  const double scale = fit == "native" ? 1 : std::min(area.width / image.width, area.height / image.height);
  const double width = scale * image.width, height = scale * image.height;
  return {area.x + (area.width - width) / 2, area.y + (area.height - height) / 2, width, height};
}

void fit_images(const std::string& path, GazeFile& file, const GazeOptions& options) {
  const std::string& fit = options.viewing.fit;
  const Rectangle& area = options.viewing.image;
  if (file.positions.all > 0 && !file.positions.on_screen)
    fail(path, ":", file.positions.line, ": positions are in image sides: --fit ", fit,
         " is for positions in pixels of the screen");
  ImageSizes sizes(options.images);
  const auto source = std::make_shared<const std::string>(path);
  std::string lacking;  // the first image that the folder lacks
  size_t removed = 0;
  for (auto at = file.recordings.begin(); at != file.recordings.end();) {
    auto& [image, recording] = *at;
    const std::optional<PixelSize> size = sizes.of({image, source});
    if (!size) {
      if (removed++ == 0) lacking = image;
      at = file.recordings.erase(at);
      continue;
    }
    const Rectangle shown = fitted(*size, area, fit);
    for (Record& r : recording.records) {
      r.x = (area.x + r.x * area.width - shown.x) / shown.width;
      r.y = (area.y + r.y * area.height - shown.y) / shown.height;
    }
    recording.shown = shown;
    recording.track.image_width = int64_t(size->width), recording.track.image_height = int64_t(size->height);
    ++at;
  }
  if (removed > 0 && file.recordings.empty())
    fail(options.images, ": has none of the images of ", path, ", such as ", quoted(lacking));
  file.positions_text = str_cat("positions in pixels of the screen, each image by --fit ", fit, " in ", area.x, ",",
                                area.y, " ", area.width, "x", area.height);
  if (removed > 0)
    file.positions_text +=
        str_cat("; ", removed, " images that ", options.images, " lacks, such as ", lacking, ", were passed over");
}

}  // namespace gt
