// Volumes that nibabel and pydicom wrote (tests/fixtures/make_volumes.py), and what is written of them.
#include "gaze/scan.h"

#include <filesystem>

#include "core/io.h"
#include "gaze/components.h"
#include "gaze/dicom.h"
#include "gaze/nrrd.h"
#include "gaze/prepare.h"
#include "tests/gaze_files.h"
#include "tests/medical_files.h"

using namespace gt;

namespace {

const std::string fixtures = GT_SOURCE_DIR "/tests/fixtures/volumes/";

bool lacks_nifti() {
  if (!nifti_built()) WARN("test skipped: built without libnifti");
  return !nifti_built();
}

bool lacks_dicom() {
  if (!dicom_built()) WARN("test skipped: built without DCMTK");
  return !dicom_built();
}

/// The voxel at z, y, x of the volume of all fixtures.
float voxel(int64_t x, int64_t y, int64_t z) { return float(100 * z + 10 * y + x); }

void check_volume(const Scan& scan, double scale = 1, double offset = 0) {
  REQUIRE(scan.geometry.sizes == std::array<int64_t, 3>{6, 5, 4});
  const float* value = scan.values.data();
  for (int64_t z = 0; z < 4; ++z)
    for (int64_t y = 0; y < 5; ++y)
      for (int64_t x = 0; x < 6; ++x) CHECK(*value++ == Approx(scale * voxel(x, y, z) + offset));
}

void check_place(const ScanGeometry& g, const Vector3& origin = {-20, 10, 30}) {
  const std::array<Vector3, 3> steps = {Vector3{2, 0, 0}, Vector3{0, 1.5, 0}, Vector3{0, 0, 3}};
  for (size_t i = 0; i < 3; ++i) {
    CHECK(g.origin[i] == Approx(origin[i]));
    for (size_t c = 0; c < 3; ++c) CHECK(g.steps[c][i] == Approx(steps[c][i]).margin(1e-6));
  }
}

/// The pixels of a DICOM segmentation of 120 voxels.
std::vector<uint8_t> seg_voxels(const std::string& path) {
  std::vector<uint8_t> voxels;
#if GT_DICOM
  DcmFileFormat file;
  const Uint8* bytes = nullptr;
  REQUIRE(file.loadFile(path.c_str()).good());
  REQUIRE(file.getDataset()->findAndGetUint8Array(DCM_PixelData, bytes).good());
  for (size_t i = 0; i < 120; ++i) voxels.push_back(bytes[i / 8] >> i % 8 & 1);
#endif
  return voxels;
}

/// A mask with two parts: a corner voxel, and a line along x.
std::vector<uint8_t> some_mask() {
  std::vector<uint8_t> mask(120);
  mask[0] = 1;
  for (size_t x = 1; x < 5; ++x) mask[size_t((3 * 5 + 2) * 6) + x] = 1;
  return mask;
}

}  // namespace

TEST_CASE("scan: a NIfTI volume is axial slices to left, back and head, however it is stored", "[scan]") {
  if (lacks_nifti()) return;
  for (const char* file : {"lps.nii.gz", "ras.nii.gz", "pir.nii.gz", "big.nii", "two.nii.gz"}) {
    INFO(file);
    const Scan scan = read_nifti(fixtures + file);
    check_volume(scan);
    check_place(scan.geometry);
    CHECK(scan.slice_name(3) == image_name(file) + "_z003");
  }
  check_volume(read_nifti(fixtures + "scaled.nii.gz"), 0.5, -10);
  const Scan oblique = read_nifti(fixtures + "oblique.nii.gz");
  check_volume(oblique);
  CHECK(oblique.geometry.steps[1][1] == Approx(1.5 * std::cos(20 * 3.14159265358979 / 180)).epsilon(1e-5));
}

TEST_CASE("scan: slices have the levels that an image of 16 bits gets", "[scan]") {
  if (lacks_nifti()) return;
  const Scan scan = read_nifti(fixtures + "ras.nii.gz");
  const Image slice = scan_slice(scan, 2, 1);
  REQUIRE((slice.height == 5 && slice.width == 6));
  CHECK(*slice.at(0, 0) == 0);
  CHECK(*slice.at(4, 5) == 255);
  CHECK(*slice.at(2, 1) == 119);  // 21 of 45
  CHECK(slice.spacing.rows == Approx(1.5));
  CHECK(slice.spacing.columns == Approx(2));
  CHECK(scan_slice(scan, 0, 3).channels == 3);
}

TEST_CASE("scan: masks and probabilities are NIfTI in the geometry of the source", "[scan]") {
  if (lacks_nifti()) return;
  const TempFolder tmp;
  for (const char* file : {"lps.nii.gz", "pir.nii.gz", "big.nii", "two.nii.gz", "oblique.nii.gz"}) {
    INFO(file);
    const Scan scan = read_nifti(fixtures + file);
    std::vector<float> probability;
    for (size_t i = 0; i < 120; ++i) probability.push_back(float(i) / 128);
    for (const bool packed : {false, true}) {
      const std::string path = tmp / (packed ? "out.nii.gz" : "out.nii");
      write(path, encode_nifti(scan, some_mask(), packed));
      const Scan mask = read_nifti(path);
      CHECK(mask.values == std::vector<float>([] {
              const std::vector<uint8_t> m = some_mask();
              return std::vector<float>(m.begin(), m.end());
            }()));
      CHECK(mask.geometry.axes == scan.geometry.axes);
      CHECK(mask.geometry.reversed == scan.geometry.reversed);
      CHECK(mask.geometry.steps == scan.geometry.steps);
      CHECK(mask.geometry.origin == scan.geometry.origin);
      write(path, encode_nifti(scan, probability, packed));
      CHECK(read_nifti(path).values == probability);
    }
  }
}

TEST_CASE("scan: a segmentation for 3D Slicer has the mask, the directions and its extent", "[scan]") {
  if (lacks_nifti()) return;
  const TempFolder tmp;
  const std::string bytes = encode_seg_nrrd(read_nifti(fixtures + "ras.nii.gz"), some_mask());
  write(tmp / "m.seg.nrrd", bytes);
  const Volume volume = read_nrrd(tmp / "m.seg.nrrd");
  const std::vector<uint8_t> mask = some_mask();
  CHECK(volume.values == std::vector<int32_t>(mask.begin(), mask.end()));
  REQUIRE(volume.directions);
  CHECK((*volume.directions)[1] == Vector3{0, 1.5, 0});
  for (const char* part : {"space origin: (-20,10,30)\n", "Segment0_Extent:=0 4 0 2 0 3\n", "Segment0_LabelValue:=1\n"})
    check_contains(bytes, part);
}

TEST_CASE("scan: NIfTI files that cannot be trusted are refused", "[scan]") {
  if (lacks_nifti()) return;
  const auto refused = [](const std::string& path, const std::string& part) {
    const std::string message = error_of([&] { read_nifti(path); });
    CHECK(message.find('\n') == message.npos);
    CHECK(message.rfind(path, 0) == 0);
    check_contains(message, part);
  };
  refused(fixtures + "nan.nii.gz", "has 1 values that are NaN or infinite");
  refused(fixtures + "no_orientation.nii.gz", "qform_code and sform_code are 0");
  refused(fixtures + "two_volumes.nii.gz", "has 2 volumes, expected one (dim[4])");
  const TempFolder tmp;
  const std::string whole = read_file(fixtures + "big.nii"), packed = read_file(fixtures + "lps.nii.gz");
  const auto with = [&](const std::string& bytes, const std::string& part, const char* name = "v.nii") {
    write(tmp / name, bytes);
    refused(tmp / name, part);
  };
  const auto changed = [&](size_t at, const std::string& bytes) {
    return std::string(whole).replace(at, bytes.size(), bytes);
  };
  with("", "is empty, expected a NIfTI volume");
  with(whole.substr(0, 300), "is no NIfTI file, or its header is cut short");
  with(whole.substr(0, whole.size() - 1), "is truncated, expected 480 bytes of values from byte 352");
  with(packed.substr(0, packed.size() - 9), "the packed data are damaged or truncated", "v.nii.gz");
  with(changed(344, "ni1"), "expected the mark n+1");
  with(changed(42, std::string("\x7F\xFF", 2)), "is truncated");  // dim[1]
  with(changed(70, std::string("\0\x80", 2)), "the type RGB24");  // datatype
  const std::string sform(16, '\0');
  with(changed(280, sform), "an axis of the volume has no length");
  for (size_t i = 0; i < 352; i += 2)
    for (const char c : {'\0', '\xFF'}) {
      write(tmp / "v.nii", changed(i, std::string(1, c)));
      size_t voxels = 1;
      error_of([&] { voxels = read_nifti(tmp / "v.nii").values.size(); });
      CHECK(voxels > 0);
    }
}

TEST_CASE("scan: frames of a DICOM file are sorted by their places", "[scan]") {
  if (lacks_dicom()) return;
  const Scan scan = read_dicom_scan(fixtures + "enhanced.dcm");
  check_volume(scan);
  check_place(scan.geometry);
  CHECK(read_dicom_header(fixtures + "enhanced.dcm").frames == 4);
  const TempFolder tmp;
  const std::string whole = read_file(fixtures + "enhanced.dcm");
  const auto refused = [&](const std::string& part, const std::string& by, const std::string& expected) {
    std::string bytes = whole;
    const size_t at = bytes.find(part);
    REQUIRE(at != bytes.npos);
    write(tmp / "e.dcm", bytes.replace(at, part.size(), by));
    check_contains(error_of([&] { read_dicom_scan(tmp / "e.dcm"); }), expected);
  };
  refused("\\36.0", "\\35.0", "of 4 parallel slices of equal distance, expected one stack of slices");
  refused("1.0\\0.0\\0.0\\0.0\\1.0\\0.0", "1.0\\0.0\\0.0\\0.0\\1.0\\ xx", "does not say how its frames lie");
  write(tmp / "short.dcm", whole.substr(0, whole.size() - 20));
  check_contains(error_of([&] { read_dicom_scan(tmp / "short.dcm"); }), "short.dcm: ");
}

TEST_CASE("scan: a DICOM segmentation is written of a DICOM scan, and NIfTI as well", "[scan]") {
  if (lacks_dicom()) return;
  const TempFolder tmp;
  const Scan scan = read_dicom_scan(fixtures + "enhanced.dcm");
  write_dicom_seg(tmp / "m.dcm", scan, some_mask());
  const DicomHeader header = read_dicom_header(tmp / "m.dcm");
  CHECK(header.frames == 4);
  CHECK(header.patient == "P1");
  CHECK((header.height == 5 && header.width == 6));
  CHECK(seg_voxels(tmp / "m.dcm") == some_mask());  // frames of 30 pixels do not fill bytes
  if (lacks_nifti()) return;
  write(tmp / "m.nii", encode_nifti(scan, some_mask(), false));
  const Scan mask = read_nifti(tmp / "m.nii");
  check_place(mask.geometry);
  const std::vector<uint8_t> expected = some_mask();
  CHECK(mask.values == std::vector<float>(expected.begin(), expected.end()));
}

TEST_CASE("components: parts that share a corner are one", "[scan]") {
  CHECK(count_components(some_mask(), {6, 5, 4}) == 2);
  CHECK(count_components({1, 0, 0, 1}, {2, 2, 1}) == 1);
  CHECK(count_components({1, 0, 1}, {3, 1, 1}) == 2);
  CHECK(count_components({1, 0, 0, 0, 0, 0, 0, 1}, {2, 2, 2}) == 1);
  CHECK(count_components({0, 0}, {2, 1, 1}) == 0);
  CHECK(count_components({1, 0, 1, 0, 0, 0}, {2, 1, 3}) == 1);
}

TEST_CASE("picture: a PNG of 16 bits is read as it was written", "[picture]") {
  const TempFolder tmp;
  write(tmp / "a.png", encode_png16({0, 1, 256, 65535, 770, 5}, 2, 3));
  const StoredImage image = read_stored(tmp / "a.png");
  CHECK((image.height == 2 && image.width == 3 && image.bits == 16));
  CHECK(std::get<std::vector<uint16_t>>(image.values) == std::vector<uint16_t>{0, 1, 256, 65535, 770, 5});
}

TEST_CASE("scan: prepare makes slices of volumes with labels of the same place", "[scan][prepare]") {
  if (lacks_nifti()) return;
  const TempFolder tmp;
  for (const char* part : {"raw/images", "raw/masks"}) make_folder(tmp / part);
  const Scan source = read_nifti(fixtures + "lps.nii.gz"), turned = read_nifti(fixtures + "ras.nii.gz");
  for (int i = 0; i < 6; ++i) {
    write(tmp / str_cat("raw/images/v", i, ".nii.gz"), read_file(fixtures + "lps.nii.gz"));
    // Labels in another order of axes.
    write(tmp / str_cat("raw/masks/v", i, ".nii.gz"), encode_nifti(turned, some_mask(), true));
  }
  const Prepared prepared = prepare_volumes({tmp / "raw", tmp / "out", "", 0.2, {}});
  CHECK(prepared.train + prepared.val + prepared.test == 12);  // slices 0 and 3 have labels
  CHECK((prepared.val == 2 && prepared.test == 2));
  const Image mask = read_image(tmp / "out/masks/v0_z003.png", 1);
  for (int64_t x = 0; x < 6; ++x) CHECK(*mask.at(2, x) == (x >= 1 && x < 5 ? 255 : 0));
  CHECK(read_image(tmp / "out/images/v0_z003.png", 1).pixels == scan_slice(source, 3, 1).pixels);

  const auto refused = [&](const std::string& labels, const std::string& part) {
    write(tmp / "raw/masks/v1.nii.gz", labels);
    const std::string message = error_of([&] { prepare_volumes({tmp / "raw", tmp / "other", "", 0.2, {}}); });
    check_contains(message, "v1.nii.gz: ");
    check_contains(message, part);
    CHECK(!path_exists(tmp / "other"));
  };
  refused(encode_nifti(read_nifti(fixtures + "oblique.nii.gz"), some_mask(), true), "lies elsewhere in the patient");
  refused(encode_nifti(source, std::vector<float>(120, 0.5F), true), "has the value 0.5, expected labels");
  std::filesystem::remove(tmp / "raw/masks/v1.nii.gz");
  check_contains(error_of([&] {
                   prepare_volumes({tmp / "raw", tmp / "other", "", 0.2, {}});
                 }),
                 "has no label volume v1");
}
