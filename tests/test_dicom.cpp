// DICOM slices, written by the tests.
#include "gaze/dicom.h"

#include <cmath>
#include <cstdlib>

#include "gaze/dataset.h"
#include "gaze/image.h"
#include "gaze/readers.h"
#include "tests/catch.h"
#include "tests/medical_files.h"
#include "tests/temp_folder.h"

#if GT_DICOM
#include <dcmtk/dcmdata/dcrleerg.h>
#include <dcmtk/dcmjpls/djencode.h>
#endif

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

}  // namespace

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
  CHECK(refusal(path, read).starts_with(": is a DICOM file without pixels"));
  CHECK(read_dicom_header(path).height == 0);
  file = {.height = 1, .width = 1, .values = {1}, .instance = 0};
  write_dicom(path, file);
  CHECK(!read_dicom_header(path).instance);
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

TEST_CASE("dicom: any slope but 0 keeps all grey levels", "[dicom]") {
  const TempFolder tmp;
  const std::string path = tmp / "a.dcm";
  const auto with = [&](const std::string& slope) {
    write_dicom(
        path,
        {.width = 3, .values = {0, 51, 255}, .fields = {{DCM_RescaleSlope, slope}, {DCM_RescaleIntercept, "-3"}}});
    return read_image(path, 1).pixels;
  };
  for (const char* slope : {"0.0001", "1e-9", " 2.059 ", "12345", ""})
    CHECK(with(slope) == std::vector<uint8_t>{0, 51, 255});
  CHECK(with("-0.0001") == std::vector<uint8_t>{255, 204, 0});
  CHECK(refusal(path, [&] { with("0"); }) == ": field RescaleSlope: is 0, expected another number");
  CHECK(refusal(path, [&] { with("1,5"); }) == ": field RescaleSlope: expected a finite number, got '1,5'");
}

TEST_CASE("dicom: stored bits, signs and padding are honoured", "[dicom]") {
  const TempFolder tmp;
  const std::string path = tmp / "a.dcm";
  DicomFile file{.width = 4, .values = {0xF800, 0, 0x07FF, 0x0801}, .stored_bits = 12, .is_signed = true};
  write_dicom(path, file);  // -2048, 0, 2047, -2047, with other bits above
  CHECK(read_image(path, 1).pixels == std::vector<uint8_t>{0, 128, 255, 0});
  file = {.width = 4, .values = {63000, 100, 200, 300}};
  file.fields = {{DCM_PixelPaddingValue, "63000"}};
  write_dicom(path, file);
  CHECK(read_image(path, 1).pixels == std::vector<uint8_t>{0, 0, 128, 255});
  file.fields.push_back({DCM_PixelPaddingRangeLimit, "300"});
  write_dicom(path, file);
  CHECK(read_image(path, 1).pixels == std::vector<uint8_t>{0, 0, 255, 0});
  file.photometry = "MONOCHROME1";
  file.fields.pop_back();
  write_dicom(path, file);
  CHECK(read_image(path, 1).pixels == std::vector<uint8_t>{0, 255, 127, 0});
}

TEST_CASE("dicom: MONOCHROME1 is inverted whatever the shape of its presentation LUT", "[dicom]") {
  const TempFolder tmp;
  DicomFile file{.width = 3, .values = {0, 51, 255}, .photometry = "MONOCHROME1"};
  for (const char* shape : {"", "INVERSE", "IDENTITY"}) {
    file.fields = {{DCM_PresentationLUTShape, shape}};
    write_dicom(tmp / "a.dcm", file);
    CHECK(read_image(tmp / "a.dcm", 1).pixels == std::vector<uint8_t>{255, 204, 0});
  }
  file.photometry = "MONOCHROME2";
  file.fields = {{DCM_PresentationLUTShape, "INVERSE"}};
  write_dicom(tmp / "a.dcm", file);
  CHECK(refusal(tmp / "a.dcm", [&] { read_image(tmp / "a.dcm", 1); }) ==
        ": is MONOCHROME2 with PresentationLUTShape INVERSE, which contradict each other");
}

TEST_CASE("dicom: files of other transfer syntaxes and without a preamble give the slice", "[dicom]") {
  const TempFolder tmp;
  const std::string path = tmp / "a.dcm";
  std::vector<uint16_t> values(64);
  for (size_t i = 0; i < values.size(); ++i) values[i] = uint16_t(i * i);
  DicomFile file{.height = 8, .width = 8, .values = values};
  write_dicom(path, file);
  const std::vector<uint8_t> pixels = read_image(path, 1).pixels;
  const std::string whole = read_file(path);
  write(path, whole.substr(132));  // from the meta data
  CHECK(read_image(path, 1).pixels == pixels);
  write(path, whole.substr(whole.find(std::string("\x08\0\x16\0UI", 6))));  // from the data set
  CHECK(read_image(path, 1).pixels == pixels);
  DJLSEncoderRegistration::registerCodecs();
  DcmRLEEncoderRegistration::registerCodecs();
  for (const E_TransferSyntax syntax : {EXS_LittleEndianImplicit, EXS_BigEndianExplicit,
                                        EXS_DeflatedLittleEndianExplicit, EXS_RLELossless, EXS_JPEGLSLossless}) {
    file.syntax = syntax;
    write_dicom(path, file);
    INFO(DcmXfer(syntax).getXferName());
    CHECK(DcmXfer(syntax).getXferName() != nullptr);
    CHECK(read_image(path, 1).pixels == pixels);
  }
}

TEST_CASE("dicom: compressed frames are checked before they are decoded", "[dicom]") {
  const TempFolder tmp;
  const std::string path = tmp / "a.dcm", jpeg = jpeg_file({.blocks_across = 2, .values = {10, 200}});
  DicomFile file{.height = 8, .width = 16, .bits = 8, .jpeg = jpeg, .syntax = EXS_JPEGProcess1};
  const auto read = [&] {
    write_dicom(path, file);
    return read_image(path, 1).pixels;
  };
  CHECK(read()[0] == 0);
  CHECK(read()[8] == 255);
  file.height = 16;
  CHECK(refusal(path, read) == ": is damaged, its compressed frame is 8x16, expected Rows x Columns, 16x16");
  file.height = 8;
  file.jpeg = jpeg.substr(0, jpeg.size() - 4) + "\xFF\xD9";
  CHECK(refusal(path, read) == ": is damaged, the data of scan 1 are cut short or hold an unknown code");
  file.jpeg = jpeg.substr(0, jpeg.size() - 2);
  CHECK(refusal(path, read) == ": is truncated, the end of the image is missing");
  file.jpeg = jpeg_file({.blocks_across = 2, .values = {10, 200}, .tables = ""});
  CHECK(refusal(path, read) == ": is damaged, a scan has no Huffman table of DC values");
  file.jpeg = jpeg;
  file.jpeg.replace(jpeg.find(std::string("\x08\0\x08\0\x10", 5)), 5, "\x08\x4E\x20\x4E\x20");
  CHECK(refusal(path, read) == ": is 20000x20000, expected at most 100000000 pixels" + how_to_allow);
  file.jpeg = jpeg;
  file.syntax = EXS_JPEG2000LosslessOnly;
  CHECK(refusal(path, read) ==
        ": is compressed by JPEG 2000 (Lossless only), which is not supported: expected RLE, "
        "JPEG or JPEG-LS");
}

TEST_CASE("dicom: a lossless JPEG is read, and refused if it is cut short", "[dicom]") {
  const TempFolder tmp;
  const std::string path = tmp / "a.dcm", jpeg = jpeg_file({.values = std::vector<int>(64, 200), .frame = 0xC3});
  DicomFile file{.height = 8, .width = 8, .bits = 8, .jpeg = jpeg, .syntax = EXS_JPEGProcess14SV1};
  write_dicom(path, file);
  CHECK(read_dicom(path).values == std::vector<int32_t>(64, 200));
  file.jpeg.erase(file.jpeg.size() - 4, 2);
  write_dicom(path, file);
  CHECK(refusal(path, [&] { read_dicom(path); }) ==
        ": is damaged, the data of scan 1 are cut short or hold an unknown code");
}

TEST_CASE("dicom: RLE data hold exactly the pixels", "[dicom]") {
  const TempFolder tmp;
  const std::string path = tmp / "a.dcm";
  // One plane: 3 bytes as they are, then 5 times a byte.
  std::string rle = std::string("\1\0\0\0\x40\0\0\0", 8) + std::string(56, '\0');
  rle += std::string("\2\1\2\3\xFC\x09", 6);
  DicomFile file{.height = 2, .width = 4, .bits = 8, .jpeg = rle, .syntax = EXS_RLELossless};
  const auto read = [&] {
    write_dicom(path, file);
    return read_dicom(path).values;
  };
  CHECK(read() == std::vector<int32_t>{1, 2, 3, 9, 9, 9, 9, 9});
  file.jpeg[68] = '\xFD';  // 4 times
  CHECK(refusal(path, read) == ": is damaged, segment 1 of its RLE data does not hold 8 bytes");
  file.jpeg = rle.substr(0, 68);
  CHECK(refusal(path, read) == ": is damaged, segment 1 of its RLE data does not hold 8 bytes");
  file.jpeg = rle;
  file.jpeg[0] = 2;
  CHECK(refusal(path, read) == ": is damaged, its RLE data have 2 segments, expected 1");
  file.jpeg = rle;
  file.jpeg[5] = 1;
  CHECK(refusal(path, read) == ": is damaged, segment 1 of its RLE data lies at 320 of 70 bytes");
}

TEST_CASE("dicom: sequences inside of each other are limited", "[dicom]") {
  const TempFolder tmp;
  const std::string path = tmp / "a.dcm";
  write_dicom(path, {.width = 2, .values = {1, 2}});
  const std::string whole = read_file(path);
  const size_t at = whole.find(std::string("\x08\0\x16\0UI", 6));
  const auto nested = [&](int depth) {
    std::string open, close;
    for (int i = 0; i < depth; ++i) {
      open += std::string("\x08\0\x40\x11SQ\0\0\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\xFF\xFF\xFF\xFF", 20);
      close += std::string("\xFE\xFF\x0D\xE0\0\0\0\0\xFE\xFF\xDD\xE0\0\0\0\0", 16);
    }
    write(path, whole.substr(0, at) + open + close + whole.substr(at));
    return error_of([&] { read_dicom(path); });
  };
  CHECK(nested(10).empty());
  CHECK(nested(100000) == path + ": has more than 64 sequences inside of each other, expected fewer");
}

TEST_CASE("dicom: a deflated file may not grow beyond its image", "[dicom]") {
  const TempFolder tmp;
  const std::string path = tmp / "a.dcm";
  write_dicom(path, {.width = 2, .values = {1, 2}, .syntax = EXS_DeflatedLittleEndianExplicit});
  CHECK(read_dicom(path).values == std::vector<int32_t>{1, 2});
  const std::string whole = read_file(path);
  size_t data = 132 + 12;  // after (0002,0000), which has the length of the header that follows it
  for (size_t i = 0; i < 4; ++i) data += size_t(uint8_t(whole[132 + 8 + i])) << (8 * i);
  const std::string bomb(30 << 20, '\0');
  write(path, whole.substr(0, data) + deflated(bomb, -15));
  CHECK(refusal(path, [&] { read_dicom(path, {.max_pixels = 100}); }) ==
        ": is deflated and grows to over 16777616 bytes, expected an image within data.max_pixels");
}

TEST_CASE("dicom: pixels stored in a way that is not known are named", "[dicom]") {
  const TempFolder tmp;
  const std::string path = tmp / "a.dcm";
  write_dicom(path, {.width = 2, .values = {1, 2}, .syntax = EXS_LittleEndianExplicit});
  std::string bytes = read_file(path);
  const std::string uid = "1.2.840.10008.1.2.1";
  bytes.replace(bytes.find(uid) + uid.size() - 1, 2, "8\0", 2);
  write(path, bytes);
  CHECK(refusal(path, [&] { read_dicom(path); }) ==
        ": is compressed by deflating each frame (1.2.840.10008.1.2.8), which is not supported: expected RLE, JPEG or "
        "JPEG-LS");
}

TEST_CASE("dicom: a modality LUT is applied", "[dicom]") {
  const TempFolder tmp;
  write_dicom(tmp / "a.dcm", {.width = 4, .values = {0, 10, 11, 12}});
  DcmFileFormat file;
  REQUIRE(file.loadFile((tmp / "a.dcm").c_str()).good());
  DcmItem* item = nullptr;
  REQUIRE(file.getDataset()->findOrCreateSequenceItem(DCM_ModalityLUTSequence, item, -2).good());
  const Uint16 descriptor[] = {3, 10, 16}, entries[] = {500, 0, 1000};
  item->putAndInsertUint16Array(DcmTag(DCM_LUTDescriptor, EVR_US), descriptor, 3);
  item->putAndInsertUint16Array(DcmTag(DCM_LUTData, EVR_US), entries, 3);
  REQUIRE(file.saveFile((tmp / "b.dcm").c_str(), EXS_LittleEndianExplicit).good());
  CHECK(read_image(tmp / "b.dcm", 1).pixels == std::vector<uint8_t>{128, 128, 0, 255});
}

TEST_CASE("dicom: several frames, several samples and unknown bits are refused", "[dicom]") {
  const TempFolder tmp;
  const std::string path = tmp / "a.dcm";
  const auto refused = [&](const DicomFile& file) {
    write_dicom(path, file);
    return refusal(path, [&] { read_image(path, 1); });
  };
  CHECK(refused({.width = 1, .values = {1, 2}, .fields = {{DCM_NumberOfFrames, "2"}}}) ==
        ": has 2 frames, expected one slice");
  CHECK(refused({.width = 2, .values = {1, 2, 3, 4}}) ==
        ": has 8 bytes of pixels, expected 4 for one frame of Rows x Columns");
  CHECK(refused({.width = 1, .values = {1}, .photometry = "PALETTE COLOR"}) ==
        ": is PALETTE COLOR, expected a grey DICOM image");
  CHECK(refused({.width = 1, .values = {1}, .stored_bits = 17}) ==
        ": has 17 bits stored up to bit 16 of 16 and PixelRepresentation 0, which do not fit together");
  CHECK(refused({.height = 20000, .width = 20000, .values = {1}}) ==
        ": is 20000x20000, expected at most 100000000 pixels" + how_to_allow);
}

TEST_CASE("dicom: PixelSpacing is that of rows, then of columns, and reaches the label", "[dicom]") {
  const TempFolder tmp;
  const auto spacing = [&](const std::string& field) {
    DicomFile file{.height = 8, .width = 8, .values = std::vector<uint16_t>(64, 7)};
    if (!field.empty()) file.fields.emplace_back(DCM_PixelSpacing, field);
    write(tmp / "images/x", "");
    write_dicom(tmp / "images/a.dcm", file);
    return read_image(tmp / "images/a.dcm", 1).spacing;
  };
  CHECK_FALSE(spacing("").known());
  CHECK_FALSE(spacing("0\\0.5").known());
  CHECK_FALSE(spacing("0.5").known());
  CHECK(spacing("0.5\\0.25").rows == 0.5);
  CHECK(spacing("0.5\\0.25").columns == 0.25);
  write(tmp / "masks/x", "");
  write_png(tmp / "masks/a.png", Image(8, 8, 1, 255));
  write(tmp / "test.txt", "a\n");
  DataOptions options;
  options.root = tmp.path();
  options.size = 16;
  CHECK(load_dataset(options, "test", {.labels = true}).samples[0].label.spacing.columns == 0.25);
  write_dicom(tmp / "mask.dcm", {.height = 1, .width = 2, .values = {0, 1}, .fields = {{DCM_PixelSpacing, "3\\4"}}});
  CHECK(read_mask(tmp / "mask.dcm").image.spacing.rows == 3);
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
