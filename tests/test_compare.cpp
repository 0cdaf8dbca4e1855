// `gradtrack compare` and `gradtrack ablate`, end to end on tiny synthetic data.
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/io.h"
#include "core/safetensors.h"
#include "gaze/image.h"
#include "tests/program.h"

using namespace gt;

namespace {

using Json = nlohmann::ordered_json;

/// Arguments of a comparison of two recipes with two seeds, in a folder of this name.
std::string compare(const Workplace& w, const std::string& out, const std::string& more = "") {
  return "compare " + w.config + " data.root=" + w.data +
         " threads=1 data.published=kvasir-seg optimizer.kind=adamw optimizer.lr=0.01 --recipes gradtrack,full --seeds "
         "2 --out " +
         w.tmp / out + " " + more;
}

/// compare.json with the path of its folder replaced by OUT.
std::string outcome(const Workplace& w, const std::string& out) {
  std::string json = read_file(w.tmp / out + "/compare.json");
  const std::string folder = w.tmp / out;
  for (size_t at = 0; (at = json.find(folder, at)) != std::string::npos;) json.replace(at, folder.size(), "OUT");
  return json;
}

bool exists(const std::string& path) { return std::filesystem::exists(path); }

}  // namespace

TEST_CASE("compare: every recipe is trained with every seed, and scores and differences are reported", "[compare]") {
  const Workplace w;
  const Result r = run(compare(w, "cmp"));
  INFO(r.err);
  REQUIRE(r.status == 0);
  for (const char* part : {"trained on SIMULATED gaze: gradtrack\n", "2 of 2", "0.8101 +- 0.0066", "gradtrack - full"})
    CHECK(has(r.out, part));

  const Json json = Json::parse(outcome(w, "cmp"));
  for (const char* figure : {"difference_in_dice", "validation_dice", "segmentation_loss"})
    CHECK(has(read_file(w.tmp / "cmp/figures/" + figure + ".svg"), "SIMULATED GAZE"));
  CHECK(json["simulated_gaze"] == true);
  CHECK(json["images"].size() == 4);
  REQUIRE(json["arms"].size() == 2);
  const Json &track = json["arms"][0], &full = json["arms"][1];
  CHECK(track["name"] == "gradtrack");
  CHECK(track["overrides"] == Json({"recipe=gradtrack"}));
  CHECK(track["simulated_gaze"] == true);
  CHECK(full["simulated_gaze"] == false);
  CHECK(track["published_dice"]["mean"] == 0.8101);
  std::vector<double> difference(4);
  for (size_t i = 0; i < 2; ++i) {
    const Json &a = track["runs"][i], &b = full["runs"][i];
    CHECK(a["seed"] == i + 1);
    CHECK(has(a["command"], str_cat("recipe=gradtrack seed=", i + 1, " --out OUT/gradtrack/seed")));
    const Json eval = Json::parse(read_file(w.tmp / str_cat("cmp/gradtrack/seed", i + 1, "/eval_test.json")));
    CHECK(a["dice"] == eval["dice"]["mean"]);
    for (size_t k = 0; k < 4; ++k) {
      CHECK(a["per_image"]["dice"][k] == eval["per_image"][k]["dice"]);
      difference[k] += (a["per_image"]["dice"][k].get<double>() - b["per_image"]["dice"][k].get<double>()) / 2;
    }
  }
  const double one = track["runs"][0]["dice"], two = track["runs"][1]["dice"];
  CHECK(track["dice"]["mean"].get<double>() == Approx((one + two) / 2));
  CHECK(track["dice"]["std"].get<double>() == Approx(std::fabs(one - two) / std::sqrt(2.0)));
  REQUIRE(json["differences"].size() == 1);
  const Json& d = json["differences"][0];
  CHECK(d["arm"] == "gradtrack");
  CHECK(d["minus"] == "full");
  double mean = 0;
  for (const double x : difference) mean += x / 4;
  CHECK(d["dice"]["mean"].get<double>() == Approx(mean));
  CHECK(d["dice"]["low"].get<double>() <= mean);
  CHECK(d["dice"]["high"].get<double>() >= mean);
  CHECK(d["hd95"]["p"].get<double>() > 0);

  const std::string page = read_file(w.tmp / "cmp/report.html");
  for (const char* part :
       {"<title>[SIMULATED GAZE] tiny: 2 arms compared - GradTrack</title>", "Difference in Dice", "Validation Dice",
        "Predictions of every arm", "href=\"full/seed2/report.html\"", "gradtrack \u2212 full"}) {
    INFO(part);
    CHECK(has(page, part));
  }
  CHECK_FALSE(has(page, "Degraded gaze"));
  size_t pictures = 0;
  for (const auto& file : std::filesystem::directory_iterator(w.tmp / "cmp/cases")) {
    CHECK(read_image(file.path().string(), 3).width == 4 * 256 + 3 * 6);  // image, label, two predictions
    ++pictures;
  }
  CHECK(pictures >= 3);
  const std::string csv = read_file(w.tmp / "cmp/scores.csv"), tex = read_file(w.tmp / "cmp/table.tex");
  CHECK(csv.starts_with(
      "arm,seed,image,dice,iou,precision,recall,hd95,surface_dice,hd95_mm,surface_dice_mm\ngradtrack,1,"));
  CHECK(std::count(csv.begin(), csv.end(), '\n') == 1 + 2 * 2 * 4);
  CHECK(has(csv, str_cat("\ngradtrack,2,", json["images"][0].get<std::string>(), ",",
                         track["runs"][1]["per_image"]["dice"][0].dump(), ",")));
  for (const char* part : {"\\begin{tabular}", "gradtrack $-$ full & $", "Surface Dice", " \\pm "})
    CHECK(has(tex, part));
  CHECK(d["dice"]["seeds"].size() == 2);
  CHECK(exists(w.tmp / "cmp/full/seed2/report.html"));

  const std::string log = read_file(w.tmp / "cmp/full/seed2/log.txt"), before = outcome(w, "cmp");
  REQUIRE(run(compare(w, "cmp")).status == 0);  // everything is done already
  CHECK(read_file(w.tmp / "cmp/full/seed2/log.txt") == log);
  CHECK(outcome(w, "cmp") == before);

  REQUIRE(run(compare(w, "two", "--jobs 2")).status == 0);
  CHECK(outcome(w, "two") == before);

  // An evaluation of an older version, without HD95.
  const std::string path = w.tmp / "two/full/seed1/eval_test.json";
  Json eval = Json::parse(read_file(path));
  eval.erase("hd95");
  for (Json& image : eval["per_image"]) image.erase("hd95");
  write(path, eval.dump());
  const Result old = run(compare(w, "two"));
  INFO(old.err);
  REQUIRE(old.status == 0);
  CHECK_FALSE(has(old.err, "full/seed1: eval"));
  const Json without = Json::parse(outcome(w, "two"));
  CHECK(without["arms"][0] == json["arms"][0]);
  CHECK_FALSE(without["arms"][1].contains("hd95"));
  CHECK_FALSE(without["differences"][0].contains("hd95"));
  CHECK(without["differences"][0]["dice"] == json["differences"][0]["dice"]);
  CHECK(has(read_file(w.tmp / "two/report.html"), "<td><span class=\"quiet\">\u2013</span></td>"));
}

TEST_CASE("compare: an interrupted or killed comparison continues to the results of an uninterrupted one",
          "[compare]") {
  const Workplace w;
  const std::string longer = "--jobs 2 train.iterations=200";
  REQUIRE(run(compare(w, "whole", longer)).status == 0);
  const std::string output = w.tmp / "output.txt";
  for (const int signal : {SIGINT, SIGKILL, SIGINT}) {
    std::filesystem::remove(output);
    const pid_t child = fork();
    if (child == 0) {
      const std::string command =
          "exec " + std::string(GT_PROGRAM) + " " + compare(w, "interrupted", longer) + " >" + output + " 2>&1";
      execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      _exit(127);
    }
    const auto trains = [&] {  // on a busy machine a run may begin long after it is announced
      return exists(output) && has(read_file(output), "train") &&
             exists(w.tmp / "interrupted/gradtrack/seed1/config.yaml");
    };
    for (int i = 0; i < 600 && !trains(); ++i) usleep(50'000);
    usleep(200'000);
    kill(child, signal);
    int status = 0;
    waitpid(child, &status, 0);
    INFO(read_file(output));
    if (signal == SIGINT) {
      CHECK(WEXITSTATUS(status) == 1);
      CHECK(has(read_file(output), "interrupted; all runs are saved, continue with: gradtrack compare"));
    }
    // The trainings of a killed comparison save their runs and end. The folder is locked until then.
    const std::string at_work = "(gradtrack compare or a command that it started) is at work in it";
    Result locked = {1, "", at_work};
    for (int i = 0; i < 600 && has(locked.err, at_work); ++i) {
      usleep(50'000);
      locked = run(compare(w, "interrupted", "train.iterations=200 optimizer.lr=0.5"));
    }
    CHECK(has(locked.err, "holds a run of another configuration"));
  }
  REQUIRE(run(compare(w, "interrupted", longer)).status == 0);
  CHECK(outcome(w, "interrupted") == outcome(w, "whole"));
}

TEST_CASE("compare: runs that train made are used, and runs of another configuration are refused", "[compare]") {
  const Workplace w;
  const std::string seed = "cmp/full/seed1";
  REQUIRE(run(w.train("recipe=full seed=1 threads=1 train.checkpoint_every=20", seed)).status == 0);
  const std::string metrics = read_file(w.tmp / seed + "/metrics.jsonl");
  const std::string full =
      "compare " + w.config + " data.root=" + w.data + " threads=1 --recipes full --out " + w.tmp / "cmp ";
  check_error(full + "--seeds 1 optimizer.lr=0.02",
              {"cmp/full/seed1: holds a run of another configuration", "optimizer.lr: 0.01 there, 0.02 here"});
  CHECK_FALSE(exists(w.tmp / "cmp/compare.json"));
  const Result r = run(full + "--seeds 1");
  INFO(r.err);
  REQUIRE(r.status == 0);
  CHECK(has(r.err, "full/seed1: eval"));
  CHECK_FALSE(has(r.err, "full/seed1: train"));
  CHECK(read_file(w.tmp / seed + "/metrics.jsonl") == metrics);

  const Result val = run(full + "--seeds 1 --split val");
  CHECK(has(val.err, "full/seed1: eval"));
  CHECK(has(val.out, " on val "));
  for (const char* split : {"test", "val"}) CHECK(exists(w.tmp / seed + "/eval_" + split + ".json"));

  // A folder without a checkpoint, made by a version with fewer keys.
  write(w.tmp / "cmp/full/seed2/config.yaml", tiny_yaml + std::string("recipe: full\nseed: 2\n"));
  check_error(full + "--seeds 2", {"cmp/full/seed2: holds a run of another configuration", "data.root"});
}

TEST_CASE("compare: a run that fails does not stop the others", "[compare]") {
  const Workplace w;
  const Result r = run(compare(w, "cmp", "--jobs 2 data.gaze=none.csv"));
  CHECK(r.status == 1);
  CHECK(has(r.err, "gradtrack/seed1 failed: exit 1: gradtrack: "));
  CHECK(has(r.err, "none.csv"));
  CHECK(has(r.err, "cmp/gradtrack/seed2/log.txt"));
  CHECK(has(r.err, "2 of 4 runs failed"));
  CHECK(has(r.out, "0 of 2"));
  CHECK(has(r.out, "2 of 2"));
  const Json json = Json::parse(outcome(w, "cmp"));
  CHECK(json["failures"].size() == 2);
  CHECK(json["differences"].empty());
  CHECK(json["arms"][1]["dice"]["mean"].is_number());
}

TEST_CASE("compare: a run whose best network is untrained is left out and said so", "[compare]") {
  const Workplace w;
  const Result r =
      run("compare " + w.config + " data.root=" + w.data +
          " optimizer.lr=0 optimizer.lr_end=0 train.iterations=20 --recipes full --seeds 1 --out " + w.tmp / "cmp");
  INFO(r.out << r.err);
  CHECK(r.status == 0);
  CHECK(has(r.err, "warning: full/seed1 is left out: its best checkpoint is the untrained network"));
  CHECK(has(r.out, "0 of 1"));
  CHECK(Json::parse(read_file(w.tmp / "cmp/compare.json"))["left_out"][0]["run"] == "full/seed1");
}

TEST_CASE("compare: --degrade also trains the recipes that use gaze on degraded gaze", "[compare]") {
  const Workplace w;
  const Result r =
      run("compare " + w.config + " data.root=" + w.data + " threads=1 train.iterations=2 --recipes full,gradtrack" +
          " --degrade --seeds 1 optimizer.kind=adamw optimizer.lr=0.01 --out " + w.tmp / "cmp");
  INFO(r.err);
  REQUIRE(r.status == 0);
  CHECK(has(r.out, "gradtrack-noise10 - gradtrack "));
  CHECK_FALSE(has(r.out, "full-noise"));
  const std::string page = read_file(w.tmp / "cmp/report.html");
  for (const char* part : {"Dice after training on degraded gaze", "original gaze", "noise 10 %", "half lost"})
    CHECK(has(page, part));
  const auto weights = [&](const std::string& arm) {
    return read_safetensors(w.tmp / str_cat("cmp/", arm, "/seed1/last.safetensors")).tensors[0].second.values<float>();
  };
  CHECK(weights("gradtrack-drop50") != weights("gradtrack"));
}

TEST_CASE("ablate: variants are compared with the unchanged configuration", "[compare]") {
  const Workplace w;
  const std::string command =
      "ablate " + w.config + " data.root=" + w.data + " optimizer.kind=adamw optimizer.lr=0.01" +
      " threads=1 --axis maps.mix=0.5,1 --axis 'maps.keep=[1,1,1,1]' --arm 'late: maps.keep_end=first maps.mix=0' " +
      "--seeds 1 --split val --out " + w.tmp / "abl";
  const Result r = run(command);
  INFO(r.err);
  REQUIRE(r.status == 0);
  for (const char* part : {"base", "maps.mix=1 - base", "maps.keep=1_1_1_1 - base", "late - base", "1 of 1"})
    CHECK(has(r.out, part));
  CHECK_FALSE(has(r.out, "maps.mix=0.5"));
  CHECK(exists(w.tmp / "abl/maps.keep=1_1_1_1/seed1/best.safetensors"));
  CHECK(run("ablate " + w.config).status == 2);
  check_error("ablate " + w.config + " --axis maps.mix", {"--axis 'maps.mix'"});
  check_error("ablate " + w.config + " --arm late", {"--arm 'late'"});
}
