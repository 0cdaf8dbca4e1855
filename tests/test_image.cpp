#include "gaze/image.h"

#include <set>

#include "core/random.h"
#include "tests/catch.h"
#include "tests/picture_files.h"
#include "tests/temp_folder.h"

using namespace gt;

namespace {

// An 8x8 grey JPEG of the value 178.
std::string grey_jpeg() { return jpeg_file({.values = {178}}); }

// The grey JPEG with a comment that holds a whole JPEG, like an EXIF thumbnail.
std::string jpeg_with_thumbnail() { return jpeg_file({.values = {178}, .segments = jpeg_segment(0xE1, grey_jpeg())}); }

Image noise(int64_t height, int64_t width, int64_t channels) {
  Image image(height, width, channels);
  Random random(3);
  for (uint8_t& p : image.pixels) p = uint8_t(random.below(256));
  return image;
}

// The reason why a file with these bytes is refused. The message must begin with the path.
std::string refusal(const std::string& bytes) {
  const TempFolder tmp;
  const std::string path = tmp / "x.png";
  write(path, bytes);
  const std::string message = error_of([&] { read_image(path, 3); });
  CHECK(message.starts_with(path + ": "));
  return message.substr(std::min(message.size(), path.size() + 2));
}

}  // namespace

TEST_CASE("image: reading a written PNG gives the image", "[image]") {
  const TempFolder tmp;
  for (const int channels : {1, 3}) {
    const Image image = noise(5, 7, channels);
    write_png(tmp / "a.png", image);
    const Image back = read_image(tmp / "a.png", channels);
    CHECK(back.height == 5);
    CHECK(back.width == 7);
    CHECK(back.channels == channels);
    CHECK(back.pixels == image.pixels);
  }
}

TEST_CASE("image: grey and colour files are converted to the requested channels", "[image]") {
  const TempFolder tmp;
  write_png(tmp / "grey.png", Image(2, 2, 1, 77));
  CHECK(read_image(tmp / "grey.png", 3).pixels == std::vector<uint8_t>(12, 77));
  Image with_alpha(1, 1, 4, 10);
  with_alpha.at(0, 0)[3] = 0;
  write_png(tmp / "alpha.png", with_alpha);
  CHECK(read_image(tmp / "alpha.png", 3).pixels == std::vector<uint8_t>(3, 10));
  CHECK(read_image(tmp / "alpha.png", 1).pixels == std::vector<uint8_t>(1, 10));
  CHECK_THROWS_AS(read_image(tmp / "grey.png", 2), Error);
}

TEST_CASE("image: a JPEG is decoded whatever its file name", "[image]") {
  const TempFolder tmp;
  for (const std::string& bytes : {grey_jpeg(), jpeg_with_thumbnail(), grey_jpeg() + "appended"}) {
    write(tmp / "a.png", bytes);
    const Image image = read_image(tmp / "a.png", 3);
    CHECK(image.height == 8);
    CHECK(image.width == 8);
    CHECK(image.pixels == std::vector<uint8_t>(8 * 8 * 3, 178));
  }
}

TEST_CASE("image: an unreadable file is refused with the path and the reason", "[image]") {
  const TempFolder tmp;
  CHECK(error_of([&] { read_image(tmp / "none.png", 3); }) ==
        (tmp / "none.png") + ": cannot open: No such file or directory");
  CHECK(refusal("") == "is empty, expected a JPEG, PNG or DICOM image");
  CHECK(refusal("GIF89a") == "is neither a JPEG nor a PNG nor a DICOM image");
  CHECK(refusal("\x89PNG") == "is neither a JPEG nor a PNG nor a DICOM image");
}

TEST_CASE("image: a file truncated anywhere is refused", "[image]") {
  const auto truncated = [](const std::string& whole, size_t from) {
    for (size_t size = from; size < whole.size(); ++size) {
      const std::string why = refusal(whole.substr(0, size));
      INFO(size << " of " << whole.size() << " bytes: " << why);
      CHECK(why.find("truncated") != std::string::npos);
    }
  };
  truncated(grey_jpeg(), 3);
  truncated(jpeg_with_thumbnail().substr(0, 400), 300);
  const std::string png = encode_png(noise(4, 4, 3));
  truncated(png.substr(0, png.size() - 8), 8);  // after the name of the last chunk, before its checksum
}

TEST_CASE("image: a damaged file is refused", "[image]") {
  std::string overlong = grey_jpeg();
  overlong.replace(overlong.find("\xFF\xC4") + 5, 3, "\xFF\xFF\xFF");
  CHECK(refusal(overlong) == "is damaged, a Huffman table has more codes than bits");
  std::string jpeg = grey_jpeg();
  jpeg[jpeg.find("\xFF\xDA")] = 0;
  CHECK(refusal(jpeg) == "is damaged, it has no frame or no scan");
  std::string png = encode_png(noise(4, 4, 3));
  png.replace(png.find("IDAT"), 4, "iDAT");
  CHECK(refusal(png) == "is damaged, the checksum of chunk iDAT is wrong");
}

TEST_CASE("image: resizing to the same size changes nothing", "[image]") {
  const Image image = noise(6, 5, 3);
  CHECK(resize_image(image, 6, 5).pixels == image.pixels);
}

TEST_CASE("image: a flat image stays flat at any size", "[image]") {
  for (const int64_t size : {1, 2, 7, 13, 40})
    CHECK(resize_image(Image(13, 13, 3, 200), size, size + 1).pixels ==
          std::vector<uint8_t>(size_t(size * (size + 1) * 3), 200));
}

TEST_CASE("image: reducing averages a fine pattern to grey", "[image]") {
  Image stripes(64, 64, 1);
  for (int64_t y = 0; y < 64; ++y)
    for (int64_t x = 0; x < 64; ++x) *stripes.at(y, x) = x % 2 ? 255 : 0;
  const Image small = resize_image(stripes, 16, 16);
  for (int64_t y = 0; y < 16; ++y)
    for (int64_t x = 1; x < 15; ++x) CHECK(std::abs(*small.at(y, x) - 127.5) <= 1);
}

TEST_CASE("image: enlarging interpolates between pixel centres", "[image]") {
  Image pair(1, 2, 1);
  *pair.at(0, 1) = 200;
  CHECK(resize_image(pair, 1, 4).pixels == std::vector<uint8_t>{0, 50, 150, 200});
}

TEST_CASE("image: an error of writing names the path", "[image]") {
  const TempFolder tmp;
  const std::string path = tmp / "none/a.png";
  CHECK(error_of([&] { write_png(path, Image(1, 1, 1)); }).starts_with(path + ": cannot write"));
  CHECK_THROWS_AS(encode_png(Image(1, 1, 2)), Error);
  CHECK_THROWS_AS(encode_png(Image()), Error);
}

TEST_CASE("image: a few outliers do not take the grey levels of the others, unless the stretch is full", "[image]") {
  const TempFolder tmp;
  std::vector<uint16_t> values(40 * 50);
  for (size_t i = 0; i < values.size(); ++i) values[i] = uint16_t(1000 + i % 400);
  values[7] = 65535;
  write(tmp / "a.png", png16(50, 40, values));
  const auto levels = [&](Stretch stretch) {
    const Image image = read_image(tmp / "a.png", 1, {.stretch = stretch});
    return std::set<uint8_t>(image.pixels.begin(), image.pixels.end()).size();
  };
  CHECK(levels(Stretch::automatic) > 200);
  CHECK(levels(Stretch::percentile) > 200);
  CHECK(levels(Stretch::full) < 5);
  CHECK(read_image(tmp / "a.png", 1).pixels[7] == 255);
  for (size_t i = 0; i < values.size(); ++i) values[i] = uint16_t(20 * (i % 400));
  write(tmp / "a.png", png16(50, 40, values));
  CHECK(read_image(tmp / "a.png", 1).pixels == read_image(tmp / "a.png", 1, {.stretch = Stretch::full}).pixels);
  CHECK(error_of([] { stretch_named("x"); }) == "stretch is 'x', expected auto, full or percentile");
}

TEST_CASE("image: palettes, few bits and EXIF orientation are read as shown", "[image]") {
  const TempFolder tmp;
  write(tmp / "a.png",
        png_file({.width = 2,
                  .height = 1,
                  .type = 3,
                  .rows = bytes_of({0, 1, 0}),
                  .chunks = png_chunk("PLTE", bytes_of({10, 20, 30, 255, 0, 0})) + png_chunk("eXIf", exif(6))}));
  const Image image = read_image(tmp / "a.png", 3);
  CHECK((image.height == 2 && image.width == 1 && image.orientation == 6));
  CHECK(image.pixels == std::vector<uint8_t>{255, 0, 0, 10, 20, 30});
  write(tmp / "a.png", png_file({.width = 4, .height = 1, .bits = 2, .rows = bytes_of({0, 0b00011011})}));
  CHECK(read_image(tmp / "a.png", 1).pixels == std::vector<uint8_t>{0, 85, 170, 255});
}

TEST_CASE("image: a PNG of 16 bits is stretched to 8 bits", "[image]") {
  const TempFolder tmp;
  write(tmp / "a.png", png16(3, 2, {100, 200, 300, 400, 500, 1375}));
  CHECK(read_image(tmp / "a.png", 1).pixels == std::vector<uint8_t>{0, 20, 40, 60, 80, 255});
  CHECK(read_image(tmp / "a.png", 3).pixels.size() == 18);
  write(tmp / "a.png", png16(2, 1, {0, 1}));  // a mask
  CHECK(read_image(tmp / "a.png", 1).pixels == std::vector<uint8_t>{0, 255});
  write(tmp / "a.png", png16(2, 1, {65535, 65535}));
  CHECK(read_image(tmp / "a.png", 1).pixels == std::vector<uint8_t>{255, 255});
  write(tmp / "a.png", png16(2, 1, {0, 0}));
  CHECK(read_image(tmp / "a.png", 1).pixels == std::vector<uint8_t>{0, 0});
}
