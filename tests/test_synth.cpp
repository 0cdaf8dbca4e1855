// Synthetic images and the data set of them.
#include <filesystem>

#include "core/parallel.h"
#include "gaze/readers.h"
#include "gaze/synth.h"
#include "tests/catch.h"
#include "tests/temp_folder.h"

using namespace gt;

namespace {

double share(const Image& mask) {
  double count = 0;
  for (const uint8_t v : mask.pixels) count += is_foreground(v);
  return count / double(mask.pixels.size());
}

}  // namespace

TEST_CASE("synth: a case has a lesion of 2 to 25 % and depends on seed and index", "[synth]") {
  for (int64_t i = 0; i < 16; ++i) {
    const SyntheticCase a = synthesize(48, 5, i), again = synthesize(48, 5, i), other = synthesize(48, 6, i);
    CHECK(a.image.pixels == again.image.pixels);
    CHECK(a.mask.pixels == again.mask.pixels);
    CHECK(a.image.pixels != other.image.pixels);
    CHECK(a.image.channels == 3);
    CHECK(a.mask.channels == 1);
    INFO("case " << i);
    CHECK(share(a.mask) > 0.015);
    CHECK(share(a.mask) < 0.26);
  }
}

TEST_CASE("synth: a data set is complete, independent of threads, and never overwritten", "[synth]") {
  const TempFolder a, b;
  write_synthetic_dataset(a.path(), 10, 32, 1);
  const int threads = num_threads();
  set_num_threads(1);
  write_synthetic_dataset(b.path(), 10, 32, 1);
  set_num_threads(threads);
  CHECK(read_file(a / "train.txt") == "case_0000\ncase_0001\ncase_0002\ncase_0003\ncase_0004\ncase_0005\ncase_0006\n");
  CHECK(read_file(a / "val.txt") == "case_0007\n");
  CHECK(read_file(a / "test.txt") == "case_0008\ncase_0009\n");
  int64_t files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(a.path())) {
    if (!entry.is_regular_file()) continue;
    ++files;
    const std::string name = std::filesystem::relative(entry.path(), a.path()).string();
    INFO(name);
    CHECK(read_file(a / name) == read_file(b / name));
  }
  CHECK(files == 10 + 10 + 3 + 1);
  const Gaze gaze = read_gaze(a / "gaze.csv");
  CHECK(gaze.simulated);
  CHECK(gaze.tracks.size() == 10);
  CHECK(gaze.tracks.count("case_0009") == 1);
  const Image image = read_image(a / "images/case_0003.png", 3), mask = read_image(a / "masks/case_0003.png", 1);
  CHECK(image.pixels == synthesize(32, 1, 3).image.pixels);
  CHECK(mask.pixels == synthesize(32, 1, 3).mask.pixels);

  CHECK(error_of([&] { write_synthetic_dataset(a.path(), 10, 32, 1); }).find("holds a data set already") !=
        std::string::npos);
  const TempFolder c;
  CHECK_THROWS_AS(write_synthetic_dataset(c.path(), 2, 32, 1), Error);
  CHECK_THROWS_AS(write_synthetic_dataset(c.path(), 10, 8, 1), Error);
}
