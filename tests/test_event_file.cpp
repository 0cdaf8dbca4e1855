// TensorBoard's event files, against the bytes of TensorBoard's own writer (tests/fixtures/make_events.py).
#include "core/event_file.h"

#include "core/io.h"
#include "tests/program.h"

using namespace gt;

TEST_CASE("event file: CRC-32C has the published values", "[events]") {
  // RFC 3720, section B.4
  CHECK(crc32c(std::string(32, '\0')) == 0x8A9136AA);
  CHECK(crc32c(std::string(32, '\xFF')) == 0x62A8AB43);
  CHECK(crc32c("123456789") == 0xE3069283);
}

TEST_CASE("event file: the records are those of TensorBoard's writer", "[events]") {
  std::string png;
  for (int i = 0; i < 40; ++i) png += char(i);
  const std::string written =
      event_header(1.5) + event_restart(2.25, 11) +
      event_scalars(1764420000.125, 300, {{"train/loss", 0.6931471805599453}, {"train/lr", 1e-3}, {"val/dice", 0}}) +
      event_image(3, 100000, {"val/case", 256, 300, 3, png});
  CHECK(written == read_file(GT_SOURCE_DIR "/tests/fixtures/tensorboard.events"));
}

TEST_CASE("event file: a run writes its losses, validations and three images", "[events]") {
  const Workplace w;
  const auto events = [&] {
    std::string all;
    for (const auto& entry : std::filesystem::directory_iterator(w.tmp / "run/tensorboard")) {
      CHECK(entry.path().filename().string().starts_with("events.out.tfevents."));
      all += read_file(entry.path());
    }
    return all;
  };
  const auto count = [&](const std::string& part) {
    const std::string all = events();
    int found = 0;
    for (size_t at = 0; (at = all.find(part, at)) != all.npos; ++at) ++found;
    return found;
  };
  REQUIRE(run(w.train("train.tensorboard=true train.iterations=6 train.val_every=4 train.checkpoint_every=2", "run"))
              .status == 0);
  CHECK(count("brain.Event:2") == 1);
  CHECK(count("train/loss") == 3);
  CHECK(count("train/track_1") == 3);
  CHECK(count("train/lr") == 3);
  CHECK(count("val/dice") == 3);     // of the untrained network, at 4 and at 6
  CHECK(count("\x89PNG") == 3 * 2);  // there are two validation images
  const std::string csv = read_file(w.tmp / "run/metrics.csv");
  CHECK(csv.starts_with("iteration,"));
  CHECK(has(csv.substr(0, csv.find('\n')), ",terms.track_1,"));
  CHECK(has(csv.substr(0, csv.find('\n')), ",val.dice,"));
  CHECK(std::count(csv.begin(), csv.end(), '\n') == 1 + 3 + 3);
  check_error(w.train("", "run"), {"holds a run already"});

  REQUIRE(run(w.train("train.iterations=2 train.val_every=2 train.checkpoint_every=2", "plain")).status == 0);
  CHECK_FALSE(std::filesystem::exists(w.tmp / "plain/tensorboard"));
}
