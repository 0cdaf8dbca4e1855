// Data sets prepared from small folders in the layout of the public downloads.
#include "gaze/prepare.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "gaze/dataset.h"
#include "tests/catch.h"
#include "tests/medical_files.h"
#include "tests/temp_folder.h"

using namespace gt;

namespace {

namespace fs = std::filesystem;

std::vector<std::string> list(const std::string& path) {
  std::istringstream lines(read_file(path));
  std::vector<std::string> names;
  for (std::string name; lines >> name;) names.push_back(name);
  return names;
}

/// 20 images p00 .. p19 of 6x8, with masks of values between 0 and 255.
void make_kvasir(const TempFolder& tmp) {
  make_folder(tmp / "raw/images");
  make_folder(tmp / "raw/masks");
  for (int i = 0; i < 20; ++i) {
    const std::string name = str_cat("p", i / 10, i % 10, ".png");
    Image mask(6, 8, 1, 20);
    *mask.at(2, 3) = 220;
    write_png(tmp / ("raw/images/" + name), Image(6, 8, 3, uint8_t(i)));
    write_png(tmp / ("raw/masks/" + name), mask);
  }
}

PrepareOptions options_for(const TempFolder& tmp) { return {tmp / "raw", tmp / "out", "", 0.1, {}}; }

/// The message with which prepare() refuses a download that `spoil` has changed.
template <class Make, class Prepare, class Spoil>
std::string refusal(Make&& make, Prepare&& prepare, Spoil&& spoil) {
  const TempFolder tmp;
  make(tmp);
  PrepareOptions options = options_for(tmp);
  spoil(tmp, options);
  std::string message = error_of([&] { prepare(options, PrepareProgress()); });
  CHECK(message.find('\n') == message.npos);
  for (size_t at; (at = message.find(tmp.path())) != message.npos;) message.replace(at, tmp.path().size(), "TMP");
  return message;
}

}  // namespace

// ---- Kvasir-SEG -----------------------------------------------------------------------------------------------------

TEST_CASE("prepare: Kvasir-SEG without lists is split by a hash of the names", "[prepare]") {
  const TempFolder tmp;
  make_kvasir(tmp);
  size_t steps = 0;
  const Prepared p =
      prepare_kvasir_seg(options_for(tmp), [&](size_t done, size_t all) { CHECK((done == ++steps && all == 20)); });
  CHECK(steps == 20);
  CHECK((p.train == 16 && p.val == 2 && p.test == 2));
  CHECK(p.notes.empty());
  std::set<std::string> all;
  for (const char* split : {"train", "val", "test"}) {
    DataOptions data;
    data.root = tmp / "out";
    for (const Sample& s : load_dataset(data, split, {.labels = true}).samples) {
      CHECK(all.insert(s.name).second);
      for (int64_t i = 0; i < 48; ++i) CHECK(s.label.pixels[size_t(i)] == (i == 2 * 8 + 3 ? 255 : 0));
      CHECK(read_file(tmp / ("out/images/" + s.name + ".png")) == read_file(tmp / ("raw/images/" + s.name + ".png")));
    }
  }
  CHECK(all.size() == 20);
  // A second run gives this split. Without one image, at most one other image changes its part.
  const std::vector<std::string> test = list(tmp / "out/test.txt");
  PrepareOptions again = options_for(tmp);
  again.out = tmp / "again";
  prepare_kvasir_seg(again);
  CHECK(list(tmp / "again/test.txt") == test);
  CHECK(list(tmp / "again/train.txt") == list(tmp / "out/train.txt"));
}

TEST_CASE("prepare: Kvasir-SEG keeps given lists and the gaze on its images", "[prepare]") {
  const TempFolder tmp;
  make_kvasir(tmp);
  write(tmp / "raw/train.txt", "p00\np01\np02\np03\np04.jpg\n");
  write(tmp / "raw/test.txt", "p05\np06\n");
  PrepareOptions options = options_for(tmp);
  options.gaze = tmp / "fixations.csv";
  write(options.gaze,
        "IMAGE,CURRENT_FIX_INDEX,CURRENT_FIX_X,CURRENT_FIX_Y,CURRENT_FIX_DURATION\np00.jpg,1,0.5,0.5,100\n"
        "p05.jpg,1,0.5,0.5,100\np19.jpg,1,0.5,0.5,100\n");
  const Prepared p = prepare_kvasir_seg(options);
  CHECK((p.train == 4 && p.val == 1 && p.test == 2));
  CHECK(p.notes == std::vector<std::string>{"5 images have no gaze", "1 tracks are of images that the data set lacks"});
  CHECK(list(tmp / "out/test.txt") == std::vector<std::string>{"p05", "p06"});
  CHECK(!fs::exists(tmp / "out/images/p07.png"));
  CHECK(read_file(tmp / "out/gaze.csv").find("p05") != std::string::npos);
  CHECK(read_file(tmp / "out/gaze.csv").find("p19") == std::string::npos);
}

TEST_CASE("prepare: nothing is left of a data set that is refused, and what was left out is noted", "[prepare]") {
  const TempFolder tmp;
  make_kvasir(tmp);
  write(tmp / "raw/images/p20.tif", "x");
  write_png(tmp / "raw/masks/p21.png", Image(6, 8, 1));
  PrepareOptions options = options_for(tmp);
  Image other(6, 8, 1);
  other.pixels[0] = 1;
  write_png(tmp / "raw/masks/p19.png", other);
  const std::string message = error_of([&] { prepare_kvasir_seg(options); });
  CHECK(message.find("p19.png: foreground is 1, but 220 in ") != std::string::npos);
  CHECK_FALSE(fs::exists(tmp / "out"));
  options.labels = {.foreground = {1, 220}, .ignored = {20}};
  const Prepared prepared = prepare_kvasir_seg(options);
  REQUIRE(prepared.notes.size() == 2);
  CHECK(prepared.notes[0].starts_with("left out: 1 masks without an image, such as "));
  CHECK(prepared.notes[1].starts_with("left out: 1 images that are neither JPEG nor PNG, such as "));
  const Mask mask = read_mask(tmp / "out/masks/p00.png", {.foreground = {255}, .ignored = {127}});
  CHECK((mask.foreground_pixels == 1 && mask.ignored_pixels == 47));
}

TEST_CASE("prepare: a faulty Kvasir-SEG download is refused with the file", "[prepare]") {
  const auto spoilt = [](auto&& spoil) { return refusal(make_kvasir, prepare_kvasir_seg, spoil); };
  CHECK(spoilt([](auto& tmp, auto&) {
          fs::remove_all(tmp / "raw/images");
        }).starts_with("TMP/raw/images: cannot read the folder"));
  CHECK(spoilt([](auto& tmp, auto&) { fs::remove(tmp / "raw/masks/p07.png"); }) ==
        "TMP/raw/images/p07.png: has no mask, expected TMP/raw/masks/p07.jpg");
  CHECK(spoilt([](auto& tmp, auto&) { write_png(tmp / "raw/masks/p07.png", Image(8, 6, 1)); }) ==
        "TMP/raw/masks/p07.png: is 8x6, expected 6x8 as its image TMP/raw/images/p07.png");
  CHECK(spoilt([](auto& tmp, auto&) { write(tmp / "raw/images/p07.jpg", "x"); }) ==
        "TMP/raw/images/p07.png: has the name of TMP/raw/images/p07.jpg");
  CHECK(spoilt([](auto& tmp, auto&) { write(tmp / "raw/test.txt", "p01\n"); }) ==
        "TMP/raw: has only one of train.txt and test.txt, expected both or neither");
  const auto lists = [&](const std::string& train, const std::string& test) {
    return spoilt([&](auto& tmp, auto&) {
      write(tmp / "raw/train.txt", train);
      write(tmp / "raw/test.txt", test);
    });
  };
  CHECK(lists("p00\np99\n", "p01\n") == "TMP/raw/train.txt:2: there is no image 'p99'");
  CHECK(lists("p00\np01\n", "p01\n") == "TMP/raw: 'p01' is in train.txt and in test.txt");
  CHECK(lists("p00\n", "p01\n") == "TMP/raw: expected images for training and for validation, got 1 and 0");
  CHECK(spoilt([](auto& tmp, auto&) { write(tmp / "out/train.txt", "a\n"); }) ==
        "TMP/out/train.txt: exists already, expected a folder OUT without images, masks, lists and gaze");
  CHECK(spoilt([](auto& tmp, auto& options) {
          options.gaze = tmp / "g.csv";
          write(options.gaze, "x,y,duration\n0.5,0.5,99\n");
        }) == "TMP/g.csv: has gaze on none of the 20 images");
}

TEST_CASE("prepare: a name that a list cannot hold is refused before anything is written", "[prepare]") {
  const std::map<std::string, std::string> messages = {{"p07.png.png", "has the name of TMP/raw/images/p07.png"},
                                                       {" p07.png", "has the name of TMP/raw/images/ p07.png"},
                                                       {"new\nline.png", "expected no control characters"}};
  for (const auto& [name, expected] : messages) {
    const std::string message = refusal(make_kvasir, prepare_kvasir_seg, [&](auto& tmp, auto&) {
      write_png(tmp / ("raw/images/" + name), Image(6, 8, 3));
    });
    INFO(message);
    CHECK(message.find(expected) != message.npos);
  }
}

TEST_CASE("prepare: hidden files and links are passed over, each file is read once", "[prepare]") {
  const TempFolder tmp;
  make_kvasir(tmp);
  write(tmp / "raw/images/._p01.png", "AppleDouble");
  write(tmp / "raw/images/Thumbs.db", "x");
  fs::create_directory_symlink("..", tmp / "raw/images/up");
  fs::create_symlink("nowhere.png", tmp / "raw/images/dangling.png");
  fs::create_symlink("p01.png", tmp / "raw/images/again.png");
  const Prepared p = prepare_kvasir_seg(options_for(tmp));
  CHECK(p.train + p.val + p.test == 20);
}

// ---- NCI-ISBI -------------------------------------------------------------------------------------------------------

#if GT_DICOM

namespace {

const std::string train_images = "raw/ISBI-Prostate-Training/manifest/", test_images = "raw/ISBI-Prostate-Testing/m/",
                  train_labels = "raw/NCI-ISBI-2013-Prostate-Challenge-Training/",
                  test_labels = "raw/NCI-ISBI-2013-Prostate-Challenge-Testing/";

/// A patient with 4 slices of 3 rows and 5 columns. The second and third have one labelled pixel.
void make_patient(const TempFolder& tmp, const std::string& patient, const std::string& images,
                  const std::string& labels) {
  const std::string series = tmp / (images + patient + "/study/series");
  make_folder(series);
  for (int z = 0; z < 4; ++z)
    write_dicom(series + str_cat("/1-", 9 - z, ".dcm"),  // file names do not give the order
                {.height = 3,
                 .width = 5,
                 .values = std::vector<uint16_t>(15, uint16_t(100 + z)),
                 .patient = patient,
                 .series = "1.2." + std::to_string(patient.size()),
                 .instance = z + 1});
  std::vector<int32_t> volume(4 * 15);
  volume[15 + 1 * 5 + 4] = 1;  // second slice, row 1, column 4: peripheral zone
  volume[30 + 2 * 5 + 0] = 2;  // third slice, row 2, column 0: central gland
  write(tmp / (labels + patient + "_truth.nrrd"), nrrd(5, 3, 4, volume, "short", true, false));
}

void make_nci_isbi(const TempFolder& tmp) {
  for (int i = 0; i < 10; ++i) make_patient(tmp, str_cat("Prostate3T-01-000", i), train_images, train_labels);
  make_patient(tmp, "ProstateDx-03-0001", test_images, test_labels);
}

}  // namespace

TEST_CASE("prepare: NCI-ISBI becomes slices with masks, split by patient", "[prepare]") {
  const TempFolder tmp;
  make_nci_isbi(tmp);
  write(tmp / "raw/NCI-ISBI-2013-Prostate-Challenge-Leaderboard/Prostate3T-02-0001.nrrd", "not read");
  const Prepared p = prepare_nci_isbi(options_for(tmp));
  CHECK((p.train == 18 && p.val == 2 && p.test == 2));
  CHECK(p.notes.empty());
  CHECK(list(tmp / "out/test.txt") == std::vector<std::string>{"ProstateDx-03-0001_2", "ProstateDx-03-0001_3"});
  const std::vector<std::string> val = list(tmp / "out/val.txt");
  CHECK(val[0].substr(0, 18) == val[1].substr(0, 18));  // one patient
  DataOptions data;
  data.root = tmp / "out";
  data.channels = 1;
  const Dataset test = load_dataset(data, "test", {.labels = true});
  for (int64_t i = 0; i < 15; ++i) {
    CHECK(test.samples[0].label.pixels[size_t(i)] == (i == 1 * 5 + 4 ? 255 : 0));
    CHECK(test.samples[1].label.pixels[size_t(i)] == (i == 2 * 5 + 0 ? 255 : 0));
  }
  // The slice of InstanceNumber 2, whose file name ends in 8.
  CHECK(read_file(tmp / "out/images/ProstateDx-03-0001_2.dcm") ==
        read_file(tmp / (test_images + "ProstateDx-03-0001/study/series/1-8.dcm")));
}

TEST_CASE("prepare: an NCI-ISBI patient with another number of slices than labels is left out", "[prepare]") {
  const TempFolder tmp;
  make_nci_isbi(tmp);
  fs::remove(tmp / (train_images + "Prostate3T-01-0004/study/series/1-9.dcm"));
  write(tmp / (train_labels + "Other-01-0001.nrrd"), "not read");
  const Prepared p = prepare_nci_isbi(options_for(tmp));
  CHECK(p.train + p.val == 18);
  CHECK(p.notes == std::vector<std::string>{"Other-01-0001.nrrd: there are no slices of this patient",
                                            "Prostate3T-01-0004: no series has the 4 slices of its label volume"});
}

TEST_CASE("prepare: files that are no slices of NCI-ISBI are passed over and counted", "[prepare]") {
  const TempFolder tmp;
  make_nci_isbi(tmp);
  const std::string series = tmp / (train_images + "Prostate3T-01-0004/study/series/");
  fs::copy(series + "1-9.dcm", series + "1-9(1).dcm");
  write(series + "._1-9.dcm", "AppleDouble");
  write(series + "notes.dcm", "text");
  write_dicom(series + "report.dcm", {.height = 0, .patient = "Prostate3T-01-0004"});
  write_dicom(series + "scout.dcm", {.values = {1}, .patient = "Prostate3T-01-0004", .instance = 0});
  const Prepared p = prepare_nci_isbi(options_for(tmp));
  CHECK(p.train + p.val == 20);
  REQUIRE(p.notes.size() == 4);
  CHECK(p.notes[0].starts_with("passed over: 1 files that are copies, such as " + series));
  CHECK(p.notes[1].starts_with("passed over: 1 files that are not DICOM, such as " + series + "notes.dcm"));
  CHECK(p.notes[2].starts_with("passed over: 1 files that have no InstanceNumber, such as " + series + "scout.dcm"));
  CHECK(p.notes[3].starts_with("passed over: 1 files that hold no image, such as " + series + "report.dcm"));
}

TEST_CASE("prepare: a label volume whose axes run against the slices is reversed, or refused", "[prepare]") {
  const std::string labels = test_labels + "ProstateDx-03-0001_truth.nrrd";
  const auto with_directions = [&](const TempFolder& tmp, const std::string& directions, bool placed) {
    make_nci_isbi(tmp);
    for (int z = 0; placed && z < 4; ++z) {
      const std::string path = tmp / (test_images + str_cat("ProstateDx-03-0001/study/series/1-", 9 - z, ".dcm"));
      write_dicom(path, {.height = 3,
                         .width = 5,
                         .values = std::vector<uint16_t>(15, uint16_t(100 + z)),
                         .patient = "ProstateDx-03-0001",
                         .series = "1.2.18",
                         .instance = z + 1,
                         .fields = {{DCM_ImagePositionPatient, str_cat("-5\\-5\\", 3 * z)},
                                    {DCM_ImageOrientationPatient, "1\\0\\0\\0\\1\\0"}}});
    }
    std::string file = read_file(tmp / labels);
    const size_t at = file.find("endian:");
    write(tmp / labels, file.substr(0, at) + "space directions: " + directions + "\n" + file.substr(at));
    return prepare_nci_isbi(options_for(tmp));
  };
  const auto pixel = [&](const TempFolder& tmp, int slice, int y, int x) {
    return *read_image(tmp / str_cat("out/masks/ProstateDx-03-0001_", slice, ".png"), 1).at(y, x);
  };
  {
    const TempFolder tmp;
    CHECK(with_directions(tmp, "(1,0,0) (0,1,0) (0,0,3)", true).notes.empty());
    CHECK((pixel(tmp, 2, 1, 4) == 255 && pixel(tmp, 3, 2, 0) == 255));
  }
  {
    const TempFolder tmp;
    const Prepared p = with_directions(tmp, "(-1,0,0) (0,1,0) (0,0.1,-3)", true);
    CHECK((pixel(tmp, 3, 1, 0) == 255 && pixel(tmp, 2, 2, 4) == 255));
    CHECK(p.notes == std::vector<std::string>{
                         "ProstateDx-03-0001: reversed axes of the label volume, which run against the slices: x z"});
  }
  for (const bool placed : {false, true}) {
    const TempFolder tmp;
    CHECK(error_of([&] { with_directions(tmp, "(0,1,0) (1,0,0) (0,0,3)", placed); }) ==
          tmp / labels +
              ": field 'space directions': axis 1 does not run along the rows of the slices, expected the "
              "axes x, y and slice");
  }
  const TempFolder tmp;
  CHECK(error_of([&] {
          with_directions(tmp, "(1,0,0) (0,1,0) (0,0,-3)", false);
        }).starts_with(tmp / labels + ": field 'space directions': axis 3 runs backwards"));
}

TEST_CASE("prepare: a faulty NCI-ISBI download is refused with the file", "[prepare]") {
  const auto spoilt = [](auto&& spoil) { return refusal(make_nci_isbi, prepare_nci_isbi, spoil); };
  CHECK(spoilt([](auto& tmp, auto&) { fs::remove_all(tmp / "raw"); }).starts_with("TMP/raw: cannot read the folder"));
  CHECK(spoilt([](auto& tmp, auto&) {
          fs::remove_all(tmp / train_images);
          fs::remove_all(tmp / test_images);
        }) == "TMP/raw: holds no DICOM slices (.dcm)");
  CHECK(spoilt([](auto& tmp, auto&) {
          fs::remove_all(tmp / train_labels);
          fs::remove_all(tmp / test_labels);
        }) == "TMP/raw: holds no label volumes (.nrrd) of the patients with slices");
  CHECK(spoilt([](auto& tmp, auto&) { write(tmp / "raw/labels/a.nrrd", ""); }) ==
        "TMP/raw/labels/a.nrrd: expected a folder named training or test, to know which part this belongs to");
  CHECK(spoilt([](auto& tmp, auto&) { write(tmp / (train_labels + "Prostate3T-01-0003_b.nrrd"), ""); }) ==
        "TMP/" + train_labels + "Prostate3T-01-0003_truth.nrrd: is of patient Prostate3T-01-0003, like TMP/" +
            train_labels + "Prostate3T-01-0003_b.nrrd: expected one label volume per patient");
  CHECK(spoilt([](auto& tmp, auto&) {
          write(tmp / (test_labels + "ProstateDx-03-0001_truth.nrrd"),
                nrrd(3, 5, 4, std::vector<int32_t>(60, 1), "uchar", false, false));
        }).starts_with("TMP/" + test_labels + "ProstateDx-03-0001_truth.nrrd: is 5x3, expected 3x5 as the slice TMP/"));
  CHECK(spoilt([](auto& tmp, auto&) {
          const std::string series = tmp / (test_images + "ProstateDx-03-0001/study/series/");
          write_dicom(series + "2-9.dcm", {.height = 3,
                                           .width = 5,
                                           .values = std::vector<uint16_t>(15, 7),
                                           .patient = "ProstateDx-03-0001",
                                           .series = "1.2.18",
                                           .instance = 1});
        }) == "TMP/" + test_images +
                  "ProstateDx-03-0001/study/series/2-9.dcm: another slice of its series has its InstanceNumber");
  CHECK(spoilt([](auto& tmp, auto&) { write(tmp / (test_labels + "ProstateDx-03-0001_truth.nrrd"), "what"); }) ==
        "TMP/" + test_labels + "ProstateDx-03-0001_truth.nrrd: is not an NRRD file");
}

#endif
