#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/io.h"
#include "core/parallel.h"
#include "models/checkpoint.h"
#include "models/trainer.h"
#include "models/training_step.h"
#include "tests/catch.h"
#include "tests/metrics_of.h"
#include "tests/small_run.h"
#include "tests/temp_folder.h"

using namespace gt;

namespace {

std::vector<float> best_weights(const std::string& folder) {
  std::vector<float> all;
  for (const auto& [name, t] : read_safetensors(folder + "/best.safetensors").tensors) {
    const std::vector<float> v = t.values<float>();
    all.insert(all.end(), v.begin(), v.end());
  }
  return all;
}

}  // namespace

TEST_CASE("training: a batch across two epochs can hold the longest tracks twice", "[trainer]") {
  CHECK(max_fixations({5}, 1) == 5);
  CHECK(max_fixations({5}, 3) == 15);
  CHECK(max_fixations({1, 9, 4}, 1) == 9);
  CHECK(max_fixations({1, 9, 4}, 2) == 18);
  CHECK(max_fixations({1, 9, 4}, 3) == 9 + 9 + 4);
  CHECK(max_fixations({1, 9, 4}, 5) == 3 * 9 + 2 * 4);  // of three epochs
  // What the loader gives is never more.
  Dataset dataset;
  for (int i = 0; i < 14; ++i) {
    Sample sample;
    sample.image = Image(16, 16, 3);
    sample.normalisation = {{0, 0, 0}, {1, 1, 1}};
    sample.track.fixations.assign(i == 5 ? 300 : 3, {0.5, 0.5, 100, 0});
    dataset.samples.push_back(sample);
  }
  Config c;
  c.data.size = 16;
  Loader loader(dataset, c.data, c.augment, c.maps, 8, 1, 0);
  std::vector<int64_t> counts(13, 3);
  counts.push_back(300);
  int64_t most = 0;
  for (int k = 0; k < 200; ++k) most = std::max(most, loader.next().tracks.xy.dim(0));
  CHECK(most > 300 + 7 * 3);
  CHECK(most <= max_fixations(counts, 8));
}

TEST_CASE("training: a run of every recipe writes its files with complete metrics", "[trainer]") {
  const TempFolder tmp;
  for (const std::string recipe : {"gradtrack", "gazemedseg", "full"}) {
    const std::string run = tmp / recipe;
    const Config c = small_run(recipe);
    CHECK(train(c, run));
    CHECK(read_file(run + "/config.yaml") == write_config(c));
    CHECK(write_config(load_config(run + "/config.yaml")) == write_config(c));
    int trained = 0, validated = 0;
    std::istringstream lines(metrics_of(run));
    for (std::string line; std::getline(lines, line);) {
      const auto entry = nlohmann::json::parse(line);
      if (entry.contains("run")) {
        CHECK(entry["run"]["recipe"] == recipe);
        CHECK(entry["run"]["gaze"] == (recipe == "full" ? "none" : "simulated"));
      }
      trained += entry.contains("loss");
      validated += entry.contains("val");
      if (entry.contains("terms"))
        CHECK(entry["terms"].size() == (recipe == "gradtrack" ? 5 : recipe == "gazemedseg" ? 2 : 1));
    }
    CHECK(trained == 12);
    CHECK(validated == 4);  // at 0, 8, 16, 24
    CHECK(load_model(run).gaze == (recipe == "full" ? "none" : "simulated"));
  }
}

TEST_CASE("training: a seed gives one result with any number of loader and compute threads", "[trainer]") {
  const TempFolder tmp;
  const int threads = num_threads();
  Config c = small_run();
  train(c, tmp / "first");
  const std::string expected = metrics_of(tmp / "first");
  for (const int64_t loaders : {1, 2, 4}) {
    c.data.threads = loaders;
    const std::string run = tmp / str_cat("loaders", loaders);
    train(c, run);
    CHECK(metrics_of(run) == expected);
    CHECK(best_weights(run) == best_weights(tmp / "first"));
  }
  c.data.threads = 2;
  set_num_threads(3);
  train(c, tmp / "compute");
  set_num_threads(threads);
  CHECK(best_weights(tmp / "compute") == best_weights(tmp / "first"));
  c.seed = 2;
  train(c, tmp / "seed");
  CHECK(metrics_of(tmp / "seed") != expected);
}

TEST_CASE("training: GazeMedSeg reaches a Dice above 0.6 in 300 iterations, with the same bits for other threads",
          "[trainer]") {
  const TempFolder tmp;
  const int threads = num_threads();
  Config c = small_run("gazemedseg");
  c.data.cache = "off";  // each run makes pseudo masks
  c.augment = {};
  c.optimizer.kind = "adamw";
  c.optimizer.lr = 0.005;
  c.train = {.batch = 4, .iterations = 300, .log_every = 20, .val_every = 300, .checkpoint_every = 100};
  std::vector<double> dice;
  const auto observed = [&](const std::string& run, bool resume, int64_t stop_after) {
    int64_t now = 0, made = 0;
    TrainingObserver observer;
    observer.iteration = [&](const TrainReport& r) { now = r.iteration; };
    observer.stop = [&] { return stop_after >= 0 && now >= stop_after; };
    observer.validation = [&](const ValidationReport& v) { dice.push_back(v.dice); };
    observer.pseudo_masks = [&](int64_t done, int64_t all) { made = 100 * done / all; };
    Trainer(c, observer).run(run, resume);
    CHECK(made == 100);
  };
  observed(tmp / "whole", false, -1);
  REQUIRE(dice.size() == 2);
  INFO(dice[0] << " -> " << dice[1]);
  CHECK(dice[1] > 0.6);
  CHECK(dice[1] > dice[0] + 0.25);
  set_num_threads(3);
  c.data.threads = 4;
  observed(tmp / "stopped", false, 100);
  observed(tmp / "stopped", true, -1);
  set_num_threads(threads);
  CHECK(best_weights(tmp / "stopped") == best_weights(tmp / "whole"));
}

TEST_CASE("training: GradTrack trains on pseudo masks refined by the CRF", "[trainer]") {
  const TempFolder tmp;
  Config c = small_run();
  c.pseudo.refine = "none";
  train(c, tmp / "track");
  c.pseudo.refine = "crf";
  CHECK(train(c, tmp / "crf"));
  CHECK(metrics_of(tmp / "crf") != metrics_of(tmp / "track"));
}

TEST_CASE("training: gradtrack takes the masks that there are", "[trainer]") {
  const TempFolder tmp;
  Config c = small_run();
  train(c, tmp / "gaze");
  std::vector<std::string> messages;
  TrainingObserver observer;
  observer.message = [&](const std::string& line) { messages.push_back(line); };
  c.data.masks = "4";
  CHECK(Trainer(c, observer).run(tmp / "mixed", false));
  CHECK(metrics_of(tmp / "mixed") != metrics_of(tmp / "gaze"));
  CHECK(std::count(messages.begin(), messages.end(),
                   "hand-drawn masks: of 4 training images, in place of pseudo masks") == 1);
}

TEST_CASE("training: a run with a teacher resumes to the result of an uninterrupted run", "[trainer]") {
  const TempFolder tmp;
  Config c = small_run();
  train(c, tmp / "teacher");
  c.pseudo.teacher = tmp / "teacher";
  train(c, tmp / "taught");
  CHECK(metrics_of(tmp / "taught") != metrics_of(tmp / "teacher"));
  CHECK_FALSE(train(c, tmp / "stopped", false, 10));
  CHECK(train(c, tmp / "stopped", true));
  CHECK(metrics_of(tmp / "stopped") == metrics_of(tmp / "taught"));
  c.pseudo.teacher = tmp / "nobody";
  CHECK(error_of([&] { train(c, tmp / "none"); }).find("nobody") != std::string::npos);
}

TEST_CASE("training: a stopped run resumes to the result of an uninterrupted run", "[trainer]") {
  const TempFolder tmp;
  for (const std::string kind : {"sgd", "adamw"}) {
    Config c = small_run();
    c.optimizer.kind = kind;
    train(c, tmp / (kind + "_whole"));
    for (const int64_t stop : {1, 2, 9, 10, 16, 23}) {
      const std::string run = tmp / str_cat(kind, "_stopped", stop);
      CHECK_FALSE(train(c, run, false, stop));
      Config elsewhere = c;  // with another number of threads
      elsewhere.data.threads = 4;
      CHECK(train(elsewhere, run, true));
      CHECK(metrics_of(run) == metrics_of(tmp / (kind + "_whole")));
      CHECK(read_safetensors(run + "/last.safetensors").find("conv_0.conv_0.conv.weight")->values<float>() ==
            read_safetensors(tmp / (kind + "_whole/last.safetensors"))
                .find("conv_0.conv_0.conv.weight")
                ->values<float>());
      CHECK(best_weights(run) == best_weights(tmp / (kind + "_whole")));
    }
  }
}

TEST_CASE("training: resuming a finished run changes no file", "[trainer]") {
  const TempFolder tmp;
  train(small_run(), tmp / "run");
  const std::string before = read_file(tmp / "run/metrics.jsonl");
  CHECK(train(small_run(), tmp / "run", true));
  CHECK(read_file(tmp / "run/metrics.jsonl") == before);
}

TEST_CASE("training: a run is neither overwritten nor resumed with another configuration", "[trainer]") {
  const TempFolder tmp;
  Config c = small_run();
  train(c, tmp / "run", false, 4);
  CHECK(error_of([&] { train(c, tmp / "run"); }).find("holds a run already") != std::string::npos);
  c.optimizer.lr = 0.5;
  const std::string message = error_of([&] { train(c, tmp / "run", true); });
  CHECK(message.find("another configuration") != std::string::npos);
  CHECK(message.find("lr: 0.01") != std::string::npos);
}

TEST_CASE("config: result_config() differs exactly for keys that the recipe reads", "[trainer]") {
  const auto differs = [](const std::string& recipe, auto&& change) {
    const Config before = small_run(recipe);
    Config after = before;
    change(after);
    return !first_difference(result_config(before), result_config(after)).empty();
  };
  const auto tracks = [](Config& c) { c.maps.mix = 0.125; };
  const auto degraded = [](Config& c) { c.data.degrade.drop = 0.25; };
  const auto masks = [](Config& c) { c.pseudo.crf.bilateral_xy = 17; };
  CHECK(!differs("full", tracks));
  CHECK(!differs("full", degraded));
  CHECK(!differs("full", masks));
  CHECK(differs("gradtrack", tracks));
  CHECK(differs("gradtrack", degraded));
  CHECK(differs("gradtrack", masks));
  CHECK(differs("gazemedseg", degraded));
  CHECK(differs("gazemedseg", masks));
  CHECK(!differs("gazemedseg", tracks));
  const auto heat = [](Config& c) { c.pseudo.sigma = 50; };
  CHECK(differs("gazemedseg", heat));
  CHECK(!differs("gradtrack", heat));
  Config unrefined = small_run(), other = unrefined;
  unrefined.pseudo.refine = other.pseudo.refine = "none";
  masks(other);
  CHECK(first_difference(result_config(unrefined), result_config(other)).empty());
  const auto mixed = [](Config& c) { c.data.masks = "4"; };
  CHECK(differs("gradtrack", mixed));
  CHECK(!differs("gazemedseg", mixed));
  CHECK(!differs("full", mixed));
  const auto fewer = [](Config& c) { c.data.images = 4; };
  for (const char* recipe : {"gradtrack", "gazemedseg", "full"}) CHECK(differs(recipe, fewer));
  const auto taught = [](Config& c) { c.pseudo.teacher = "run"; };
  CHECK(differs("gradtrack", taught));
  CHECK(!differs("gazemedseg", taught));
  const auto teacher_weight = [](Config& c) { c.pseudo.teacher_weight = 0.5; };
  CHECK(!differs("gazemedseg", teacher_weight));
  CHECK(!differs("gradtrack", teacher_weight));
  const auto thresholds = [](Config& c) { c.pseudo.foreground = 0.9; };
  CHECK(!differs("full", thresholds));
  CHECK(!differs("gazemedseg", thresholds));
  CHECK(differs("gradtrack", thresholds));
  const auto consistency = [](Config& c) { c.loss.consistency_weight = 1; };
  CHECK(!differs("full", consistency));
  CHECK(!differs("gradtrack", consistency));
  CHECK(differs("gazemedseg", consistency));
  CHECK(differs("full", [](Config& c) { c.loss.dice = 0.25; }));
}

TEST_CASE("training: a loss that is not finite ends the run and names optimizer.lr", "[trainer]") {
  const TempFolder tmp;
  Config c = small_run();
  c.optimizer.lr = 100;
  c.optimizer.lr_end = 100;
  c.optimizer.weight_decay = 100;
  CHECK(error_of([&] { train(c, tmp / "run"); }).find("optimizer.lr") != std::string::npos);
}

TEST_CASE("training: a folder that cannot be created is an error", "[trainer]") {
  const TempFolder tmp;
  write(tmp / "file", "in the way");
  CHECK(error_of([&] { train(small_run(), tmp / "file/run"); }).find("cannot create the folder") != std::string::npos);
}
