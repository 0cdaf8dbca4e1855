// The measure of masks by edges, and `gradtrack choose`.
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/io.h"
#include "gaze/edge_contrast.h"
#include "tests/catch.h"
#include "tests/program.h"

using namespace gt;

namespace {

/// Value `from` in columns left of `edge`, `to` from there on.
Image step_image(int64_t height, int64_t width, int64_t edge, uint8_t from, uint8_t to) {
  Image image(height, width, 1, from);
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = edge; x < width; ++x) *image.at(y, x) = to;
  return image;
}

}  // namespace

TEST_CASE("edge contrast: the gradient along the boundary as a multiple of its mean", "[choose]") {
  const Image image = step_image(12, 40, 20, 10, 110);
  const auto at = [&](int64_t edge) { return edge_contrast(image, step_image(12, 40, edge, 0, 255)); };
  // Columns 18 to 21 have the gradient 100, two pixels to each side, so the mean is 10.
  CHECK(at(20) == 10);
  CHECK(at(21) == 10);
  CHECK(at(18) == 10);
  CHECK(at(17) == 0);
  CHECK(at(30) == 0);
  CHECK(edge_contrast(image, Image(12, 40, 1)) == 0);
  CHECK(edge_contrast(image, Image(12, 40, 1, 255)) == 0);
  CHECK(edge_contrast(Image(12, 40, 1, 7), step_image(12, 40, 20, 0, 255)) == 0);
  // Two channels' differences of 30 and 40 have the length 50: the ratio is the same.
  Image colours(12, 40, 3);
  for (int64_t y = 0; y < 12; ++y)
    for (int64_t x = 20; x < 40; ++x) colours.at(y, x)[0] = 30, colours.at(y, x)[2] = 40;
  CHECK(edge_contrast(colours, step_image(12, 40, 20, 0, 255)) == 10);
  CHECK(error_of([&] { edge_contrast(image, Image(12, 39, 1)); }).find("expected one size") != std::string::npos);
}

TEST_CASE("choose: variants are compared by their pseudo masks, with and without masks", "[choose][cli]") {
  const Workplace w;
  const std::string command =
      "choose " + w.config + " data.root=" + w.data + " --axis pseudo.crf.iterations=0 --tracks --images 5";
  const Result r = run(command + " --json " + w.tmp / "choice.json");
  INFO(r.err);
  REQUIRE(r.status == 0);
  CHECK(has(r.out, "pseudo masks of 5 images of train.txt, SIMULATED gaze"));
  CHECK(has(r.out, "highest Dice, which needs them"));
  const auto json = nlohmann::json::parse(read_file(w.tmp / "choice.json"));
  CHECK(json["gaze"] == "simulated");
  REQUIRE(json["images"].size() == 5);
  const auto arm = [&](const std::string& name) {
    for (const auto& a : json["arms"])
      if (a["name"] == name) return a;
    return nlohmann::json();
  };
  for (const char* name : {"base", "first-3-s", "order-shuffled", "durations-equal", "merged"}) {
    INFO(name);
    REQUIRE(arm(name)["dice"].size() == 5);
    for (const double dice : arm(name)["dice"]) CHECK((dice > 0.1 && dice <= 1));
  }
  CHECK(arm("offset-5-percent")["dice"] != arm("base")["dice"]);
  CHECK(arm("order-shuffled")["dice"] != arm("base")["dice"]);

  const Result again = run(command + " --threads 1 --json " + w.tmp / "again.json");
  CHECK(again.out.substr(0, again.out.find("written")) == r.out.substr(0, r.out.find("written")));
  CHECK(read_file(w.tmp / "again.json") == read_file(w.tmp / "choice.json"));
  check_error(command + " --json " + w.tmp / "choice.json", {"choice.json: exists already", "--force"});

  // data.images chooses first, and no arm changes what the images and masks are.
  const auto scores_of = [&](const std::string& more) {
    const std::string file = w.tmp / "more.json";
    const Result some = run("choose " + w.config + " data.root=" + w.data + " " + more + " --force --json " + file);
    INFO(some.err);
    REQUIRE(some.status == 0);
    return nlohmann::json::parse(read_file(file));
  };
  const auto few = scores_of("data.images=3"), five = scores_of("--images 5");
  REQUIRE(few["images"].size() == 3);
  for (size_t i = 0; i < 3; ++i) {
    const auto at = std::find(five["images"].begin(), five["images"].end(), few["images"][i]) - five["images"].begin();
    REQUIRE(at < 5);
    CHECK(few["arms"][0]["dice"][i] == five["arms"][0]["dice"][size_t(at)]);
  }
  for (const char* arm : {"data.labels.foreground=[7]", "data.stretch=full", "data.lists=none", "data.images=2"})
    check_error("choose " + w.config + " data.root=" + w.data + " --arm 'other: " + arm + "'",
                {"arm 'other': ", "expected the base's data"});
  check_error(command + " seed=3", {"expected --seed N"});
  CHECK(has(run("choose " + w.config + " data.root=" + w.data + " --images 3 --axis train.batch=2").out,
            "the same masks as those of base: train.batch=2"));
  const auto drop = [&](int seed) {
    return scores_of(str_cat("--images 4 --arm 'half: data.degrade.drop=0.5' --seed ", seed))["arms"][1]["dice"];
  };
  CHECK(drop(1) != drop(2));
  std::filesystem::remove(w.data + "/masks/" + std::string(five["images"][0]) + ".png");
  const Result partly = run("choose " + w.config + " data.root=" + w.data + " --images 5");
  CHECK(partly.status == 0);
  CHECK(has(partly.err, "has no mask of 1 of 5 images, so there is no Dice"));

  std::filesystem::remove_all(w.data + "/masks");
  const Result blind = run(command);
  INFO(blind.err);
  REQUIRE(blind.status == 0);
  CHECK(has(blind.out, "* highest edge contrast, which needs no hand-drawn mask: "));
  CHECK_FALSE(has(blind.out, "Dice"));
  check_error("choose " + w.config + " data.root=" + w.data + " --axis pseudo.refine=none",
              {"arm 'pseudo.refine=none'", "makes no pseudo masks before training"});
}
