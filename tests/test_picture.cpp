// PNG and JPEG files written by the tests, decoded by every decoder of the build.
#include "gaze/picture.h"

#include "tests/catch.h"
#include "tests/picture_files.h"
#include "tests/temp_folder.h"

using namespace gt;

namespace {

using Values = std::vector<uint16_t>;

constexpr bool embedded_or_not[] = {false, true};

/// The picture's values. Those of up to 8 bits are stored as such.
Values values_of(const StoredImage& image) {
  CHECK(std::holds_alternative<std::vector<uint8_t>>(image.values) == (image.bits <= 8));
  return std::visit([](const auto& values) { return Values(values.begin(), values.end()); }, image.values);
}

/// The picture in these bytes. Both decoders must agree.
StoredImage decoded(const std::string& bytes) {
  const StoredImage image = decode_stored("x", bytes), by_stb = decode_stored("x", bytes, {.embedded = true});
  CHECK(image.values == by_stb.values);
  CHECK((image.height == by_stb.height && image.width == by_stb.width && image.channels == by_stb.channels));
  return image;
}

/// The message, after the path, with which the decoder refuses these bytes.
std::string refusal(const std::string& bytes, bool embedded = false) {
  const std::string message = error_of([&] { decode_stored("x", bytes, {.embedded = embedded}); });
  CHECK(message.starts_with("x: "));
  CHECK(message.find('\n') == message.npos);
  return message.substr(std::min<size_t>(3, message.size()));
}

void check_refused(const std::string& bytes, const std::string& message) {
  for (const bool embedded : embedded_or_not) CHECK(refusal(bytes, embedded) == message);
}

std::string replaced(std::string s, const std::string& what, const std::string& by) {
  return s.replace(s.find(what), what.size(), by);
}

}  // namespace

// ---- PNG ------------------------------------------------------------------------------------------------------------

TEST_CASE("picture: a PNG's values are given as stored", "[picture]") {
  StoredImage image = decoded(png_file({.width = 4, .bits = 2, .rows = bytes_of({0, 0b00011011})}));
  CHECK((image.channels == 1 && image.bits == 2 && image.kind == StoredImage::Kind::png));
  CHECK(values_of(image) == Values{0, 1, 2, 3});
  image = decoded(png_file({.width = 2, .bits = 1, .rows = bytes_of({0, 0b01000000})}));
  CHECK(values_of(image) == Values{0, 1});
  image = decoded(png16(3, 1, {0, 1, 65535}));
  CHECK(image.bits == 16);
  CHECK(values_of(image) == Values{0, 1, 65535});
  image = decoded(png_file({.type = 6, .rows = bytes_of({0, 1, 2, 3, 4})}));
  CHECK((image.channels == 4 && image.has_alpha()));
  CHECK(values_of(image) == Values{1, 2, 3, 4});
  image = decoded(png_file({.bits = 16, .type = 4, .rows = bytes_of({0, 1, 2, 3, 4})}));
  CHECK((image.channels == 2 && image.has_alpha()));
  CHECK(values_of(image) == Values{0x102, 0x304});
}

TEST_CASE("picture: a palette PNG gives indices and colours", "[picture]") {
  const std::string palette = png_chunk("PLTE", bytes_of({1, 2, 3, 40, 50, 60, 7, 8, 9}));
  for (const int bits : {8, 2}) {
    const std::string row = bits == 8 ? bytes_of({0, 2, 0, 1}) : bytes_of({0, 0b10000100});
    const StoredImage image = decoded(png_file(
        {.width = 3, .bits = bits, .type = 3, .rows = row, .chunks = palette + png_chunk("tRNS", bytes_of({9, 8}))}));
    CHECK((image.channels == 1 && !image.has_alpha()));
    CHECK(values_of(image) == Values{2, 0, 1});
    CHECK(image.palette == std::vector<std::array<uint8_t, 4>>{{1, 2, 3, 9}, {40, 50, 60, 8}, {7, 8, 9, 255}});
  }
  check_refused(png_file({.type = 3, .rows = bytes_of({0, 3}), .chunks = palette}),
                "has a pixel of palette index 3, expected less than the palette's 3 colours");
  check_refused(png_file({.type = 3, .rows = bytes_of({0, 3})}), "is damaged, it has no palette before its pixels");
}

TEST_CASE("picture: a PNG's transparent colour becomes alpha", "[picture]") {
  StoredImage image = decoded(png_file(
      {.width = 4, .bits = 2, .rows = bytes_of({0, 0b00011011}), .chunks = png_chunk("tRNS", bytes_of({0, 2}))}));
  CHECK((image.channels == 2 && image.has_alpha()));
  CHECK(values_of(image) == Values{0, 3, 1, 3, 2, 0, 3, 3});
  image = decoded(png_file({.width = 2,
                            .type = 2,
                            .rows = bytes_of({0, 1, 2, 3, 1, 2, 4}),
                            .chunks = png_chunk("tRNS", bytes_of({0, 1, 0, 2, 0, 3}))}));
  CHECK(values_of(image) == Values{1, 2, 3, 0, 1, 2, 4, 255});
}

TEST_CASE("picture: an interlaced PNG is read", "[picture]") {
  constexpr int side = 5, x0[] = {0, 4, 0, 2, 0, 1, 0}, y0[] = {0, 0, 4, 0, 2, 0, 1}, dx[] = {8, 8, 4, 4, 2, 2, 1},
                dy[] = {8, 8, 8, 4, 4, 2, 2};
  std::string rows;
  for (int pass = 0; pass < 7; ++pass)
    for (int y = y0[pass]; y < side && x0[pass] < side; y += dy[pass]) {
      rows += '\0';
      for (int x = x0[pass]; x < side; x += dx[pass]) rows += char(10 * y + x);
    }
  const StoredImage image = decoded(png_file({.width = side, .height = side, .rows = rows, .interlaced = true}));
  for (int i = 0; i < side * side; ++i) CHECK(values_of(image)[size_t(i)] == 10 * (i / side) + i % side);
}

TEST_CASE("picture: a PNG with any flipped bit is refused", "[picture]") {
  const std::string whole = png_file({.width = 3, .height = 2, .rows = bytes_of({0, 1, 2, 3, 0, 4, 5, 6})});
  for (size_t i = 8; i < whole.size(); ++i)
    for (const int bit : {0, 5, 7}) {
      std::string changed = whole;
      changed[i] = char(changed[i] ^ 1 << bit);
      INFO(i << " " << bit);
      for (const bool embedded : embedded_or_not) CHECK(!refusal(changed, embedded).empty());
    }
}

TEST_CASE("picture: unsupported and damaged PNG files are refused with the reason", "[picture]") {
  const std::string rows = bytes_of({0, 1});
  check_refused(png_file({.rows = rows, .chunks = png_chunk("acTL", std::string(8, '\0'))}),
                "is an animated PNG, expected one picture");
  check_refused(png_file({.rows = rows, .chunks = png_chunk("CgBI", "1234")}),
                "is damaged or unsupported, it has a chunk 'CgBI' that must be understood");
  check_refused(png_file({.bits = 3, .rows = rows}),
                "has colour type 0 with 3 bits, expected a combination that PNG defines");
  check_refused(png_file({.width = 20000, .height = 20000, .rows = rows}),
                "is 20000x20000, expected at most 100000000 pixels" + how_to_allow);
  check_refused(png_file({.width = 9000, .height = 9000, .rows = rows}),
                "is damaged, 10 bytes cannot hold 9000x9000 pixels");
  check_refused(png_file({.width = 0, .rows = rows}), "says that it is 1x0, expected at least 1x1");
  for (const bool embedded : embedded_or_not) {
    CHECK(!refusal(png_file({.height = 2, .rows = rows}), embedded).empty());  // too few rows
    CHECK(error_of([&] {
            decode_stored("x", png16(3, 1, {1, 2, 3}), {.max_pixels = 2, .embedded = embedded});
          }) == "x: is 1x3, expected at most 2 pixels" + how_to_allow);
  }
  // A chunk of pixels that ends too early, with a right checksum.
  const std::string packed = deflated(std::string(200, '\7'), 15), whole = png_file({.width = 199, .rows = "x"});
  for (const size_t missing : {1, 4, 5, 6}) {
    const std::string cut = replaced(whole, png_chunk("IDAT", deflated("x", 15)),
                                     png_chunk("IDAT", packed.substr(0, packed.size() - missing)));
    for (const bool embedded : embedded_or_not) CHECK(!refusal(cut, embedded).empty());
  }
  // A profile that no decoder needs is harmless, whatever it holds.
  CHECK(values_of(decoded(png_file({.rows = rows, .chunks = png_chunk("iCCP", "bad")}))) == Values{1});
}

// ---- JPEG -----------------------------------------------------------------------------------------------------------

TEST_CASE("picture: baseline and progressive JPEG files are read", "[picture]") {
  for (const int frame : {0xC0, 0xC2}) {
    const StoredImage grey =
        decoded(jpeg_file({.blocks_across = 2, .blocks_down = 2, .values = {10, 250, 128, 77}, .frame = frame}));
    CHECK((grey.kind == StoredImage::Kind::jpeg && grey.channels == 1 && grey.bits == 8));
    CHECK((grey.height == 16 && grey.width == 16));
    const Values levels = values_of(grey);
    CHECK((levels[0] == 10 && levels[15] == 250 && levels[16 * 15] == 128 && levels[255] == 77));
    const std::string colour = jpeg_file({.values = {100, 128, 228}, .components = 3, .frame = frame});
    CHECK(decoded(colour).channels == 3);
    CHECK(values_of(decoded(colour))[0] == 240);  // 100 + 1.402 * 100
    for (const bool embedded : embedded_or_not) {
      const StoredImage luminance = decode_stored("x", colour, {.luminance = true, .embedded = embedded});
      CHECK(values_of(luminance) == Values(64, 100));
    }
  }
}

TEST_CASE("picture: a JPEG that is cut short but closed is refused", "[picture]") {
  std::vector<int> values;
  for (int i = 0; i < 64; ++i) values.push_back(37 * i % 256);
  for (const int frame : {0xC0, 0xC2}) {
    const std::string whole = jpeg_file({.blocks_across = 8, .blocks_down = 8, .values = values, .frame = frame});
    CHECK(values_of(decoded(whole))[0] == 0);
    const size_t data = whole.find("\xFF\xDA") + 10, end = whole.find('\xFF', data);
    for (size_t count = 1; count < end - data; ++count) {
      std::string cut = whole;
      cut.erase(end - count, count);
      INFO(count << " of " << end - data);
      CHECK(!refusal(cut, false).empty());
      CHECK(!refusal(cut, true).empty());
    }
  }
  // Without its last scan.
  const std::string progressive = jpeg_file({.values = {9}, .frame = 0xC2});
  check_refused(progressive.substr(0, progressive.rfind("\xFF\xDA")) + "\xFF\xD9",
                "is damaged, it is cut short, its last scans are missing");
}

TEST_CASE("picture: a JPEG without tables is refused", "[picture]") {
  check_refused(jpeg_file({.values = {9}, .tables = ""}), "is damaged, a scan has no Huffman table of DC values");
  const std::string whole = jpeg_file({.values = {9}});
  check_refused(replaced(whole, std::string("\xFF\xDB\0\x43\0", 5), std::string("\xFF\xDB\0\x43\1", 5)),
                "is damaged, a component has no quantisers");
}

TEST_CASE("picture: stray bytes between the segments of a JPEG are harmless", "[picture]") {
  const std::string whole = jpeg_file({.values = {9}});
  for (const std::string& changed : {replaced(whole, "\xFF\xD9", std::string(32, '\0') + "\xFF\xD9"),
                                     replaced(whole, "\xFF\xD9", "\xFF\xFF\xFF\xD9"), whole + "appended"})
    CHECK(values_of(decoded(changed)) == Values(64, 9));
}

TEST_CASE("picture: a CMYK JPEG is read with an Adobe marker, refused without one", "[picture]") {
  const std::string adobe = jpeg_segment(0xEE, "Adobe" + bytes_of({0, 100, 0, 0, 0, 0, 0}));
  const JpegParts cmyk{.values = {200, 40, 40, 255}, .components = 4, .segments = adobe};
  const StoredImage image = decoded(jpeg_file(cmyk));
  CHECK(image.channels == 3);
  Values first = values_of(image);
  first.resize(3);
  CHECK(first == Values{200, 40, 40});
  check_refused(jpeg_file({.values = {200, 40, 40, 255}, .components = 4}),
                "is CMYK without an Adobe marker, which would tell whether its colours are inverted");
}

TEST_CASE("picture: unsupported JPEG files are refused with the reason", "[picture]") {
  check_refused(jpeg_file({.values = {9}, .frame = 0xC9}), "is an arithmetic-coded JPEG, expected Huffman codes");
  check_refused(jpeg_file({.values = {9}, .frame = 0xC3}),
                "is a lossless or hierarchical JPEG, expected baseline or progressive");
  const std::string whole = jpeg_file({.values = {9}});
  const auto sized = [&](int height, int width) {
    return replaced(whole, std::string("\x08\0\x08\0\x08", 5),
                    std::string(1, 8).append(big_endian(uint32_t(height), 2)).append(big_endian(uint32_t(width), 2)));
  };
  check_refused(sized(20000, 20000), "is 20000x20000, expected at most 100000000 pixels" + how_to_allow);
  CHECK(refusal(sized(8000, 8000)).starts_with("is damaged, it is cut short: "));
  check_refused(sized(0, 8), "says that it is 0x8, expected at least 1x1");
}

TEST_CASE("picture: damaged JPEG data never decode differently by the two decoders without an error", "[picture]") {
  const std::string whole = jpeg_file({.blocks_across = 2, .blocks_down = 2, .values = {10, 250, 128, 77}});
  for (size_t i = 2; i < whole.size(); ++i)
    for (const int bit : {0, 3, 7}) {
      std::string changed = whole;
      changed[i] = char(changed[i] ^ 1 << bit);
      for (const bool embedded : embedded_or_not)
        error_of([&] { decode_stored("x", changed, {.embedded = embedded}); });  // other exceptions fail the test
    }
}

// ---- EXIF -----------------------------------------------------------------------------------------------------------

TEST_CASE("picture: the EXIF orientation is applied", "[picture]") {
  // The picture is stored as rows 1 2 3 and 4 5 6.
  const std::vector<Values> shown = {{1, 2, 3, 4, 5, 6}, {3, 2, 1, 6, 5, 4}, {6, 5, 4, 3, 2, 1}, {4, 5, 6, 1, 2, 3},
                                     {1, 4, 2, 5, 3, 6}, {4, 1, 5, 2, 6, 3}, {6, 3, 5, 2, 4, 1}, {3, 6, 2, 5, 1, 4}};
  for (int orientation = 1; orientation <= 8; ++orientation)
    for (const bool little : {false, true}) {
      const StoredImage image = decoded(png_file({.width = 3,
                                                  .height = 2,
                                                  .rows = bytes_of({0, 1, 2, 3, 0, 4, 5, 6}),
                                                  .chunks = png_chunk("eXIf", exif(orientation, little))}));
      CHECK(image.orientation == orientation);
      CHECK(image.width == (orientation < 5 ? 3 : 2));
      CHECK(values_of(image) == shown[size_t(orientation - 1)]);
    }
  const StoredImage jpeg = decoded(jpeg_file(
      {.blocks_across = 2, .values = {10, 200}, .segments = jpeg_segment(0xE1, std::string("Exif\0\0", 6) + exif(6))}));
  CHECK((jpeg.orientation == 6 && jpeg.height == 16 && jpeg.width == 8));
  CHECK((values_of(jpeg).front() == 10 && values_of(jpeg).back() == 200));
  const auto with = [](const std::string& tiff) {
    return png_file({.rows = bytes_of({0, 1}), .chunks = png_chunk("eXIf", tiff)});
  };
  check_refused(with(exif(9)), "has EXIF orientation 9 of type 3, expected 1 to 8");
  CHECK(decoded(with(exif(0))).orientation == 1);
  CHECK(decoded(with("MM")).orientation == 1);
  CHECK(decoded(with(exif(6).substr(0, 15))).orientation == 1);
}
