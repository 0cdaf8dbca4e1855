// Runs that are stopped, damaged or started twice: what is resumed, and what is refused.
#include <atomic>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <sstream>

#include "core/folder_lock.h"
#include "core/json.h"
#include "core/parallel.h"
#include "gaze/image.h"
#include "kernels/cases/check_op.h"
#include "models/checkpoint.h"
#include "tests/catch.h"
#include "tests/metrics_of.h"
#include "tests/small_run.h"

using namespace gt;

namespace {

/// Trains until the observer is asked `calls` times whether to stop. Returns whether the training was finished.
bool train_until(const Config& c, const std::string& folder, int64_t calls) {
  std::atomic<int64_t> count = 0;
  TrainingObserver observer;
  observer.stop = [&] { return ++count >= calls; };
  return Trainer(c, observer).run(folder, false);
}

/// Everything that a run leaves: its log without times, and its checkpoints byte by byte.
std::string state_of(const std::string& folder) {
  return metrics_of(folder) + read_file(folder + "/best.safetensors") + read_file(folder + "/last.safetensors");
}

/// Changes the metadata entry `counters` of the last checkpoint.
void change_counters(const std::string& folder, const std::function<void(Json&)>& change) {
  SafeTensors last = read_safetensors(folder + "/last.safetensors");
  Json counters = parse_json(last.metadata["counters"], "counters");
  change(counters);
  last.metadata["counters"] = counters.dump();
  write_safetensors(folder + "/last.safetensors", last);
}

void copy_run(const std::string& from, const std::string& to) {
  std::filesystem::remove_all(to);
  std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
}

}  // namespace

TEST_CASE("training: a run that is stopped at any moment resumes to the state of an uninterrupted run", "[trainer]") {
  const TempFolder tmp;
  Config c = small_run();
  c.data.cache = "off";  // each run loads images
  c.train = {.batch = 3, .iterations = 12, .log_every = 3, .val_every = 6, .checkpoint_every = 12};
  train(c, tmp / "whole");
  const std::string expected = state_of(tmp / "whole");
  // While loading, nothing is written. Then come the first validation, iterations and other validations.
  CHECK_THROWS_AS(train_until(c, tmp / "early", 1), Interrupted);
  CHECK_FALSE(std::filesystem::exists(tmp / "early"));
  int64_t calls = 17;  // training and validation images
  bool finished = false;
  for (; !finished; ++calls) {
    const std::string run = tmp / str_cat("stopped", calls);
    try {
      finished = train_until(c, run, calls);
    } catch (const Interrupted&) {
      continue;
    }
    if (!finished) CHECK(std::filesystem::exists(run + "/last.safetensors"));
    CHECK(train(c, run, true));
    INFO("stopped at call " << calls);
    CHECK((state_of(run) == expected));
  }
  CHECK(calls >= 17 + 12 + 3);
}

TEST_CASE("training: the average of the weights is what is validated and kept, and it resumes to the same bits",
          "[trainer]") {
  const TempFolder tmp;
  Config c = small_run();
  c.train.ema = 0.9;
  c.pseudo.foreground = 0.7, c.pseudo.background = 0.4, c.pseudo.between = "average";
  train(c, tmp / "whole");
  CHECK_FALSE(train(c, tmp / "stopped", false, 10));
  CHECK(train(c, tmp / "stopped", true));
  CHECK((state_of(tmp / "stopped") == state_of(tmp / "whole")));

  c.pseudo.foreground = c.pseudo.background = 0.6, c.pseudo.between = "ignored";
  c.train.val_every = c.train.checkpoint_every = c.train.log_every = c.train.iterations = 2;
  train(c, tmp / "short");
  const SafeTensors last = read_checkpoint(tmp / "short/last.safetensors");
  const SafeTensors best = read_checkpoint(tmp / "short/best.safetensors");
  const bool trained = parse_json(best.metadata.at("best"), "best")["iteration"] == 2;
  for (const auto& [name, average] : best.tensors)
    CHECK((same_bits(average, *last.find("average." + name)) || !trained));
  c.train.ema = 0;
  train(c, tmp / "plain");  // the weights themselves are those of a training without an average
  for (const auto& [name, tensor] : read_checkpoint(tmp / "plain/last.safetensors").tensors)
    CHECK(same_bits(tensor, *last.find(name)));
}

TEST_CASE("training: with clipped gradients a run resumes, with other threads, to the same bits", "[trainer]") {
  const TempFolder tmp;
  Config c = small_run();
  train(c, tmp / "off");
  c.optimizer.clip = 1e9;
  train(c, tmp / "loose");  // limits nothing
  const auto parameters = [&](const std::string& run) {
    return read_safetensors(tmp / run + "/last.safetensors").tensors;
  };
  const auto off = parameters("off"), loose = parameters("loose");
  for (size_t k = 0; k < off.size(); ++k) CHECK(same_bits(loose[k].second, off[k].second));

  c.optimizer.clip = 0.05;
  train(c, tmp / "whole");
  CHECK_FALSE(same_bits(parameters("whole")[0].second, off[0].second));
  CHECK(read_file(tmp / "whole/metrics.csv").find(",gradient_norm,") != std::string::npos);
  CHECK(read_file(tmp / "off/metrics.jsonl").find("gradient_norm") == std::string::npos);
  const int threads = num_threads();
  CHECK_FALSE(train(c, tmp / "stopped", false, 9));  // between two lines of the log
  set_num_threads(3);
  CHECK(train(c, tmp / "stopped", true));
  set_num_threads(threads);
  CHECK((state_of(tmp / "stopped") == state_of(tmp / "whole")));
}

TEST_CASE("training: train.init gives the first parameters, and simulated gaze stays known", "[trainer]") {
  const TempFolder tmp;
  Config c = small_run();
  train(c, tmp / "first");
  Config full = small_run("gradtrack");
  full.train.init = tmp / "first";
  full.train.ema = 0.9;
  full.optimizer.lr = full.optimizer.lr_end = 0;
  full.optimizer.weight_decay = 0;
  CHECK_FALSE(train(full, tmp / "second", false, 10));
  CHECK(train(full, tmp / "second", true));
  const SafeTensors best = read_checkpoint(tmp / "first/best.safetensors");
  for (const char* file : {"/best.safetensors", "/last.safetensors"}) {
    const SafeTensors kept = read_checkpoint(tmp / "second" + file);
    for (const auto& [name, tensor] : best.tensors) CHECK(same_bits(tensor, *kept.find(name)));
    CHECK(kept.metadata.at("gaze") == "simulated");
  }
  full.train.init = tmp / "nothing";
  CHECK(error_of([&] { train(full, tmp / "third"); }).find("nothing") != std::string::npos);
  Config masks = small_run("full");
  masks.train.init = tmp / "first";
  train(masks, tmp / "masks");  // the parameters of Track Attention are not needed
  CHECK(read_checkpoint(tmp / "masks/last.safetensors").metadata.at("gaze") == "simulated");
}

TEST_CASE("training: train.select says which network is kept", "[trainer]") {
  const TempFolder tmp;
  Config c = small_run();
  const auto messages = [&](const Config& config, const std::string& run) {
    std::string all;
    TrainingObserver observer;
    observer.message = [&](const std::string& line) { all += line + "\n"; };
    CHECK(Trainer(config, observer).run(tmp / run, false));
    return all;
  };
  const auto same_parameters = [&](const std::string& run) {
    const SafeTensors best = read_checkpoint(tmp / run + "/best.safetensors"),
                      last = read_checkpoint(tmp / run + "/last.safetensors");
    for (const auto& [name, tensor] : best.tensors) CHECK(same_bits(tensor, *last.find(name)));
  };
  c.train.select = "last";
  CHECK_FALSE(messages(c, "last").find("no masks") != std::string::npos);
  same_parameters("last");
  CHECK(read_file(tmp / "last/metrics.jsonl").find("\"val\"") != std::string::npos);

  // Gaze alone: no masks, no list of validation images.
  c.data.root = tmp / "data";
  std::filesystem::copy(small_data(), c.data.root, std::filesystem::copy_options::recursive);
  std::filesystem::remove_all(c.data.root + "/masks");
  std::filesystem::remove(c.data.root + "/val.txt");
  CHECK(messages(c, "gaze").find("no masks to validate on: the last network is kept") != std::string::npos);
  same_parameters("gaze");
  CHECK(read_file(tmp / "gaze/metrics.jsonl").find("\"val\"") == std::string::npos);
  CHECK_FALSE(train(c, tmp / "stopped", false, 10));
  CHECK(train(c, tmp / "stopped", true));
  CHECK((state_of(tmp / "stopped") == state_of(tmp / "gaze")));

  c = small_run();
  c.train.select = "test";
  CHECK(messages(c, "test").find("SELECTED ON TEST IMAGES") != std::string::npos);
}

TEST_CASE("training: a run that was killed before its first checkpoint starts again", "[trainer]") {
  const TempFolder tmp;
  const Config c = small_run();
  train(c, tmp / "whole");
  train(c, tmp / "killed");
  std::filesystem::remove(tmp / "killed/last.safetensors");
  // The log of a run that saw its first checkpoint due, and half a line.
  std::istringstream lines(read_file(tmp / "killed/metrics.jsonl"));
  std::string kept;
  for (std::string line; std::getline(lines, line) && line.find("\"iteration\":6") == line.npos;) kept += line + "\n";
  write(tmp / "killed/metrics.jsonl", kept + "{\"iteration\":");
  CHECK(train(c, tmp / "killed", true));
  CHECK((state_of(tmp / "killed") == state_of(tmp / "whole")));
}

TEST_CASE("training: any file of a run means that the folder holds a run", "[trainer]") {
  const TempFolder tmp;
  const Config c = small_run();
  train(c, tmp / "run");
  for (const std::string file : {"config.yaml", "metrics.jsonl", "best.safetensors", "last.safetensors"}) {
    make_folder(tmp / "only");
    std::filesystem::copy(tmp / ("run/" + file), tmp / ("only/" + file));
    const std::string before = read_file(tmp / ("only/" + file));
    CHECK(error_of([&] { train(c, tmp / "only"); }).find("holds a run already (" + file + ")") != std::string::npos);
    if (file != "config.yaml") CHECK_THROWS_AS(train(c, tmp / "only", true), Error);
    CHECK(read_file(tmp / ("only/" + file)) == before);
    std::filesystem::remove_all(tmp / "only");
  }
}

TEST_CASE("training: a run that lacks a file, or has one of another run, is not resumed", "[trainer]") {
  const TempFolder tmp;
  Config c = small_run();
  train(c, tmp / "run", false, 10);
  c.seed = 2;
  train(c, tmp / "other");
  c.seed = 1;
  const auto error_without = [&](const std::string& file) {
    copy_run(tmp / "run", tmp / "copy");
    std::filesystem::remove(tmp / ("copy/" + file));
    return error_of([&] { train(c, tmp / "copy", true); });
  };
  CHECK(error_without("last.safetensors").find("last.safetensors is missing, though the run went to iteration 10") !=
        std::string::npos);
  CHECK(error_without("best.safetensors").find("copy/best.safetensors: is missing, though a validation had Dice ") !=
        std::string::npos);
  CHECK(error_without("metrics.jsonl").find("copy/metrics.jsonl: cannot open") != std::string::npos);
  CHECK(error_without("config.yaml").empty());
  CHECK(read_file(tmp / "copy/config.yaml") == write_config(c));
  for (const std::string file : {"best.safetensors", "last.safetensors"}) {
    copy_run(tmp / "run", tmp / "copy");
    write(tmp / ("copy/" + file), read_file(tmp / ("other/" + file)));
    CHECK(error_of([&] { train(c, tmp / "copy", true); }).find("another configuration: seed: 2 there, 1 here") !=
          std::string::npos);
  }
  copy_run(tmp / "run", tmp / "copy");
  change_counters(tmp / "copy", [](Json& j) { j["best_dice"] = 0.999; });
  CHECK(error_of([&] {
          train(c, tmp / "copy", true);
        }).find("expected the network of the best validation, with Dice 0.999") != std::string::npos);
}

TEST_CASE("training: counters out of their range and damaged logs are refused with the place", "[trainer]") {
  const TempFolder tmp;
  const Config c = small_run();
  train(c, tmp / "run", false, 11);
  const auto error_with = [&](const std::function<void(Json&)>& change) {
    copy_run(tmp / "run", tmp / "copy");
    change_counters(tmp / "copy", change);
    return error_of([&] { train(c, tmp / "copy", true); });
  };
  const std::string where = tmp / "copy/last.safetensors: counters: expected ";
  CHECK(error_with([](Json& j) { j["iteration"] = -1; }) ==
        where + "a whole number from 0 to 24 under 'iteration', got -1");
  for (const Json& bad : {Json(25), Json(1e30), Json("4"), Json(nullptr), Json(4.5), Json(18446744073709551615u)})
    CHECK(error_with([&](Json& j) { j["iteration"] = bad; }).starts_with(where));
  for (const char* key : {"iteration", "best_dice"}) {
    CHECK(error_with([&](Json& j) { j.erase(key); }).starts_with(where));
    CHECK(error_with([&](Json& j) { j[key] = "x"; }).starts_with(where));
  }
  CHECK(error_with([](Json& j) { j["best_dice"] = 7; }).starts_with(where));
  CHECK(error_with([](Json& j) { j["losses"]["count"] = 0; }).starts_with(where));
  CHECK(error_with([](Json& j) { j["losses"]["terms"].push_back(1); }).find("expected 5 loss terms, got 6") !=
        std::string::npos);

  const std::string log = read_file(tmp / "run/metrics.jsonl");
  const auto error_of_log = [&](const std::string& text) {
    copy_run(tmp / "run", tmp / "copy");
    write(tmp / "copy/metrics.jsonl", text);
    return error_of([&] { train(c, tmp / "copy", true); });
  };
  const std::string path = tmp / "copy/metrics.jsonl";
  CHECK(error_of_log("garbage\n" + log).starts_with(path + ":1: expected a JSON object"));
  CHECK(error_of_log("") == path + ": expected losses up to iteration 10, which last.safetensors has, found up to 0");
  CHECK(error_of_log(log + "{\"iterat").empty());
}

TEST_CASE("training: a run is not resumed with other data, and the first file that differs is named", "[trainer]") {
  const TempFolder tmp;
  Config c = small_run();
  const std::string root = c.data.root = tmp / "data";
  const auto fresh_data = [&] {
    std::filesystem::remove_all(root);
    std::filesystem::copy(small_data(), root, std::filesystem::copy_options::recursive);
  };
  fresh_data();
  train(c, tmp / "run", false, 10);
  std::vector<std::string> changed = {"train.txt", "val.txt", "gaze.csv"};
  for (const char* split : {"train", "val"}) changed.push_back("images/" + split_names(c.data, split)[0] + ".png");
  for (const std::string& file : changed) {
    fresh_data();
    copy_run(tmp / "run", tmp / "copy");
    std::string bytes = read_file(root + "/" + file);
    if (file.ends_with(".png")) {
      Image image = read_image(root + "/" + file, 3);
      image.pixels[0] ^= 255;
      write_png(root + "/" + file, image);
    } else if (file.ends_with(".csv")) {
      char& digit = bytes[bytes.find("0.", bytes.find('\n')) + 2];
      digit = digit == '5' ? '4' : '5';
      write(root + "/" + file, bytes);
    } else {
      write(root + "/" + file, bytes + "\n");
    }
    CHECK(error_of([&] {
            train(c, tmp / "copy", true);
          }).starts_with(root + ": the data changed since the run in " + (tmp / "copy") + " began: " + file + " was "));
  }
  fresh_data();  // written again, but equal
  CHECK(train(c, tmp / "copy", true));
}

TEST_CASE("training: two trainings do not work in one folder at once", "[trainer]") {
  const TempFolder tmp;
  make_folder(tmp / "run");
  {
    const FolderLock lock(tmp / "run", "gradtrack eval");
    CHECK(error_of([&] { train(small_run(), tmp / "run"); }).find("(gradtrack eval) is at work in it") !=
          std::string::npos);
  }
  CHECK_FALSE(std::filesystem::exists(tmp / "run/config.yaml"));
}

TEST_CASE("training: a checkpoint whose values are not finite is refused with the parameter", "[trainer]") {
  const TempFolder tmp;
  train(small_run(), tmp / "run");
  const SafeTensors good = read_safetensors(tmp / "run/best.safetensors");
  for (const float bad : {std::nanf(""), INFINITY}) {
    SafeTensors file = good;
    auto& [name, tensor] = file.tensors.back();
    tensor = Tensor::of<float>(tensor.shape(), std::vector<float>(size_t(tensor.size()), bad));
    write_safetensors(tmp / "bad.safetensors", file);
    CHECK(error_of([&] { load_model(tmp / "bad.safetensors"); }) ==
          tmp / "bad.safetensors: parameter '" + name + "' holds NaN or infinity, expected finite numbers");
  }
  SafeTensors file = good;  // finite values whose products are not
  for (auto& [name, tensor] : file.tensors)
    tensor = Tensor::of<float>(tensor.shape(), std::vector<float>(size_t(tensor.size()), 1e38f));
  write_safetensors(tmp / "bad.safetensors", file);
  const LoadedModel loaded = load_model(tmp / "bad.safetensors");
  const Dataset test = load_dataset(loaded.config.data, "test", {.labels = true});
  CHECK(error_of([&] { evaluate_model(*loaded.model, test, 4); }) ==
        "image '" + test.samples[0].name +
            "': the network gives NaN or infinity for the image, expected finite numbers");
}

TEST_CASE("training: a checkpoint of version 2 without a checksum is read, one of version 3 is not", "[trainer]") {
  const TempFolder tmp;
  train(small_run(), tmp / "run");
  const std::string path = tmp / "run/best.safetensors";
  const std::string bytes = read_file(path);
  CHECK(read_checkpoint(path).checked);
  uint64_t size = 0;
  std::memcpy(&size, bytes.data(), 8);
  const auto rewrite = [&](const char* version) {
    Json header = parse_json(bytes.substr(8, size), path);
    header["__metadata__"].erase("checksum");
    header["__metadata__"]["version"] = version;
    const std::string text = header.dump();
    const uint64_t now = text.size();
    write(path, std::string(reinterpret_cast<const char*>(&now), 8) + text + bytes.substr(8 + size));
  };
  rewrite("2");
  CHECK_FALSE(read_checkpoint(path).checked);
  CHECK(train(small_run(), tmp / "run", true));
  rewrite("3");
  CHECK(error_of([&] { read_checkpoint(path); }) ==
        path + ": expected a checksum in a checkpoint of version 3, found none: the file is damaged");
  rewrite("4");
  CHECK(error_of([&] { read_checkpoint(path); }).find("a newer GradTrack wrote it") != std::string::npos);
}
