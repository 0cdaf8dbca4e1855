// What the values of mask files mean.
#include "gaze/mask.h"

#include <algorithm>

#include "tests/catch.h"
#include "tests/picture_files.h"
#include "tests/temp_folder.h"

using namespace gt;

namespace {

// A PNG of one row with these values, as stored.
std::string png_row(const std::vector<uint8_t>& values, int channels = 1, int type = 0, int bits = 8,
                    const std::string& chunks = "") {
  return png_file({.width = int(values.size()) / channels,
                   .height = 1,
                   .bits = bits,
                   .type = type,
                   .rows = std::string(1, '\0') + std::string(values.begin(), values.end()),
                   .chunks = chunks});
}

std::string palette(const std::vector<uint8_t>& colours) {
  return png_chunk("PLTE", std::string(colours.begin(), colours.end()));
}

using Pixels = std::vector<uint8_t>;

// The pixels of the mask in a file of these bytes.
Pixels mask_in(const std::string& bytes, const LabelOptions& labels = {}) {
  const TempFolder tmp;
  write(tmp / "m", bytes);
  return read_mask(tmp / "m", labels).image.pixels;
}

// The message with which it is refused, from the file's name on.
std::string refused(const std::string& bytes, const LabelOptions& labels = {}) {
  const TempFolder tmp;
  write(tmp / "m", bytes);
  const std::string message = error_of([&] { read_mask(tmp / "m", labels); });
  CHECK(message.starts_with(tmp / "m"));
  CHECK(message.find('\n') == message.npos);
  return message.size() < tmp.path().size() ? message : message.substr(tmp.path().size() + 1);
}

const std::string expected_two =
    ": expected two values, or data.labels (prepare: --foreground, --ignored, --background) that says what each value "
    "is";

}  // namespace

TEST_CASE("masks: the greater of two values is foreground", "[mask]") {
  CHECK(mask_in(png_row({0, 255, 0})) == Pixels{0, 255, 0});
  CHECK(mask_in(png_row({0, 1, 1})) == Pixels{0, 255, 255});
  CHECK(mask_in(png_row({2, 1, 1})) == Pixels{255, 0, 0});
  CHECK(mask_in(png16(3, 1, {0, 1, 0})) == Pixels{0, 255, 0});
  CHECK(mask_in(png16(3, 1, {0, 65535, 0})) == Pixels{0, 255, 0});
  CHECK(mask_in(png_row({7, 7, 7, 9, 9, 9}, 3, 2)) == Pixels{0, 255});
  CHECK(mask_in(png_row({0, 0, 0, 128, 0, 0}, 3, 2)) == Pixels{0, 255});
}

TEST_CASE("masks: one value is an empty or a full mask, or refused", "[mask]") {
  CHECK(mask_in(png_row({0, 0})) == Pixels{0, 0});
  CHECK(mask_in(png_row({255, 255})) == Pixels{255, 255});
  CHECK(mask_in(png16(2, 1, {65535, 65535})) == Pixels{255, 255});
  CHECK(refused(png_row({1, 1})) == "m: value 1" + expected_two);
  CHECK(refused(png16(2, 1, {255, 255})) == "m: value 255" + expected_two);
}

TEST_CASE("masks: three values are refused with the values", "[mask]") {
  CHECK(refused(png_row({0, 3, 255})) == "m: values 0 3 255" + expected_two);
  CHECK(refused(png16(4, 1, {0, 1, 2, 3})) == "m: values 0 1 2 3" + expected_two);
  CHECK(refused(png_row({9, 8, 7, 6, 5, 4, 3, 2, 1, 0})) == "m: values 0 1 2 3 4 5 6 7 and 2 more" + expected_two);
  CHECK(refused(png_row({0, 0, 0, 255, 0, 0, 0, 255, 0}, 3, 2)) == "m: values 0 65280 16711680" + expected_two);
}

TEST_CASE("masks: a palette counts by index, unless the greater one is darker", "[mask]") {
  CHECK(mask_in(png_row({0, 1, 0}, 1, 3, 8, palette({0, 0, 0, 128, 0, 0}))) == Pixels{0, 255, 0});
  const std::string inverted = png_row({0, 1, 0}, 1, 3, 8, palette({255, 255, 255, 0, 0, 0}));
  CHECK(refused(inverted).starts_with("m: palette indices 0 and 1, the second darker"));
  CHECK(mask_in(inverted, {.foreground = {0}, .background = {1}}) == Pixels{255, 0, 255});
  CHECK(refused(png_row({0, 1, 2}, 1, 3, 8, palette({0, 0, 0, 128, 0, 0, 0, 128, 0}))) ==
        "m: values 0 1 2" + expected_two);
}

TEST_CASE("masks: alpha must be constant and not 0", "[mask]") {
  CHECK(mask_in(png_row({0, 0, 0, 255, 255, 255, 255, 255}, 4, 6)) == Pixels{0, 255});
  CHECK(refused(png_row({255, 255, 255, 0, 255, 255, 255, 255}, 4, 6))
            .starts_with("m: has an alpha channel that is not constant"));
  CHECK(refused(png_row({0, 255, 255, 0}, 2, 4)).starts_with("m: has an alpha channel that is not constant"));
  CHECK(refused(png_row({0, 0, 255, 0}, 2, 4)).starts_with("m: is transparent throughout"));
}

TEST_CASE("masks: a palette's colours must be alike in transparency", "[mask]") {
  const std::string colours = palette({0, 0, 0, 128, 0, 0});
  CHECK(refused(png_row({0, 1, 0}, 1, 3, 8, colours + png_chunk("tRNS", std::string("\xFF\0", 2))))
            .starts_with("m: has a palette of which some colours are transparent"));
  CHECK(mask_in(png_row({0, 1, 0}, 1, 3, 8, colours + png_chunk("tRNS", "\xFF\xFF"))) == Pixels{0, 255, 0});
}

TEST_CASE("masks: of two colours one must be black", "[mask]") {
  CHECK(mask_in(png_row({0, 0, 0, 255, 0, 0}, 3, 2)) == Pixels{0, 255});
  const std::string red_on_white = png_row({255, 255, 255, 255, 0, 0}, 3, 2);
  CHECK(refused(red_on_white).starts_with("m: values 16711680 16777215: has two colours and neither is black"));
  CHECK(mask_in(red_on_white, {.foreground = {16711680}, .background = {16777215}}) == Pixels{0, 255});
}

TEST_CASE("masks: a data set has one foreground and one background", "[mask]") {
  const auto all = [](const std::vector<std::string>& files) {
    const TempFolder tmp;
    MaskValues values;
    return error_of([&] {
      for (size_t i = 0; i < files.size(); ++i) {
        const std::string path = tmp / str_cat("m", i);
        write(path, files[i]);
        MaskValues one;
        one.add(read_mask(path), path);
        values.add(one);
      }
    });
  };
  const std::string zero_one = png_row({0, 1}), zero_255 = png_row({0, 255}), empty = png_row({0, 0});
  CHECK(all({zero_one, empty, zero_one}).empty());
  CHECK(all({zero_255, png16(2, 1, {0, 65535}), png_row({64}, 1, 0, 1)}).empty());  // each the file's largest
  for (const std::string& other : {zero_255, png_row({0, 2}), png_row({1, 2}), png16(2, 1, {0, 1000})})
    CHECK(all({zero_one, empty, other}).find("expected one meaning of values in a data set") != std::string::npos);
}

TEST_CASE("masks: values of a JPEG at both ends are divided above 127", "[mask]") {
  const auto jpeg = [](const std::vector<int>& values) {
    return jpeg_file({.blocks_across = int(values.size()), .values = values});
  };
  const Pixels mask = mask_in(jpeg({3, 250, 0, 255, 9}));
  REQUIRE(mask.size() == 8 * 40);
  CHECK(Pixels{mask[0], mask[8], mask[16], mask[24], mask[32]} == Pixels{0, 255, 0, 255, 0});
  CHECK(refused(jpeg({0, 1, 2})) == "m: values 0 1 2" + expected_two);
  CHECK(refused(jpeg({0, 120, 250})) == "m: values 0 120 250" + expected_two);
}

TEST_CASE("masks: labels say which values are foreground, ignored and background", "[mask]") {
  const LabelOptions labels = {.foreground = {3, 4}, .ignored = {255}};
  CHECK(mask_in(png_row({0, 3, 255, 4}), labels) == Pixels{0, 255, ignored_pixel, 255});
  CHECK(refused(png_row({0, 3, 5}), labels) ==
        "m: values 0 3 5: data.labels names 5 nowhere, expected each value once, as foreground, ignored or background");
  CHECK(refused(png_row({0, 3}), {.foreground = {3}, .background = {0, 3}}) ==
        "m: values 0 3: data.labels names 3 twice, expected each value once, as foreground, ignored or background");
  CHECK(refused(png_row({0, 3}), {.foreground = {3}, .background = {1}}).find("names 0 nowhere") != std::string::npos);
}

TEST_CASE("masks: resizing keeps foreground and ignored pixels apart", "[mask]") {
  Image mask(4, 6, 1);
  for (int64_t y = 0; y < 4; ++y)
    for (int64_t x = 0; x < 6; ++x) *mask.at(y, x) = x < 2 ? 255 : x < 4 ? ignored_pixel : 0;
  const Image half = resize_mask(mask, 2, 3);
  CHECK(half.pixels == Pixels{255, ignored_pixel, 0, 255, ignored_pixel, 0});
  const Image twice = resize_mask(mask, 8, 12);
  CHECK(std::all_of(twice.pixels.begin(), twice.pixels.end(),
                    [](uint8_t v) { return v == 0 || v == ignored_pixel || v == 255; }));
}
