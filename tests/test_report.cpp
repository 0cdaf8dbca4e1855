// `gradtrack report`, end to end on run folders made here.
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/catch.h"
#include "tests/temp_folder.h"
#include "tests/xml.h"

using namespace gt;

namespace {

using Json = nlohmann::ordered_json;

const std::string png("\x89PNG\r\n\x1a\nfoobar", 14);

struct Result {
  int status;
  std::string out, err;
};

Result report(const TempFolder& folder, const std::string& arguments) {
  const std::string command = str_cat("cd ", folder.path(), " && ", GT_PROGRAM, " report ", arguments, " >out 2>err");
  const int status = std::system(command.c_str());
  return {WEXITSTATUS(status), read_file(folder / "out"), read_file(folder / "err")};
}

Json both(double mean, double std) { return {{"mean", mean}, {"std", std}}; }

Json scores(double dice) {
  return {{"dice", dice}, {"iou", 0.5}, {"precision", 0.75}, {"recall", 0.625}, {"hd95", 12.34}};
}

Json evaluation(double dice, const std::string& gaze) {
  Json e = {{"split", "test"}, {"images", 3}, {"recipe", "gradtrack"}, {"gaze", gaze}};
  const Json means = scores(dice);
  for (const auto& [key, value] : means.items()) e[key] = both(value, 0.1);
  e["per_image"] = Json::array();
  for (const char* rank : {"best", "median", "worst"}) {
    Json image = scores(dice);
    image["name"] = str_cat("image_", rank);
    image["rank"] = rank;
    image["panel"] = str_cat("panels/image_", rank, ".png");
    e["per_image"].push_back(image);
  }
  return e;
}

std::string log_of(const std::string& gaze) {
  return Json({{"run", {{"recipe", "gradtrack"}, {"parameters", 1234567}, {"gaze", gaze}}}}).dump() +
         "\n"
         R"({"iteration":20,"lr":0.01,"loss":1.5,"seg":0.7,"track":[0.6,0.2],"images_per_s":35.1,"seconds":4.5})"
         "\n"
         R"({"iteration":40,"lr":0.005,"loss":1.25,"seg":0.5,"track":[0.5,0.25],"images_per_s":36,"seconds":9})"
         "\n"
         R"({"iteration":40,"val":{"dice":0.7125,"iou":0.6},"seconds":7200})"
         "\n";
}

/// Makes the folder of a run with log, evaluation and pictures.
void make_run(const std::string& path, double dice, const std::string& gaze) {
  write(path + "/config.yaml", "recipe: \"gradtrack\"  # <b>&\n");
  write(path + "/metrics.jsonl", log_of(gaze));
  write(path + "/eval.json", evaluation(dice, gaze).dump());
  for (const char* rank : {"best", "median", "worst"}) write(path + "/panels/image_" + rank + ".png", png);
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

}  // namespace

TEST_CASE("report: a run is shown on one page that loads no other files", "[report]") {
  const TempFolder folder;
  make_run(folder / "one", 0.8125, "recorded");
  const Result r = report(folder, "one");
  INFO(r.err);
  REQUIRE(r.status == 0);
  CHECK(r.out == "written: one/report.html\n");
  const std::string page = read_file(folder / "one/report.html");
  CHECK(page.starts_with("<!DOCTYPE html>"));
  CHECK(has(page, "<title>one - GradTrack</title>"));
  CHECK(has(page, "Dice 0.812 <small>\u00b1 0.100"));  // the half that is nearest to even
  CHECK(has(page, "recorded gaze"));
  CHECK_FALSE(has(page, "Simulated gaze"));
  for (const char* chart : {"Training loss", "Track loss", "Validation Dice", "Learning rate", "one dot per image"})
    CHECK(has(page, chart));
  CHECK(has(page, "1,234,567"));
  CHECK(has(page, "2 h 0 min"));
  CHECK(count(page, "data:image/png;base64,iVBORw0KGgpmb29iYXI=") == 3);
  CHECK(has(page, "image_worst"));
  CHECK(has(page, "HD95 12.3 px"));
  CHECK(has(page, "&lt;b&gt;&amp;"));
  CHECK_FALSE(has(page, "<b>&"));
  for (const char* foreign : {"http:", "https:", "<link", "<script", "url(", "src=\"panels"})
    CHECK_FALSE(has(page, foreign));
  for (const char* tag : {"div", "figure", "table", "tr", "td", "svg", "g", "section", "details", "p", "span", "small"})
    CHECK(count(page, str_cat("<", tag, ">")) + count(page, str_cat("<", tag, " ")) ==
          count(page, str_cat("</", tag, ">")));
}

TEST_CASE("report: charts are written as SVG files that stand alone", "[report]") {
  const TempFolder folder;
  make_run(folder / "one", 0.8125, "simulated");
  const Result r = report(folder, "one --figures figs");
  INFO(r.err);
  REQUIRE(r.status == 0);
  CHECK(has(r.out, "figures in figs"));
  for (const char* name : {"training_loss", "track_loss", "validation_dice", "learning_rate", "dice_of_images"}) {
    const std::string svg = read_file(folder / str_cat("figs/", name, ".svg"));
    INFO(name);
    CHECK(xml_error(svg) == "");
    CHECK(has(svg, "SIMULATED GAZE"));
    CHECK_FALSE(has(svg, "var("));
    CHECK(count(svg, "http") == 1);  // the name space
    CHECK(has(svg, std::string_view(name) == "dice_of_images" ? ">Dice</text>" : ">iteration</text>"));
  }
  CHECK(has(read_file(folder / "figs/validation_dice.svg"), ">Dice</text>"));
  CHECK(report(folder, "one --figures figs").status == 0);  // figures are replaced
  write(folder / "figs/learning_rate.svg", "<svg>mine</svg>");
  CHECK(has(report(folder, "one --figures figs").err, "learning_rate.svg: exists already and is no figure"));
  CHECK(read_file(folder / "figs/learning_rate.svg") == "<svg>mine</svg>");
  CHECK(report(folder, "one --figures figs --force").status == 0);
  if (std::system("python3 -c 'import xml.etree' 2>/dev/null") != 0) return;
  CHECK(std::system(str_cat("cd ", folder.path(),
                            " && python3 -c 'import glob, xml.etree.ElementTree as e; "
                            "[e.parse(f) for f in glob.glob(\"figs/*.svg\")]'")
                        .c_str()) == 0);
}

TEST_CASE("report: simulated gaze is shown in title, header and tables", "[report]") {
  const TempFolder folder;
  make_run(folder / "a", 0.7, "simulated");
  make_run(folder / "b", 0.9, "recorded");
  REQUIRE(report(folder, "a").status == 0);
  const std::string page = read_file(folder / "a/report.html");
  CHECK(has(page, "<title>[SIMULATED GAZE] a - GradTrack</title>"));
  CHECK(has(page, "<div class=\"warning\"><strong>Simulated gaze</strong>"));
  CHECK(count(page, "badge simulated") >= 3);  // statement, table, facts

  REQUIRE(report(folder, "a b --out both.html").status == 0);
  const std::string two = read_file(folder / "both.html");
  CHECK(has(two, "<title>[SIMULATED GAZE] 2 runs compared - GradTrack</title>"));
  CHECK(has(two, "<strong>Simulated gaze</strong>a: "));

  // Only the log says so.
  Json eval = evaluation(0.7, "");
  eval.erase("gaze");
  write(folder / "a/eval.json", eval.dump());
  REQUIRE(report(folder, "a").status == 0);
  CHECK(has(read_file(folder / "a/report.html"), "[SIMULATED GAZE]"));
}

TEST_CASE("report: the best mean of each column is bold, unless the runs have different images", "[report]") {
  const TempFolder folder;
  make_run(folder / "a", 0.7, "recorded");
  make_run(folder / "b", 0.9, "recorded");
  make_run(folder / "deep/a", 0.8, "recorded");
  const Result r = report(folder, "a b deep/a");
  INFO(r.err);
  REQUIRE(r.status == 0);
  CHECK(r.out == "written: report.html\n");
  const std::string page = read_file(folder / "report.html");
  CHECK(has(page, "<b>0.900</b>"));
  CHECK_FALSE(has(page, "<b>0.700</b>"));
  CHECK(has(page, "deep/a"));  // runs of one name are called by their folders

  Json other = evaluation(0.95, "recorded");
  other["split"] = "val";
  write(folder / "a/eval.json", other.dump());
  REQUIRE(report(folder, "a b").status == 0);
  CHECK_FALSE(has(read_file(folder / "report.html"), "<b>0.9"));  // evaluated on different images
  CHECK(has(read_file(folder / "report.html"), "different images"));
}

TEST_CASE("report: a missing evaluation, log or picture is reported on the page", "[report]") {
  const TempFolder folder;
  write(folder / "r/config.yaml", "");
  REQUIRE(report(folder, "r").status == 0);
  const std::string bare = read_file(folder / "r/report.html");
  CHECK(has(bare, "Not evaluated yet"));
  CHECK(has(bare, "no training log (metrics.jsonl) yet"));

  make_run(folder / "r", 0.7, "none");
  std::filesystem::remove(folder / "r/panels/image_best.png");
  write(folder / "r/metrics.jsonl", log_of("none") + R"({"iteration":60,"lr":0.)");  // killed while writing
  REQUIRE(report(folder, "r").status == 0);
  const std::string page = read_file(folder / "r/report.html");
  CHECK(has(page, "The picture is missing: r/panels/image_best.png"));
  CHECK(count(page, "<img ") == 2);
  CHECK(has(page, "masks, no gaze"));

  Json eval = evaluation(0.7, "none");
  for (Json& image : eval["per_image"]) image.erase("panel");
  write(folder / "r/eval.json", eval.dump());
  REQUIRE(report(folder, "r").status == 0);
  CHECK(has(read_file(folder / "r/report.html"), "wrote no pictures"));
}

TEST_CASE("report: an evaluation without a newer metric shows a dash", "[report]") {
  const TempFolder folder;
  make_run(folder / "new", 0.9, "recorded");
  make_run(folder / "old", 0.7, "recorded");
  Json eval = evaluation(0.7, "recorded");
  eval.erase("iou");
  for (Json& image : eval["per_image"]) image.erase("iou");
  write(folder / "old/eval.json", eval.dump());
  for (const char* runs : {"old", "new old"}) {
    const Result r = report(folder, str_cat(runs, " --out page.html"));
    INFO(r.err);
    REQUIRE(r.status == 0);
    const std::string page = read_file(folder / "page.html");
    CHECK(count(page, "<td><span class=\"quiet\">\u2013</span></td>") >= 4);  // the mean and three images
    CHECK(has(page, "Precision 0.750"));
  }
}

TEST_CASE("report: the error for a damaged file is one line with file and line", "[report]") {
  const TempFolder folder;
  make_run(folder / "r", 0.7, "recorded");
  const auto error = [&](const std::string& arguments) {
    const Result r = report(folder, arguments);
    CHECK(r.status == 1);
    CHECK(std::count(r.err.begin(), r.err.end(), '\n') == 1);
    return r.err;
  };
  CHECK(error("none") == "gradtrack: none: expected the folder of a run, found no such folder\n");
  CHECK(error("r/panels") == "gradtrack: r/panels: expected the folder of a run, found no config.yaml in it\n");
  CHECK(has(error("r none"), "none: expected the folder of a run"));
  CHECK(has(error("r --out none/at/all.html"), "none/at/all.html: cannot write: No such file"));
  CHECK(report(folder, "").status == 2);

  const std::string log = log_of("recorded");
  for (const char* line :
       {"garbage", "[1]", "{\"iteration\":", "{}", "{\"run\":1}", "{\"iteration\":\"x\",\"seconds\":1}",
        "{\"iteration\":60,\"seconds\":1}", "{\"iteration\":60,\"val\":{},\"seconds\":1}",
        R"({"iteration":60,"lr":1,"loss":1,"seg":1,"track":["x"],"images_per_s":1,"seconds":1})"}) {
    write(folder / "r/metrics.jsonl", log + line + "\n");
    CHECK(has(error("r"), "r/metrics.jsonl:5: "));
  }
  write(folder / "r/metrics.jsonl", log);

  const Json good = evaluation(0.7, "recorded");
  for (const char* key : {"split", "images", "dice", "hd95", "per_image"}) {
    Json eval = good;
    eval[key] = nullptr;
    write(folder / "r/eval.json", eval.dump());
    CHECK(has(error("r"), str_cat("r/eval.json: expected ")));
  }
  Json eval = good;
  eval["per_image"][1].erase("dice");
  write(folder / "r/eval.json", eval.dump());
  CHECK(has(error("r"), "r/eval.json: per_image 2: expected a number under 'dice'"));
  write(folder / "r/eval.json", "{\"split\":");
  CHECK(has(error("r"), "r/eval.json: expected a JSON object"));
  write(folder / "r/eval.json", good.dump());
  write(folder / "r/panels/image_best.png", "GIF89a");
  CHECK(has(error("r"), "r/panels/image_best.png: not a PNG picture"));
}
