// PNG decoded by libpng. All its warnings are errors.
#include "gaze/picture_files.h"

#if GT_PNG
#include <png.h>

#include <bit>
#include <cstring>

#include "core/check.h"

namespace gt {

namespace {

struct Source {
  std::string_view bytes;
  std::string fault;
};

void read_bytes(png_structp png, png_bytep out, size_t count) {
  auto& source = *static_cast<Source*>(png_get_io_ptr(png));
  if (count > source.bytes.size()) png_error(png, "truncated");
  std::memcpy(out, source.bytes.data(), count);
  source.bytes.remove_prefix(count);
}

[[noreturn]] void on_fault(png_structp png, png_const_charp message) {
  static_cast<Source*>(png_get_error_ptr(png))->fault = message;
  png_longjmp(png, 1);
}

/// Decodes into rows. Whether it succeeded. No object with a destructor lives here, as libpng jumps out of it.
bool decode(png_structp png, png_infop info, int bits, png_bytepp rows) {
  if (setjmp(png_jmpbuf(png))) return false;
  png_read_info(png, info);
  if (bits < 8) png_set_packing(png);
  if (bits == 16 && std::endian::native == std::endian::little) png_set_swap(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  png_read_image(png, rows);
  png_read_end(png, nullptr);
  return true;
}

}  // namespace

void decode_png_by_libpng(const std::string& path, const PngFile& file, StoredImage& image) {
  const size_t row = size_t(file.width * file.channels), height = size_t(file.height);
  if (file.bits == 16) image.values = std::vector<uint16_t>();
  std::vector<png_bytep> rows;
  const auto place_rows = [&](auto& values) {
    values.resize(row * height);
    for (size_t y = 0; y < height; ++y) rows.push_back(reinterpret_cast<png_bytep>(values.data() + y * row));
  };
  std::visit(place_rows, image.values);

  Source source{file.essential, {}};
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &source, on_fault, on_fault);
  png_infop info = png ? png_create_info_struct(png) : nullptr;
  if (!info) fail(path, ": no memory to decode the PNG image");
  png_set_read_fn(png, &source, read_bytes);
  png_set_user_limits(png, 0x7FFFFFFF, 0x7FFFFFFF);
  const bool done = decode(png, info, file.bits, rows.data());
  png_destroy_read_struct(&png, &info, nullptr);
  if (!done) fail(path, ": cannot decode the PNG image: ", source.fault);
}

}  // namespace gt
#endif
