// gradtrack predict: folders, lists, volumes, probabilities and the table of predictions.
#include <filesystem>

#include "core/json.h"
#include "gaze/dicom.h"
#include "gaze/image.h"
#include "gaze/scan.h"
#include "tests/program.h"

using namespace gt;

namespace {

const std::string volumes = GT_SOURCE_DIR "/tests/fixtures/volumes/";

std::vector<std::string> lines_of(const std::string& path) {
  std::vector<std::string> lines;
  for (const TextLine& line : read_lines(path)) lines.push_back(line.text);
  return lines;
}

}  // namespace

TEST_CASE("predict: folders, lists and volumes give masks, probabilities and a table", "[cli]") {
  const Workplace w;
  REQUIRE(run(w.train("train.iterations=4", "run")).status == 0);
  const std::string predict = "predict " + w.tmp / "run" + " ";

  // A folder with an image that cannot be read: it is named, the others are there.
  make_folder(w.tmp / "in");
  for (const char* name : {"a", "b"}) {
    Image image(20, 30, 3, 40);
    std::fill_n(image.at(5, 5), 60, uint8_t(200));
    write_png(w.tmp / "in" + "/" + name + ".png", image);
  }
  write(w.tmp / "in/bad.png", "no image");
  const Result folder = run(predict + w.tmp / "in" + " --prob --out " + w.tmp / "masks");
  INFO(folder.err);
  CHECK(folder.status == 1);
  CHECK(has(folder.err, "bad.png: is neither a JPEG nor a PNG nor a DICOM image (1 of 3 images failed)"));
  CHECK(!std::filesystem::exists(w.tmp / "masks/bad_mask.png"));
  const StoredImage probability = read_stored(w.tmp / "masks/a_prob.png");
  const Image mask = read_image(w.tmp / "masks/a_mask.png", 1);
  REQUIRE((probability.bits == 16 && probability.height == 20 && probability.width == 30));
  const auto& levels = std::get<std::vector<uint16_t>>(probability.values);
  double area = 0, sum = 0;
  for (size_t i = 0; i < levels.size(); ++i) {
    if (std::abs(int(levels[i]) - 32767) > 1) CHECK((levels[i] > 32767) == (mask.pixels[i] == 255));
    if (mask.pixels[i]) ++area, sum += levels[i] / 65535.;
  }
  const std::vector<std::string> table = lines_of(w.tmp / "masks/predictions.csv");
  REQUIRE(table.size() == 3);
  CHECK(table[0] == "name,area,components,mean_probability");
  CHECK(table[1].rfind(str_cat("a,", int(area), ","), 0) == 0);
  const std::string mean = table[1].substr(table[1].rfind(',') + 1);
  if (area > 0) CHECK(std::abs(std::stod(mean) - sum / area) < 1e-4);
  if (area == 0) CHECK(mean.empty());

  // A list names files relative to itself.
  write(w.tmp / "list.txt", "in/a.png\nin/b.png\n");
  CHECK(run(predict + w.tmp / "list.txt" + " --out " + w.tmp / "listed").status == 0);
  CHECK(read_file(w.tmp / "listed/b_mask.png") == read_file(w.tmp / "masks/b_mask.png"));
  check_error(predict + w.tmp / "in" + " --out " + w.tmp / "masks", {"exists already", "--force"});
  make_folder(w.tmp / "none");
  check_error(predict + w.tmp / "none" + " --out " + w.tmp / "m",
              {"none: expected images .jpg, .png, .dcm or volumes"});

  if (!nifti_built()) return;
  const Result scans = run(predict + volumes + "pir.nii.gz " + volumes + "nan.nii.gz " + volumes +
                           "lps.nii.gz --prob --out " + w.tmp / "scans");
  CHECK(scans.status == 1);
  CHECK(has(scans.err, "nan.nii.gz: has 1 values that are NaN or infinite"));
  const Scan source = read_nifti(volumes + "pir.nii.gz"), out = read_nifti(w.tmp / "scans/pir_mask.nii.gz"),
             prob = read_nifti(w.tmp / "scans/pir_prob.nii.gz");
  CHECK(out.geometry.axes == source.geometry.axes);
  CHECK(out.geometry.origin == source.geometry.origin);
  // One volume in two orders of axes has the same prediction.
  CHECK(prob.values == read_nifti(w.tmp / "scans/lps_prob.nii.gz").values);
  int64_t voxels = 0;
  for (size_t i = 0; i < out.values.size(); ++i) {
    CHECK((out.values[i] == 1) == (prob.values[i] > 0.5f));
    voxels += out.values[i] == 1;
  }
  CHECK(has(read_file(w.tmp / "scans/predictions.csv"), str_cat("\npir,", voxels, ",")));
  CHECK(run(predict + volumes + "ras.nii.gz --save nrrd --out " + w.tmp / "nrrd").status == 0);
  CHECK(std::filesystem::exists(w.tmp / "nrrd/ras_mask.seg.nrrd"));
  check_error(predict + volumes + "ras.nii.gz --save dicom-seg --out " + w.tmp / "seg", {"is no DICOM volume"});
  check_error(predict + volumes + "ras.nii.gz --maps --out " + w.tmp / "seg",
              {"is a volume, expected images with --maps"});
  if (!dicom_built()) return;
  CHECK(run(predict + volumes + "enhanced.dcm --prob --out " + w.tmp / "seg").status == 0);
  CHECK(read_dicom_header(w.tmp / "seg/enhanced_mask.dcm").frames == 4);
  CHECK(read_nifti(w.tmp / "seg/enhanced_prob.nii.gz").values.size() == 120);
}
