// JPEG decoded by libjpeg-turbo. Its warnings are errors, except harmless ones.
#include "gaze/picture_files.h"

#if GT_JPEG
#include <csetjmp>
#include <cstdio>

#include <jerror.h>
#include <jpeglib.h>

#include "core/check.h"

namespace gt {

namespace {

struct Faults {
  jpeg_error_mgr manager;  // first, as libjpeg gives its address
  std::jmp_buf jump;
  char text[JMSG_LENGTH_MAX] = "";
};

[[noreturn]] void on_error(j_common_ptr info) {
  auto& faults = *reinterpret_cast<Faults*>(info->err);
  info->err->format_message(info, faults.text);
  std::longjmp(faults.jump, 1);
}

/// Bytes between segments, and a newer revision of JFIF, do not change the picture.
void on_message(j_common_ptr info, int level) {
  const int code = info->err->msg_code;
  if (level < 0 && code != JWRN_EXTRANEOUS_DATA && code != JWRN_JFIF_MAJOR) on_error(info);
}

uint8_t product(int a, int b) { return uint8_t((a * b + 127) / 255); }

/// `row` has room for a row of CMYK.
void decode_rows(jpeg_decompress_struct& jpeg, bool cmyk, uint8_t* row, uint8_t* out) {
  const size_t count = size_t(jpeg.output_width) * size_t(jpeg.output_components);
  while (jpeg.output_scanline < jpeg.output_height) {
    JSAMPROW rows[] = {cmyk ? row : out};
    jpeg_read_scanlines(&jpeg, rows, 1);
    if (!cmyk) out += count;
    for (size_t i = 0; cmyk && i < count; i += 4)  // Adobe stores inverted values
      for (size_t c = 0; c < 3; ++c) *out++ = product(row[i + c], row[i + 3]);
  }
}

/// Decodes row by row. Whether it succeeded. No object with a destructor lives here, as libjpeg jumps out of it.
bool decode(jpeg_decompress_struct& jpeg, Faults& faults, std::string_view bytes, bool grey, uint8_t* row,
            uint8_t* out) {
  if (setjmp(faults.jump)) return false;
  jpeg_create_decompress(&jpeg);
  jpeg_mem_src(&jpeg, reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<unsigned long>(bytes.size()));
  jpeg_read_header(&jpeg, TRUE);
  const bool cmyk = jpeg.num_components == 4;
  jpeg.out_color_space = grey ? JCS_GRAYSCALE : cmyk ? JCS_CMYK : JCS_RGB;
  jpeg_start_decompress(&jpeg);
  decode_rows(jpeg, cmyk, row, out);
  jpeg_finish_decompress(&jpeg);
  return true;
}

}  // namespace

void decode_jpeg_by_libjpeg(const std::string& path, const JpegFile& file, const ReadOptions&, StoredImage& image) {
  auto& values = image.values.emplace<std::vector<uint8_t>>(size_t(image.height * image.width * image.channels));
  std::vector<uint8_t> row(size_t(image.width) * 4);
  jpeg_decompress_struct jpeg = {};
  Faults faults;
  jpeg.err = jpeg_std_error(&faults.manager);
  faults.manager.error_exit = on_error;
  faults.manager.emit_message = on_message;
  const bool done = decode(jpeg, faults, file.picture, image.channels == 1, row.data(), values.data());
  jpeg_destroy_decompress(&jpeg);
  if (!done) fail(path, ": cannot decode the JPEG image: ", faults.text);
}

}  // namespace gt
#endif
