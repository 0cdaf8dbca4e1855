// PNG and JPEG decoded by stb_image. It does not check checksums, and fills what is missing with zeros or grey:
// read_png_file(), check_png_pixels() and check_jpeg_scans() find such faults beforehand.
#include <climits>
#include <memory>

#include "core/check.h"
#include "gaze/picture_files.h"

#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#include <stb/stb_image.h>

namespace gt {

namespace {

/// Calls stb's `load` for values of type T, and copies them. Values are divided by `scale`.
template <class T, class Load>
void decode(const std::string& path, const char* kind, std::string_view bytes, Load load, int scale,
            StoredImage& image) {
  if (bytes.size() > INT_MAX) fail(path, ": is larger than 2 GiB");
  int width = 0, height = 0, channels = 0;
  const std::unique_ptr<T, void (*)(void*)> decoded(
      load(reinterpret_cast<const stbi_uc*>(bytes.data()), int(bytes.size()), &width, &height, &channels,
           int(image.channels)),
      stbi_image_free);
  if (!decoded) fail(path, ": cannot decode the ", kind, " image: ", stbi_failure_reason());
  if (width != image.width || height != image.height)
    fail(path, ": is damaged, its header says ", image.height, "x", image.width, ", its pixels ", height, "x", width);
  T* const end = decoded.get() + image.height * image.width * image.channels;
  auto& values = image.values.emplace<std::vector<T>>(decoded.get(), end);
  if (scale > 1)
    for (T& value : values) value = T(value / scale);
}

}  // namespace

void decode_png_by_stb(const std::string& path, const PngFile& file, StoredImage& image) {
  check_png_pixels(path, file);
  // Values of fewer than 8 bits are scaled by stb_image to 0 to 255.
  const int scale = file.bits < 8 ? 255 / ((1 << file.bits) - 1) : 1;
  if (file.bits == 16)
    decode<stbi_us>(path, "PNG", file.essential, stbi_load_16_from_memory, 1, image);
  else
    decode<stbi_uc>(path, "PNG", file.essential, stbi_load_from_memory, scale, image);
}

void decode_jpeg_by_stb(const std::string& path, const JpegFile& file, const ReadOptions&, StoredImage& image) {
  check_jpeg_scans(path, file);
  decode<stbi_uc>(path, "JPEG", file.picture, stbi_load_from_memory, 1, image);
}

}  // namespace gt
