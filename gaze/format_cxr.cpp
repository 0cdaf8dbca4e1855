// Chest X-rays: the fixation tables of REFLACX (https://doi.org/10.13026/e0dj-8498) and of EGD-CXR
// (https://doi.org/10.13026/qfdz-zr67, columns in https://doi.org/10.1038/s41597-021-00863-5, table 2). Both give
// positions in pixels of the original image, whose size the tables lack.
#include <memory>

#include "core/text.h"
#include "gaze/formats.h"
#include "gaze/image_sizes.h"

namespace gt {
namespace {

/// Sizes of the images in pixels: of options.images, or one that the options give.
class OriginalSizes {
 public:
  OriginalSizes(const Table& table, const GazeOptions& options) : options_(options) {
    const Viewing& v = options.viewing;
    if (v.screen_width > 0 || v.image.known())
      fail(table.path(), ": has positions in pixels of the image: expected --images DIR or --image-size WxH alone, ",
           "no place on the screen");
    if (!options.images.empty()) sizes_.emplace(options.images);
  }

  /// Nothing if the folder lacks the image. Throws Error if there is neither a folder nor a size.
  std::optional<PixelSize> of(const Table& table, const std::string& image) {
    const Viewing& v = options_.viewing;
    if (!sizes_ && v.image_width == 0)
      table.fail(
          "has positions in pixels of image ", quoted(image),
          ": expected its size (gradtrack fixations --images DIR, the folder of the originals, or --image-size)");
    if (!sizes_) return PixelSize{v.image_width, v.image_height};
    return sizes_->of({image, std::make_shared<const std::string>(table.path()), table.line()});
  }

 private:
  const GazeOptions& options_;
  std::optional<ImageSizes> sizes_;
};

/// Adds the fixation of the current row, at a position in pixels of the image.
void add_fixation(GazeFile& file, const Table& table, ImageRecording& recording, const PixelSize& size, Record r,
                  std::optional<double> x, std::optional<double> y) {
  recording.track.image_width = int64_t(size.width), recording.track.image_height = int64_t(size.height);
  r.line = table.line();
  r.lost = x && y && *x == 0 && *y == 0;
  if (x && y && !r.lost) {
    const Position at = placed(file, *x / size.width, *y / size.height, {}, false, true, table.line());
    r.x = at.x, r.y = at.y;
  }
  recording.records.push_back(r);
}

}  // namespace

// ---- REFLACX --------------------------------------------------------------------------------------------------------

bool recognises_reflacx(const Table& header) { return header.find("timestamp_start_fixation").has_value(); }

GazeFile read_reflacx(Table& table, const GazeOptions& options) {
  const size_t start = table.require("timestamp_start_fixation"), end = table.require("timestamp_end_fixation"),
               x = table.require("x_position"), y = table.require("y_position");
  const auto right = table.find("xmax_shown_from_image"), bottom = table.find("ymax_shown_from_image");
  const std::string image = image_name(options.image, table.path());
  if (image.empty())
    fail(table.path(),
         ": does not say which image was looked at: expected --image NAME, the dicom_id of metadata_phase_N.csv");
  OriginalSizes sizes(table, options);
  GazeFile file;
  file.clock = "s";
  file.positions_text = "positions in pixels of the image";
  while (table.next()) {
    const std::optional<PixelSize> size = sizes.of(table, image);
    if (!size) fail(options.images, ": has no image ", quoted(image), ", expected the one that was looked at");
    constexpr double rounding = 1;  // pixels
    if ((right && table.number(*right) > size->width + rounding) ||
        (bottom && table.number(*bottom) > size->height + rounding))
      table.fail("the part of the image that was shown ends beyond its ", size->width, "x", size->height,
                 " pixels: expected the size of the original image");
    const double from = table.milliseconds(start, "s"), to = table.milliseconds(end, "s");
    if (to <= from) table.fail("the fixation ends at ", to, " ms, expected after its start at ", from, " ms");
    ImageRecording& recording = recording_of(file, table, image, "", 0);
    const int64_t index = int64_t(recording.records.size()) + 1;
    add_fixation(file, table, recording, *size, {no_position, no_position, from, to - from, index},
                 table.number_if_any(x), table.number_if_any(y));
  }
  return file;
}

// ---- EGD-CXR --------------------------------------------------------------------------------------------------------

bool recognises_egd_cxr(const Table& header) { return header.find("X_ORIGINAL") && header.find("FPOGD"); }

GazeFile read_egd_cxr(Table& table, const GazeOptions& options) {
  const size_t image = table.require({"DICOM_ID", "DICOM-ID"}), start = table.require("FPOGS"),
               duration = table.require("FPOGD"), id = table.require("FPOGID"), valid = table.require("FPOGV"),
               x = table.require("X_ORIGINAL"), y = table.require("Y_ORIGINAL");
  RecordingFilter filter(table, options, {"SESSION_ID"});
  OriginalSizes sizes(table, options);
  GazeFile file;
  file.clock = "s";
  std::set<std::string> missing;
  while (table.next()) {
    if (!filter.accepts(table)) continue;
    const std::string name = image_in(table, image);
    if (!options.image.empty() && name != image_name(options.image, table.path())) continue;
    const std::optional<PixelSize> size = sizes.of(table, name);
    if (!size) {
      missing.insert(name);
      continue;
    }
    const double time = table.milliseconds(start, "s");
    ImageRecording& recording = recording_of(file, table, name, filter.source(table), time);
    auto u = table.number_if_any(x), v = table.number_if_any(y);
    constexpr double rounding = 2;  // pixels: sides were made even before the positions were computed
    if ((u && *u > size->width + rounding) || (v && *v > size->height + rounding))
      table.fail("the position ", table.word(x), ",", table.word(y), " is beyond the image's ", size->width, "x",
                 size->height, " pixels: expected the original image in --images");
    if (table.whole(valid, 0) == 0) u = v = std::nullopt;
    add_fixation(file, table, recording, *size,
                 {no_position, no_position, time, table.duration(duration, "s"), table.whole(id, 0)}, u, v);
  }
  filter.finish(table);
  file.positions_text = "positions in pixels of the images";
  if (!missing.empty())
    file.positions_text += str_cat("; ", missing.size(), " images that ", options.images, " lacks, such as ",
                                   *missing.begin(), ", were passed over");
  return file;
}

}  // namespace gt
