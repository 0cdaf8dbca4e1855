// The program end to end: its commands, error lines and exit codes, and runs that are killed.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/device.h"
#include "core/io.h"
#include "core/random.h"
#include "gaze/fixation.h"
#include "gaze/image.h"
#include "tests/catch.h"
#include "tests/metrics_of.h"
#include "tests/program.h"

using namespace gt;

TEST_CASE("cli: fixations converts an eye tracker's export, and maps reads the export", "[cli]") {
  const TempFolder tmp;
  const std::string report = tmp / "report.txt", shown = " --screen 1920x1080 --image-size 768x768";
  write(report,
        "TRIAL_INDEX\tIMAGE\tCURRENT_FIX_INDEX\tCURRENT_FIX_X\tCURRENT_FIX_Y\tCURRENT_FIX_START\t"
        "CURRENT_FIX_DURATION\r\n1\ta.jpg\t1\t960\t540\t7\t256\r\n1\ta.jpg\t2\t576\t924\t300\t200\r\n"
        "1\ta.jpg\t3\t0\t0\t600\t200\r\n");
  const Result r = run("fixations " + report + shown + " --out " + tmp / "gaze.csv");
  INFO(r.err);
  REQUIRE(r.status == 0);
  CHECK(read_file(tmp / "gaze.csv") ==
        "IMAGE,CURRENT_FIX_INDEX,CURRENT_FIX_X,CURRENT_FIX_Y,CURRENT_FIX_DURATION,CURRENT_FIX_START,IMAGE_HEIGHT,"
        "IMAGE_WIDTH\na,1,0.5,0.5,256,7,0,0\na,2,0,1,200,300,0,0\n");
  for (const char* part : {"format                 eyelink", "fixations              2", "1 lost, at (0, 0)"})
    CHECK(has(r.out, part));
  write_png(tmp / "a.png", Image(60, 60, 3, 99));
  CHECK(run("maps --gaze " + report + shown + " --image " + tmp / "a.png" + " --out " + tmp / "maps").status == 0);

  check_error("fixations " + report + " --out " + tmp / "g.csv",
              {"report.txt:2: column CURRENT_FIX_X is in pixels of the screen", "--image-rect"});
  check_error("fixations " + report + " --image-size 5x5 --out " + tmp / "g.csv",
              {"report.txt: --image-size: expected --screen WxH too"});
  const auto usage = [&](const std::string& options, const std::string& message) {
    const Result bad = run("fixations " + report + " --out " + tmp / "g.csv " + options);
    INFO(options << ": " << bad.err);
    CHECK(bad.status == 2);
    CHECK(has(bad.err, message));
  };
  usage("--screen 1920", "expected WIDTHxHEIGHT in pixels");
  usage("--screen 1920x-5", "expected WIDTHxHEIGHT in pixels");
  usage("--image-rect 1,2,3", "expected X,Y,WIDTH,HEIGHT in pixels");
  usage("--image-rect 1,2,3,4,5", "expected X,Y,WIDTH,HEIGHT in pixels");
  usage("--format smi", "--format");
  usage("--detect idt", "expected --screen-mm and --distance for a threshold in degrees, or --dispersion in pixels");
  usage("--velocity 30", "--detect");
  CHECK(!std::filesystem::exists(tmp / "g.csv"));
}

TEST_CASE("cli: prepare writes a data set, or names what the download lacks", "[cli]") {
  const TempFolder tmp;
  make_folder(tmp / "raw/images");
  make_folder(tmp / "raw/masks");
  for (int i = 0; i < 6; ++i)
    for (const char* part : {"images", "masks"})
      write_png(tmp / str_cat("raw/", part, "/p", i, ".png"), Image(9, 9, 1, 255));
  const Result r = run("prepare kvasir-seg " + tmp / "raw" + " " + tmp / "out");
  INFO(r.err);
  CHECK(r.status == 0);
  CHECK(has(r.out, "4 training, 1 validation and 1 test images"));
  check_error("prepare kvasir-seg " + tmp / "raw" + " " + tmp / "out", {"exists already, expected a folder OUT"});
  check_error("prepare kvasir-seg " + tmp / "none" + " " + tmp / "new", {"none/images: cannot read the folder"});
  check_error("prepare nci-isbi " + tmp / "raw" + " " + tmp / "new", {"raw: holds no DICOM slices (.dcm)"});
  CHECK(run("prepare").status == 2);
  CHECK(run("prepare kvasir-seg a b --val 0.9").status == 2);
}

TEST_CASE("cli: train, eval, predict and report work in sequence", "[cli]") {
  const Workplace w;
  const Result trained = run(w.train("", "run"));
  INFO(trained.err);
  REQUIRE(trained.status == 0);
  CHECK(has(trained.err, "iteration 60/60"));
  CHECK(has(trained.err, "SIMULATED"));

  const Result scored = run("eval " + w.tmp / "run" + " --untrained --panels 1");
  INFO(scored.err);
  REQUIRE(scored.status == 0);
  CHECK(has(scored.out, "SIMULATED"));
  const auto result = nlohmann::json::parse(read_file(w.tmp / "run/eval_test.json"));
  CHECK(result["gaze"] == "simulated");
  CHECK(result["per_image"].size() == result["images"]);
  double sum = 0;
  int pictured = 0;
  for (const auto& image : result["per_image"]) {
    sum += image["dice"].get<double>();
    if (!image.contains("panel")) continue;
    ++pictured;
    CHECK(read_image(w.tmp / ("run/" + image["panel"].get<std::string>()), 3).width > 4 * 256);
  }
  CHECK(pictured == 3);
  CHECK(result["dice"]["mean"].get<double>() == Approx(sum / double(result["images"])));
  CHECK(result["untrained"]["dice"]["mean"].is_number());
  const std::string before = read_file(w.tmp / "run/eval_test.json");

  REQUIRE(run("eval " + w.tmp / "run" + " --tta --panels 0").status == 0);
  CHECK(nlohmann::json::parse(read_file(w.tmp / "run/eval_test_tta.json"))["split"] == "test_tta");
  CHECK(read_file(w.tmp / "run/eval_test.json") == before);

  write_png(w.tmp / "odd.png", Image(37, 53, 3, 90));
  CHECK(run("predict " + w.tmp / "run" + " " + w.tmp / "odd.png" + " --tta --out " + w.tmp / "tta").status == 0);
  const Result predicted =
      run("predict " + w.tmp / "run" + " " + w.tmp / "odd.png" + " --maps --out " + w.tmp / "masks");
  INFO(predicted.err);
  REQUIRE(predicted.status == 0);
  for (const std::string name : {"odd_mask", "odd_overlay", "odd_attention1", "odd_attention4"}) {
    const Image picture = read_image(w.tmp / ("masks/" + name + ".png"), 3);
    CHECK(picture.height == 37);
    CHECK(picture.width == 53);
  }

  const Result report = run("report " + w.tmp / "run");
  INFO(report.err);
  REQUIRE(report.status == 0);
  CHECK(has(read_file(w.tmp / "run/report.html"), "simulated"));
}

TEST_CASE("cli: train --profile writes a table and a trace, and no run", "[cli]") {
  const Workplace w;
  const Result r = run(w.train("--profile 2", "profile"));
  CHECK(r.status == 0);
  CHECK(has(r.out, "2 steps"));
  for (const char* op : {"conv2d_forward", "conv2d_weight_gradient", "splat_forward", "GFLOP/s"}) {
    INFO(op);
    CHECK(has(r.out, op));
  }
  const auto trace = nlohmann::json::parse(read_file(w.tmp / "profile/trace.json"));
  int steps = 0, ops = 0, samples = 0;
  int64_t most = 0;
  for (const auto& event : trace["traceEvents"]) {
    steps += event["name"] == "step";
    ops += event.value("cat", "") == "op";
    if (event["ph"] != "C") continue;
    CHECK(event["name"] == "bytes in tensors");
    ++samples;
    most = std::max(most, event["args"].value("conv2d_forward", int64_t(0)));
  }
  CHECK(steps == 2);
  CHECK(ops > 100);
  CHECK(samples == ops);
  CHECK(most > 4 * 2 * 32 * 32 * 4 * int64_t(sizeof(float)));  // outputs of the two layers of the finest level
  CHECK(has(r.out, "MiB in tensors on cpu at the peak"));
  CHECK(has(r.out, "from before the profile"));
  CHECK_FALSE(std::filesystem::exists(w.tmp / "profile/metrics.jsonl"));
}

TEST_CASE("cli: maps and simulate write files from files", "[cli]") {
  const Workplace w;
  const Result simulated = run("simulate --data " + w.data + " --out " + w.tmp / "again.csv" + " --seed 5");
  INFO(simulated.err);
  REQUIRE(simulated.status == 0);
  CHECK(has(read_file(w.tmp / "again.csv"), "SIMULATED"));
  CHECK(has(simulated.out, "no recorded gaze to compare with"));
  std::string first;
  for (const auto& file : std::filesystem::directory_iterator(w.data + "/images")) first = file.path().string();
  const Result maps = run("maps --gaze " + w.tmp / "again.csv" + " --image " + first + " --out " + w.tmp / "maps");
  INFO(maps.err);
  REQUIRE(maps.status == 0);
  for (const std::string name : {"track", "level1", "level4", "heat"})
    CHECK(read_image(w.tmp / ("maps/" + name + ".png"), 3).height > 0);
}

TEST_CASE("cli: simulate prints statistics of simulated gaze and of recorded gaze", "[cli]") {
  const Workplace w;
  const std::string gaze = w.data + "/gaze.csv", simulate = "simulate --data " + w.data + " --seed 5 --out ";
  // The table without the column SIMULATED and without the gaze of one image stands for recorded gaze.
  std::istringstream lines(read_file(gaze));
  std::string recorded, one_image;
  for (std::string line; std::getline(lines, line);) {
    const std::string image = line.substr(0, line.find(','));
    if (one_image.empty() && !recorded.empty()) one_image = image;
    if (image != one_image) recorded += line.substr(0, line.rfind(',')) + "\n";
  }
  write(gaze, recorded);
  const Result r = run(simulate + w.tmp / "new.csv");
  INFO(r.out << r.err);
  REQUIRE(r.status == 0);
  CHECK(has(r.out, "19 images"));
  CHECK(has(r.out, "SIMULATED  recorded"));
  CHECK(has(r.out, "SIMULATED gaze on 20 images"));
  CHECK_FALSE(has(r.out, "no recorded gaze"));
  check_error(simulate + gaze + " --force", {"gaze.csv: is read by this command"});
  CHECK(read_file(gaze) == recorded);
  write(gaze, recorded + "a,b\n");
  check_error(simulate + w.tmp / "none.csv", {"gaze.csv:429: expected 8 fields as in the header, got 2"});
  CHECK_FALSE(std::filesystem::exists(w.tmp / "none.csv"));
}

TEST_CASE("cli: pseudo writes maps, masks and panels, and scores them against the true masks", "[cli]") {
  const Workplace w;
  const Result made = run("pseudo --data " + w.data + " --out " + w.tmp / "pseudo" + " --threshold 0.5 0.3 --panels 1");
  INFO(made.err);
  REQUIRE(made.status == 0);
  CHECK(has(made.out, "SIMULATED"));
  CHECK(has(made.out, "after the CRF, at 0.3"));
  CHECK(has(made.out, "0.784 +- 0.128"));
  CHECK(has(made.out, "label, share of image"));
  CHECK(has(made.out, "Dice, area at 0.3"));
  const auto count = [&](const std::string& folder) {
    const std::filesystem::directory_iterator files(w.tmp / ("pseudo/" + folder));
    return std::distance(begin(files), end(files));
  };
  CHECK(count("map") == 14);
  CHECK(count("mask_0.5") == 14);
  CHECK(count("mask_0.3") == 14);
  CHECK(count("panels") == 1);
  const std::string name = image_name(read_lines(w.data + "/train.txt")[0].text) + ".png";
  const Image map = read_image(w.tmp / ("pseudo/map/" + name), 1);
  const Image mask = read_image(w.tmp / ("pseudo/mask_0.3/" + name), 1);
  CHECK(mask.height == 48);
  REQUIRE(map.pixels.size() == mask.pixels.size());
  int compared = 0;
  for (size_t i = 0; i < mask.pixels.size(); ++i) {
    if (map.pixels[i] == 76 || map.pixels[i] == 77) continue;  // 0.3 of 255, rounded
    CHECK((mask.pixels[i] == 255) == (map.pixels[i] > 76));
    ++compared;
  }
  CHECK(compared > 1000);

  const auto map_of_track = [&](const std::string& folder, const std::string& options) {
    const Result from_track = run("pseudo --data " + w.data + " --out " + w.tmp / folder +
                                  " --recipe gradtrack --threshold 0.6 --crf-iterations 0 --panels 0" + options);
    INFO(from_track.err);
    REQUIRE(from_track.status == 0);
    CHECK(has(from_track.out, "track map, at 0.6"));
    CHECK(!has(from_track.out, "heat map"));
    return read_image(w.tmp / (folder + "/map/" + name), 1).pixels;
  };
  const auto track_map = map_of_track("track", "");
  CHECK(track_map != map.pixels);
  CHECK(map_of_track("again", " --follow 0.4") == track_map);
  for (const std::string change : {"--follow 0", "--position-noise 0.1", "--offset 0.05", "--drop 0.5"})
    CHECK(map_of_track(change.substr(2, 4), " " + change) != track_map);

  const Result empty = run("pseudo --data " + w.data + " --out " + w.tmp / "empty" + " --threshold 1 --panels 0");
  INFO(empty.err);
  CHECK(empty.status == 0);  // every pseudo mask is empty
  CHECK(has(empty.out, "0.000  -"));

  check_error("pseudo --data " + w.data + " --teacher run --out " + w.tmp / "p1", {"--teacher", "gazemedseg"});
  check_error("pseudo --data " + w.data + " --gaze none.csv --out " + w.tmp / "p2", {"none.csv", "cannot open"});
}

TEST_CASE("cli: GazeMedSeg trains, is evaluated, predicts and is reported", "[cli]") {
  const Workplace w;
  const Result trained = run(w.train("recipe=gazemedseg train.iterations=8", "run"));
  INFO(trained.err);
  REQUIRE(trained.status == 0);
  CHECK(has(trained.err, "pseudo masks: 2"));
  CHECK(has(run("eval " + w.tmp / "run").out, "gazemedseg"));
  write_png(w.tmp / "odd.png", Image(37, 53, 3, 90));
  CHECK(run("predict " + w.tmp / "run" + " " + w.tmp / "odd.png" + " --out " + w.tmp / "masks").status == 0);
  CHECK(run("report " + w.tmp / "run").status == 0);
  check_error("predict " + w.tmp / "run" + " " + w.tmp / "odd.png" + " --maps --out " + w.tmp / "masks",
              {"gazemedseg"});
}

TEST_CASE("cli: a run that is killed and resumed gives the metrics of an uninterrupted one", "[cli]") {
  const Workplace w;
  const std::string longer = "train.iterations=300";
  const auto start = std::chrono::steady_clock::now();
  REQUIRE(run(w.train(longer, "whole")).status == 0);
  const double microseconds =
      std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
  const std::string expected = metrics_of(w.tmp / "whole");
  Random random(1);
  const std::string command =
      std::string("exec ") + GT_PROGRAM + " " + w.train(longer, "killed") + " --resume >/dev/null 2>&1";
  int killed = 0;
  for (int i = 0; i < 10; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      _exit(127);
    }
    usleep(useconds_t(random.uniform(0.02, 0.3) * microseconds));
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    killed += WIFSIGNALED(status);
  }
  CHECK(killed > 0);
  const Result last = run(w.train(longer, "killed") + " --resume");
  INFO(last.err);
  REQUIRE(last.status == 0);
  CHECK(metrics_of(w.tmp / "killed") == expected);
  CHECK(read_file(w.tmp / "killed/best.safetensors") == read_file(w.tmp / "whole/best.safetensors"));
  for (const auto& file : std::filesystem::directory_iterator(w.tmp / "killed"))
    CHECK_FALSE(has(file.path().string(), ".tmp"));
}

TEST_CASE("cli: the help of every subcommand has an example", "[cli]") {
  std::istringstream help(run("--help").out);
  std::vector<std::string> commands;
  for (std::string line; std::getline(help, line);) {
    if (line.starts_with("Subcommands:")) commands.emplace_back();
    if (commands.empty() || !line.starts_with("  ") || line.size() < 3 || line[2] == ' ') continue;
    commands.push_back(line.substr(2, line.find(' ', 2) - 2));
  }
  CHECK(commands.size() >= 16);
  for (const std::string& command : commands) {
    if (command.empty()) continue;  // the heading
    const Result r = run(command + " --help");
    INFO(command);
    CHECK(r.status == 0);
    CHECK(has(r.out, "Example"));
    CHECK(has(r.out, "gradtrack " + command));
  }
}

TEST_CASE("cli: wrong usage exits with status 2", "[cli]") {
  CHECK(run("").status == 2);
  CHECK(run("trian").status == 2);
  CHECK(run("train").status == 2);
  CHECK(run("eval --no-such-option").status == 2);
  CHECK(run("--version").status == 0);
}

TEST_CASE("cli: info prints the state of CUDA with the reason", "[cli]") {
  const Result r = run("info");
  CHECK(r.status == 0);
  CHECK(has(r.out, "cuda"));
  CHECK(has(r.out, cuda_status().reason));
}

TEST_CASE("cli: info --plan prints memory and operations of a training step", "[cli]") {
  const std::string plan = "info --plan " GT_SOURCE_DIR "/configs/kvasir_small.yaml --device cpu ";
  const Result r = run(plan + "train.batch=64");
  CHECK(r.status == 0);
  INFO(r.err);
  for (const char* word : {"batch 64", "parameters", "activations", "peak", "backward pass", "conv2d"})
    CHECK(has(r.out, word));
  CHECK(run(plan + "train.batch=0").status == 1);
  CHECK(run("info train.batch=64").status == 2);
}

TEST_CASE("cli: gradcheck passes on the whole network and refuses an unknown op", "[cli]") {
  const Result r = run("gradcheck --op 'network, use gate'");
  INFO(r.out << r.err);
  CHECK(r.status == 0);
  CHECK(has(r.out, "1 checked, 0 failed"));
#if !GT_CUDA
  check_error("plans " GT_SOURCE_DIR "/configs/demo.yaml --gpu a100", {"built without"});
#endif
  check_error("gradcheck --op splatt", {"no such op", "did you mean 'splat'?"});
}

TEST_CASE("cli: the error for a bad configuration is one line with file, line and key", "[cli]") {
  const Workplace w;
  const std::string bad = w.tmp / "bad.yaml";
  const auto train_with = [&](const std::string& yaml) {
    write(bad, yaml);
    return "train " + bad + " data.root=" + w.data + " --out " + w.tmp / "none";
  };
  check_error(train_with("seed: 1\noptimizer:\n  lern_rate: 1\n"), {"bad.yaml:3", "optimizer.lern_rate"});
  check_error(train_with("train:\n  batch: many\n"), {"bad.yaml:2", "train.batch", "a whole number", "'many'"});
  check_error(train_with("train: [1]\n"), {"bad.yaml:1", "train", "a mapping"});
  check_error(train_with("a: [1\n"), {"bad.yaml:", "not valid YAML"});
  check_error(w.train("optimizer.lr=fast", "none"), {"command line", "optimizer.lr", "a number"});
  check_error(w.train("optimizer.rl=1", "none"), {"command line", "did you mean 'optimizer.lr'?"});
  if (cuda_status().state != CudaState::device)
    check_error(w.train("--device cuda", "none"), {"cuda", cuda_status().reason});
  check_error("train " + w.tmp / "absent.yaml", {"absent.yaml", "cannot open"});
  CHECK_FALSE(std::filesystem::exists(w.tmp / "none"));
}

TEST_CASE("cli: the error for bad data is one line, and nothing is written", "[cli]") {
  const Workplace w;
  const std::string header = read_file(w.data + "/gaze.csv").substr(0, read_file(w.data + "/gaze.csv").find('\n') + 1);
  const auto with_gaze = [&](const std::string& csv) {
    write(w.data + "/bad.csv", csv);
    return w.train("data.gaze=bad.csv", "none");
  };
  check_error(with_gaze(""), {"bad.csv"});
  check_error(with_gaze(header), {"bad.csv"});
  check_error(with_gaze(header + "a.png,1,x,0.5,200,0,48,48,1\n"), {"bad.csv:2", "CURRENT_FIX_X", "'x'"});
  check_error(with_gaze(header + "a.png,1,nan,0.5,200,0,48,48,1\n"),
              {"bad.csv: expected fixations", "1 without a position"});
  check_error(with_gaze(header + "a.png,1,0.5\n"), {"bad.csv:2"});
  check_error(w.train("data.gaze=absent.csv", "none"), {"absent.csv"});
  check_error(w.train("", "none") + " data.root=" + w.tmp / "nowhere", {"nowhere"});
  CHECK_FALSE(std::filesystem::exists(w.tmp / "none"));
}

TEST_CASE("cli: the error for a bad checkpoint, image or folder is one line", "[cli]") {
  const Workplace w;
  REQUIRE(run(w.train("train.iterations=4", "run")).status == 0);
  const std::string best = w.tmp / "run/best.safetensors", image = w.tmp / "a.png";
  write_png(image, Image(20, 20, 3, 9));
  const std::string whole = read_file(best);
  write(w.tmp / "cut.safetensors", whole.substr(0, whole.size() / 2));
  write(w.tmp / "foreign.safetensors", "not a checkpoint");
  write(w.tmp / "broken.png", read_file(image).substr(0, 40));
  check_error("eval " + w.tmp / "cut.safetensors", {"cut.safetensors"});
  check_error("eval " + w.tmp / "foreign.safetensors", {"foreign.safetensors", "not a safetensors file"});
  check_error("eval " + w.tmp / "absent.safetensors", {"absent.safetensors"});
  check_error("predict " + best + " " + w.tmp / "broken.png" + " --out " + w.tmp / "p", {"broken.png"});
  check_error("predict " + best + " " + w.tmp / "absent.png" + " --out " + w.tmp / "p", {"absent.png"});
  check_error("predict " + best + " " + image + " --out " + image + "/below", {"a.png/below"});
  check_error("predict " + best + " " + image + " " + image + " --out " + w.tmp / "p", {"same name"});
  check_error(w.train("", "a.png/run"), {"a.png"});
  check_error("report " + w.tmp / "data", {"data"});
  CHECK(read_file(best) == whole);
}

TEST_CASE("cli: a full disk damages no existing file", "[cli]") {
  const Workplace w;
  // A limit on the file size simulates the full disk.
  REQUIRE(run(w.train("train.iterations=8", "run")).status == 0);
  const std::string before = read_file(w.tmp / "run/last.safetensors");
  const std::string limited = "ulimit -f 8; trap '' XFSZ; exec " + std::string(GT_PROGRAM) + " " +
                              w.train("train.iterations=8", "other") + " >/dev/null 2>" + w.tmp / "err";
  const int status = std::system(("sh -c \"" + limited + "\"").c_str());
  CHECK(WEXITSTATUS(status) == 1);
  CHECK(has(read_file(w.tmp / "err"), "cannot write"));
  CHECK_FALSE(std::filesystem::exists(w.tmp / "other/last.safetensors"));
  for (const auto& file : std::filesystem::directory_iterator(w.tmp / "other"))
    CHECK_FALSE(has(file.path().string(), ".tmp"));
  CHECK(read_file(w.tmp / "run/last.safetensors") == before);
}

TEST_CASE("cli: near misses of commands, keys and ops get a suggestion", "[cli]") {
  const auto usage = [](const std::string& arguments, const std::string& message) {
    const Result bad = run(arguments);
    INFO(arguments << ": " << bad.err);
    CHECK(bad.status == 2);
    CHECK(has(bad.err, message));
  };
  usage("trian configs/demo.yaml", "did you mean: gradtrack train");
  usage("train configs/demo.yaml --train.batch=4", "did you mean: train.batch=4");
  const std::string demo = GT_SOURCE_DIR "/configs/demo.yaml";
  check_error("train " + demo + " lr=0.1", {"did you mean 'optimizer.lr'?"});
  check_error("train " + demo + " optimizer.momentun=0.1", {"did you mean 'optimizer.momentum'?"});
  check_error("gradcheck --op atention", {"did you mean 'attention'?"});
}

TEST_CASE("cli: commands replace files only with --force, and never their inputs", "[cli][outputs]") {
  const Workplace w;
  const std::string gaze = w.data + "/gaze.csv", before = read_file(gaze);
  check_error("simulate --data " + w.data + " --seed 5 --out " + gaze, {"gaze.csv: exists already", "--force"});
  CHECK(read_file(gaze) == before);
  CHECK(run("simulate --data " + w.data + " --seed 5 --force --out " + gaze).status == 0);
  CHECK(read_file(gaze) != before);

  check_error("fixations " + gaze + " --force --out " + gaze, {"gaze.csv: is read by this command"});
  std::filesystem::create_symlink(gaze, w.tmp / "link.csv");
  check_error("fixations " + w.tmp / "link.csv" + " --force --out " + gaze, {"is read by this command", "link.csv"});

  const std::string pseudo = "pseudo --data " + w.data + " --crf-iterations 0 --panels 0 --out " + w.tmp / "pseudo";
  CHECK(run(pseudo).status == 0);
  check_error(pseudo, {"exists already, and 41 more of the files to write"});
  CHECK(run(pseudo + " --force").status == 0);

  const std::string image = w.data + "/images/" + image_name(read_lines(w.data + "/train.txt")[0].text) + ".png";
  const std::string maps = "maps --gaze " + gaze + " --image " + image + " --out " + w.tmp / "maps";
  CHECK(run(maps).status == 0);
  check_error(maps, {"track.png: exists already, and 7 more"});
  check_error("prepare kvasir-seg " + w.data + " " + w.data, {"exists already, expected a folder OUT"});
}

TEST_CASE("cli: maps draws several images with the options of a configuration", "[cli]") {
  const Workplace w;
  std::string images;
  std::vector<std::string> names;
  for (size_t i = 0; i < 3; ++i) {
    names.push_back(image_name(read_lines(w.data + "/train.txt")[i].text));
    images += " " + w.data + "/images/" + names.back() + ".png";
  }
  const std::string maps = "maps --gaze " + w.data + "/gaze.csv --image" + images + " --out " + w.tmp / "maps";
  const Result plain = run(maps);
  INFO(plain.err);
  REQUIRE(plain.status == 0);
  CHECK(has(plain.out, "level1: "));
  for (const std::string& name : names) CHECK(std::filesystem::exists(w.tmp / ("maps/" + name + "/level4.png")));
  const Image sheet = read_image(w.tmp / "maps/overview.png", 3),
              one = read_image(w.tmp / ("maps/" + names[0] + "/full.png"), 3);
  CHECK(sheet.width > sheet.height);
  CHECK(run(maps + " --force --config " + w.config + " --set maps.mix=1 maps.gamma=0.9").status == 0);
  CHECK(read_image(w.tmp / ("maps/" + names[0] + "/full.png"), 3).pixels != one.pixels);
  const Image track = read_image(w.tmp / ("maps/" + names[0] + "/track.png"), 3);
  CHECK(run(maps + " --force --config " + w.config + " --set data.degrade.seconds=0.5").status == 0);
  CHECK(read_image(w.tmp / ("maps/" + names[0] + "/track.png"), 3).pixels != track.pixels);
  CHECK(run(maps + " --force --set maps.mix=1").status == 2);
  const std::string again = w.tmp / (names[0] + ".png");
  std::filesystem::copy(w.data + "/images/" + names[0] + ".png", again);
  check_error("maps --gaze " + w.data + "/gaze.csv --image" + images + " " + again + " --out " + w.tmp / "twice",
              {names[0] + ".png: has the same name as ", "expected images of different names"});
  write_png(again, Image(48, 24, 3, 9));
  check_error("maps --gaze " + w.data + "/gaze.csv --image " + again + " --out " + w.tmp / "twice",
              {"gaze on an image of 48x48, but ", "is 48x24: expected one shape"});
  CHECK(!std::filesystem::exists(w.tmp / "twice"));
  check_error(maps + " --force --config " + w.config + " --set maps.mixx=1", {"maps.mixx"});
}

TEST_CASE("cli: eval warns of images that were trained on, and a report replaces reports alone", "[cli][outputs]") {
  const Workplace w;
  const std::string trained = w.tmp / "run", eval = "eval " + trained + " --panels 0";
  REQUIRE(run(w.train("train.iterations=2 train.val_every=2", "run")).status == 0);
  CHECK_FALSE(has(run(eval).err, "warning"));
  const std::string name = image_name(read_lines(w.data + "/train.txt")[0].text),
                    list = read_file(w.data + "/test.txt");
  for (const char* folder : {"/images/", "/masks/"})
    std::filesystem::copy(w.data + folder + name + ".png", w.data + folder + "again.png");
  write(w.data + "/test.txt", list + "again\n");
  CHECK(has(run(eval).err, "warning: 1 picture is there twice under different names: images/" + name + ".png and"));
  write(w.data + "/test.txt", list + name + "\n");
  CHECK(has(run(eval).err, "'" + name + "' is also listed in "));

  Image zero_one(48, 48, 1);
  std::fill_n(zero_one.pixels.begin(), 500, uint8_t(1));
  write_png(w.data + "/masks/again.png", zero_one);
  write(w.data + "/test.txt", "again\n");
  CHECK(has(run(eval).err, "again.png: foreground is 1, but 255 in "));

  CHECK(run("report " + trained).status == 0);
  CHECK(run("report " + trained).status == 0);  // its own page
  const std::string mine = read_file(w.data + "/train.txt");
  check_error("report " + trained + " --out " + w.data + "/train.txt", {"train.txt: exists already and is no report"});
  CHECK(read_file(w.data + "/train.txt") == mine);

  // What is left of a run is a run.
  for (const char* file :
       {"config.yaml", "metrics.jsonl", "metrics.csv", "best.safetensors", "last.safetensors", "report.html"})
    std::filesystem::remove(trained + "/" + file);
  check_error("train " + w.config + " --out " + trained, {"holds a run already (eval_test.json)"});

  // A folder whose name is in an old encoding.
  write(w.data + "/test.txt", list);
  const std::string old = w.tmp / "caf\xe9";
  REQUIRE(run(w.train("train.iterations=2 train.val_every=2", "caf\xe9")).status == 0);
  CHECK(run("eval " + old + " --panels 0").status == 0);
  CHECK(has(read_file(old + "/eval_test.json"), "caf\\\\xe9/best.safetensors"));
}

TEST_CASE("cli: predict overwrites nothing, and a bad image does not stop the others", "[cli][outputs]") {
  const Workplace w;
  REQUIRE(run(w.train("train.iterations=2 train.val_every=2", "run")).status == 0);
  const std::string good = w.tmp / "in/good.png", bad = w.tmp / "in/bad.png", last = w.tmp / "in/last.png";
  write(bad, "no picture");
  write_png(good, Image(20, 30, 3, 50));
  write_png(last, Image(20, 30, 3, 90));
  write_png(w.tmp / "in/good_mask.png", Image(20, 30, 1, 7));  // the user's own
  const std::string command = "predict " + w.tmp / "run" + " " + good + " " + bad + " " + last + " --out ";
  check_error(command + w.tmp / "in", {"good_mask.png: exists already"});
  CHECK_FALSE(std::filesystem::exists(w.tmp / "in/last_mask.png"));
  CHECK(read_image(w.tmp / "in/good_mask.png", 1).pixels[0] == 7);

  check_error(command + w.tmp / "out", {"bad.png: is neither a JPEG nor a PNG", "(1 of 3 images failed)"});
  for (const char* name : {"good", "last"})
    CHECK(std::filesystem::exists(w.tmp / (std::string("out/") + name + "_mask.png")));
  CHECK_FALSE(std::filesystem::exists(w.tmp / "out/bad_mask.png"));
  check_error("predict " + w.tmp / "run" + " " + w.tmp / "in/good.png" + " " + w.tmp / "in/good_mask.png" +
                  " --force --out " + w.tmp / "in",
              {"good_mask.png: is read by this command"});
}
