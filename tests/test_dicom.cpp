// DICOM slices, PNG of 16 bits and NRRD volumes, written by the tests.
#include "gaze/dicom.h"

#include <zlib.h>

#include <cstdlib>

#include "gaze/dataset.h"
#include "gaze/nrrd.h"
#include "gaze/readers.h"
#include "tests/catch.h"
#include "tests/medical_files.h"
#include "tests/temp_folder.h"

using namespace gt;

namespace {

/// The message of a refused file, after its name.
template <class F>
std::string refusal(const std::string& path, F&& read) {
  const std::string message = error_of(read);
  CHECK(message.find('\n') == message.npos);
  CHECK(message.starts_with(path));
  return message.substr(std::min(path.size(), message.size()));
}

std::string nrrd_refusal(const std::string& bytes) {
  const TempFolder tmp;
  write(tmp / "a.nrrd", bytes);
  return refusal(tmp / "a.nrrd", [&] { read_nrrd(tmp / "a.nrrd"); });
}

std::string replaced(std::string s, const std::string& what, const std::string& by) {
  return s.replace(s.find(what), what.size(), by);
}

}  // namespace

// ---- DICOM ----------------------------------------------------------------------------------------------------------

#if GT_DICOM

TEST_CASE("dicom: a slice's values are stretched to 8 bits", "[dicom]") {
  const TempFolder tmp;
  write_dicom(tmp / "a.dcm", {.height = 2, .width = 3, .values = {100, 200, 300, 400, 500, 1375}});
  const Image grey = read_image(tmp / "a.dcm", 1);
  CHECK(grey.height == 2);
  CHECK(grey.width == 3);
  CHECK(grey.pixels == std::vector<uint8_t>{0, 20, 40, 60, 80, 255});
  const Image rgb = read_image(tmp / "a.dcm", 3);
  REQUIRE(rgb.channels == 3);
  for (size_t i = 0; i < rgb.pixels.size(); ++i) CHECK(rgb.pixels[i] == grey.pixels[i / 3]);
}

TEST_CASE("dicom: slope, intercept and window do not change the image, MONOCHROME1 inverts it", "[dicom]") {
  const TempFolder tmp;
  DicomFile file{.height = 1, .width = 3, .values = {0, 51, 255}};
  file.slope = 2, file.intercept = -1000;  // changes nothing, as the range is stretched
  file.window = 10;                        // ignored
  write_dicom(tmp / "a.dcm", file);
  CHECK(read_image(tmp / "a.dcm", 1).pixels == std::vector<uint8_t>{0, 51, 255});
  file.slope = -1;
  write_dicom(tmp / "a.dcm", file);
  CHECK(read_image(tmp / "a.dcm", 1).pixels == std::vector<uint8_t>{255, 204, 0});
  file.slope = 1;
  file.photometry = "MONOCHROME1";
  write_dicom(tmp / "a.dcm", file);
  CHECK(read_image(tmp / "a.dcm", 1).pixels == std::vector<uint8_t>{255, 204, 0});
  const DicomHeader header = read_dicom_header(tmp / "a.dcm");
  CHECK(header.patient == "P-01");
  CHECK(header.series == "1.2.3");
  CHECK(header.instance == 1);
  CHECK((header.height == 1 && header.width == 3));
}

TEST_CASE("dicom: files that are not one grey slice are refused", "[dicom]") {
  const TempFolder tmp;
  const std::string path = tmp / "a.dcm";
  const auto read = [&] { read_image(path, 1); };
  DicomFile file{.height = 1, .width = 3, .values = {0, 51, 255}};
  file.values.pop_back();
  write_dicom(path, file);
  CHECK(refusal(path, read) == ": is truncated, expected 6 bytes of pixels, got 4");
  file.values.clear();
  write_dicom(path, file);
  CHECK(refusal(path, read).starts_with(": is a DICOM file without pixels"));
  file = {.height = 0, .width = 0, .values = {}};
  write_dicom(path, file);
  CHECK(refusal(path, [&] { read_dicom_header(path); }) == ": is a DICOM file without Rows, expected an image");
  file = {.height = 1, .width = 1, .values = {1}, .instance = 0};
  write_dicom(path, file);
  CHECK(refusal(path, [&] { read_dicom_header(path); }) ==
        ": is a DICOM file without InstanceNumber, expected a slice of a series");
  file = {.height = 1, .width = 2, .values = {1, 2, 3}, .photometry = "RGB", .samples = 3, .bits = 8};
  write_dicom(path, file);
  CHECK(refusal(path, read) == ": is RGB, expected a grey DICOM image");
  write_dicom(path, {.height = 8, .width = 8, .values = std::vector<uint16_t>(64, 7)});
  const std::string whole = read_file(path);
  for (size_t size = 133; size < whole.size(); size += 13) {
    write(path, whole.substr(0, size));
    CHECK(!error_of(read).empty());
  }
}

TEST_CASE("dicom: a data set of slices is loaded with its masks and each slice's normalisation", "[dicom]") {
  const TempFolder tmp;
  std::vector<uint16_t> values(64);
  for (size_t i = 0; i < values.size(); ++i) values[i] = uint16_t(20 * i);
  write_dicom(tmp / "a.dcm", {.height = 8, .width = 8, .values = values});
  write(tmp / "images/a.dcm", read_file(tmp / "a.dcm"));
  write(tmp / "masks/x", "");
  Image mask(8, 8, 1);
  *mask.at(3, 3) = 255;
  write_png(tmp / "masks/a.png", mask);
  write(tmp / "train.txt", "a\n");
  DataOptions options;
  options.root = tmp.path();
  options.size = 16;
  options.channels = 1;
  options.normalize = "per_image";
  const Dataset dataset = load_dataset(options, "train", {.masks = true, .labels = true});
  CHECK(dataset.samples[0].image.pixels.size() == 256);
  CHECK(dataset.samples[0].normalisation.mean[0] == Approx(0.5).margin(0.01));  // of a ramp from 0 to 1
  CHECK(dataset.samples[0].normalisation.std[0] == Approx(1 / std::sqrt(12.0)).margin(0.01));
  CHECK(dataset.samples[0].label.pixels == mask.pixels);
}

TEST_CASE("dicom: real slices have the published mean and standard deviation", "[dicom]") {
  const char* data = std::getenv("GRADTRACK_DATA");
  if (!data) GT_SKIP_TEST("GRADTRACK_DATA is not set");
  const std::string folder = std::string(data) + "/real-gaze/";
  const Gaze gaze = read_gaze(folder + "nci-isbi_samples.csv");
  // Mean and standard deviation of the stretched slice, computed independently from the stored values.
  struct Slice {
    const char* name;
    double mean, std;
  };
  for (const Slice& s :
       {Slice{"Prostate3T-01-0001_13", 0.213146, 0.162200}, {"Prostate3T-01-0002_16", 0.291580, 0.192327}}) {
    const Image image = read_image(folder + s.name + ".dcm", 1);
    CHECK((image.height == 320 && image.width == 320));
    double sum = 0, squares = 0;
    for (const uint8_t v : image.pixels) sum += v / 255.0, squares += v / 255.0 * v / 255.0;
    const double n = double(image.pixels.size()), mean = sum / n;
    CHECK(mean == Approx(s.mean).margin(1e-4));
    CHECK(std::sqrt(squares / n - mean * mean) == Approx(s.std).margin(1e-4));
    REQUIRE(gaze.tracks.count(s.name) == 1);
    CHECK(gaze.tracks.at(s.name).image_width == 320);
  }
}

#else

TEST_CASE("dicom: a build without DCMTK says so", "[dicom]") {
  const TempFolder tmp;
  write(tmp / "a.dcm", std::string(128, '\0') + "DICM");
  CHECK(!dicom_built());
  for (const std::string& message : {refusal(tmp / "a.dcm", [&] { read_image(tmp / "a.dcm", 1); }),
                                     refusal(tmp / "a.dcm", [&] { read_dicom_header(tmp / "a.dcm"); })})
    CHECK(message == ": is a DICOM file, which this build does not read: build it with DCMTK (Debian: libdcmtk-dev)");
}

#endif

// ---- PNG of 16 bits -------------------------------------------------------------------------------------------------

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

// ---- NRRD -----------------------------------------------------------------------------------------------------------

TEST_CASE("nrrd: volumes of every encoding and type are read", "[nrrd]") {
  const TempFolder tmp;
  const std::vector<int32_t> values = {0, 1, 2, 100, 0, 7, 5, 4, 3, 2, 1, 0};  // width 3, height 2, depth 2
  for (const char* type : {"uchar", "unsigned char", "int8", "short", "uint16", "int", "uint32"})
    for (const bool packed : {false, true})
      for (const bool big : {false, true}) {
        write(tmp / "a.nrrd", nrrd(3, 2, 2, values, type, packed, big));
        INFO(type << packed << big);
        const Volume v = read_nrrd(tmp / "a.nrrd");
        CHECK((v.width == 3 && v.height == 2 && v.depth == 2));
        CHECK(v.values == values);
        CHECK(v.slice(1)[0] == 5);
      }
  write(tmp / "a.nrrd", nrrd(1, 1, 2, {-1, -300}, "short", true, false));
  CHECK(read_nrrd(tmp / "a.nrrd").values == std::vector<int32_t>{-1, -300});
}

TEST_CASE("nrrd: unsupported and damaged files are refused with the field", "[nrrd]") {
  const std::string good = nrrd(3, 2, 2, std::vector<int32_t>(12, 1), "short", false, false),
                    packed = nrrd(3, 2, 2, std::vector<int32_t>(12, 1), "short", true, false);
  CHECK(nrrd_refusal("what") == ": is not an NRRD file");
  CHECK(nrrd_refusal("NRRD0004\n") == ":2: the header has no end, expected a blank line before the data");
  CHECK(nrrd_refusal(replaced(good, "type: ", "type ")) == ":3: expected 'field: value', got 'type short'");
  CHECK(nrrd_refusal(replaced(good, "type: ", "typ: ")) == ": the header has no field 'type'");
  CHECK(nrrd_refusal(replaced(good, "type: short", "type: float")) ==
        ": field 'type': expected integers of up to 32 bits, got 'float'");
  CHECK(nrrd_refusal(replaced(good, "dimension: 3", "dimension: 4")) == ": field 'dimension': expected 3, got 4");
  CHECK(nrrd_refusal(replaced(good, "sizes: 3 2 2", "sizes: 3 0 2")) ==
        ": field 'sizes': expected three numbers from 1 to 16384, got '3 0 2'");
  CHECK(nrrd_refusal(replaced(good, "sizes: 3 2 2", "sizes: 3 2"))
            .starts_with(": field 'sizes': expected three numbers"));
  CHECK(nrrd_refusal(replaced(good, "encoding: raw", "encoding: bzip2")) ==
        ": field 'encoding': expected raw or gzip, got 'bzip2'");
  CHECK(nrrd_refusal(replaced(good, "endian: little\n", "")) == ": the header has no field 'endian'");
  CHECK(nrrd_refusal(replaced(good, "endian: little", "data file: a.raw")) ==
        ": the data are in another file, expected them after the header");
  CHECK(nrrd_refusal(good.substr(0, good.size() - 1)) == ": is truncated, expected 24 bytes of data, got 23");
  CHECK(nrrd_refusal(packed.substr(0, packed.size() - 12)).starts_with(": the data are damaged: expected 24 bytes"));
  const TempFolder tmp;
  for (const std::string& whole : {good, packed})
    for (size_t i = 0; i < whole.size(); ++i)
      for (const char c : {'\0', '\n', '9', ' ', '\xFF'}) {
        std::string changed = whole;
        changed[i] = c;
        write(tmp / "a.nrrd", changed);
        size_t count = 12;
        error_of([&] { count = read_nrrd(tmp / "a.nrrd").values.size(); });  // other exceptions fail the test
        CHECK(count > 0);
      }
}
