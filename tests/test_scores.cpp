// `gradtrack eval` as tables, of predictions by any program, and `gradtrack split`.
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/csv.h"
#include "gaze/image.h"
#include "tests/program.h"

using namespace gt;

namespace {

// A mask of rows of '.' and '#', written with these two values.
void write_mask(const std::string& path, const std::vector<std::string>& rows, uint8_t foreground = 255) {
  Image image(int64_t(rows.size()), int64_t(rows[0].size()), 1);
  for (size_t i = 0; i < image.pixels.size(); ++i)
    image.pixels[i] = rows[i / rows[0].size()][i % rows[0].size()] == '#' ? foreground : 0;
  write(path, encode_png(image));
}

}  // namespace

TEST_CASE("csv: fields are quoted as needed, and numbers are the shortest that read back", "[csv]") {
  CHECK(csv_row({"a", "b,c", "d\"e", "", "f\ng"}) == "a,\"b,c\",\"d\"\"e\",,\"f\ng\"\n");
  CHECK(csv_number(0.1) == "0.1");
  CHECK(csv_number(1.0 / 3) == "0.3333333333333333");
  CHECK(csv_number(std::nan("")) == "");
}

TEST_CASE("scores: predictions of any program are scored against masks", "[scores]") {
  const TempFolder tmp;
  write_mask(tmp / "masks/a.png", {"##..", "##..", "...."});
  write_mask(tmp / "masks/b.png", {"....", ".##.", "...."});
  write_mask(tmp / "pred/a.png", {".##.", ".##.", "...."}, 1);
  write_mask(tmp / "pred/b_mask.png", {"....", ".##.", "...."}, 1);
  write_mask(tmp / "pred/b_overlay.png", {"#..."});
  const std::string folders = "eval --masks " + tmp / "masks" + " --predictions " + tmp / "pred";
  const Result r = run(folders);
  INFO(r.err);
  REQUIRE(r.status == 0);
  CHECK(has(r.out, "2 images"));
  CHECK(has(r.out, "dice                 0.7500"));
  CHECK_FALSE(has(r.out, "hd95_mm"));
  CHECK(read_file(tmp / "pred/eval_predictions.csv")
            .starts_with("name,dice,iou,precision,recall,hd95,surface_dice,hd95_mm,surface_dice_mm\na,0.5"));
  CHECK(has(read_file(tmp / "pred/eval_predictions.csv"), "\nb,1,1,1,1,0,1,,\n"));
  const auto json = nlohmann::json::parse(read_file(tmp / "pred/eval_predictions.json"));
  CHECK(json["dice"]["mean"].get<double>() == Approx(0.75));
  CHECK(json["per_image"][1]["name"] == "b");
  CHECK_FALSE(json.contains("hd95_mm"));

  REQUIRE(run(folders + " --spacing 0.5,2 --out " + tmp / "mm").status == 0);
  const auto mm = nlohmann::json::parse(read_file(tmp / "mm/eval_predictions.json"));
  CHECK(mm["hd95"]["mean"].get<double>() == Approx(0.5));
  CHECK(mm["hd95_mm"]["mean"].get<double>() == Approx(1));
  CHECK(mm["per_image"][0]["hd95_mm"].get<double>() == Approx(2));

  write(tmp / "list.txt", "b\n");
  CHECK(has(run(folders + " --list " + tmp / "list.txt" + " --out " + tmp / "one").out, "1 images"));
  const std::string refused = folders + " --out " + tmp / "none";
  write_mask(tmp / "masks/c.png", {"#...", "....", "...."});
  check_error(refused, {"masks: expected a prediction ", "pred/c_mask, there is none"});
  write_mask(tmp / "pred/c.png", {"#..."});
  check_error(refused, {"pred/c.png: is 1x4, expected 3x4 as its mask", "masks/c.png"});
  write_mask(tmp / "pred/c.png", {"#...", "....", "...."});
  check_error(refused, {"pred/c.png: foreground is 255, but 1 in"});
  write_mask(tmp / "pred/c_mask.png", {"#...", "....", "...."});
  check_error(refused, {"masks: expected one prediction, there are ", "pred/c and ", "pred/c_mask"});
  std::filesystem::remove(tmp / "pred/c_mask.png");
  CHECK_FALSE(std::filesystem::exists(tmp / "none"));
  for (const char* wrong : {"eval", "eval run --masks a --predictions b", "eval --masks a", "eval --predictions b",
                            "eval --masks a --predictions b --tta", "eval run --spacing 1"}) {
    INFO(wrong);
    CHECK(run(wrong).status == 2);
  }
}

TEST_CASE("scores: eval writes a table beside its JSON, with mm if the spacing is given", "[scores]") {
  const Workplace w;
  REQUIRE(run(w.train("train.iterations=2 train.val_every=2 train.checkpoint_every=2", "run")).status == 0);
  for (const char* variant : {"", "_tta"}) {
    const Result r = run("eval " + w.tmp / "run" + " --panels 0 --spacing 0.5,0.5" + (*variant ? " --tta" : ""));
    INFO(r.err);
    REQUIRE(r.status == 0);
    const std::string stem = w.tmp / "run/eval_test" + variant;
    const auto json = nlohmann::json::parse(read_file(stem + ".json"));
    std::string expected =
        csv_row({"name", "dice", "iou", "precision", "recall", "hd95", "surface_dice", "hd95_mm", "surface_dice_mm"});
    for (const auto& image : json["per_image"]) {
      std::vector<std::string> row = {image["name"]};
      for (const char* key :
           {"dice", "iou", "precision", "recall", "hd95", "surface_dice", "hd95_mm", "surface_dice_mm"})
        row.push_back(csv_number(image[key]));
      CHECK(image["hd95_mm"].get<double>() == Approx(image["hd95"].get<double>() / 2));
      expected += csv_row(row);
    }
    CHECK(read_file(stem + ".csv") == expected);
  }
}

TEST_CASE("scores: split writes folds that train reads, and a patient in two lists is refused", "[scores]") {
  const Workplace w;
  const std::string split = "split " + w.data + " --folds 4 --seed 3";
  const Result r = run(split);
  INFO(r.err);
  REQUIRE(r.status == 0);
  CHECK(has(r.out, "folds/1 to"));
  check_error(split, {"folds/1/train.txt: exists already, and 11 more"});
  const std::string before = read_file(w.data + "/folds/2/test.txt");
  REQUIRE(run(split + " --force").status == 0);
  CHECK(read_file(w.data + "/folds/2/test.txt") == before);
  check_error("split " + w.data + " --folds 3 --force", {"folds/4: is a fold of another division"});
  CHECK(read_file(w.data + "/folds/2/test.txt") == before);
  const std::string few = " train.iterations=2 train.val_every=2 train.checkpoint_every=2 data.lists=folds/2";
  const Result trained = run(w.train(few, "run"));
  INFO(trained.err);
  CHECK(trained.status == 0);
  CHECK(run("eval " + w.tmp / "run --panels 0").status == 0);
  const auto json = nlohmann::json::parse(read_file(w.tmp / "run/eval_test.json"));
  CHECK(has(before, json["per_image"][0]["name"].get<std::string>() + "\n"));

  check_error(w.train(few + " 'data.group=^(.)'", "bad"), {"is of the group", "expected each group in one split"});
  check_error(w.train(few + " 'data.group=('", "bad"), {"data.group", "expected a regular expression"});
  check_error("split " + w.data + " --group '^(.)' --out " + w.tmp / "f", {"are too few for 5 folds"});
  check_error("split " + w.tmp / "nowhere", {"nowhere/images: cannot read the folder"});
  CHECK(run("split " + w.data + " --group '('").status == 2);
  CHECK(run("split " + w.data + " --folds 1").status == 2);
  CHECK_FALSE(std::filesystem::exists(w.tmp / "f"));
}
