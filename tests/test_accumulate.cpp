// Trainings whose optimiser steps take the gradients of several batches (train.accumulate).
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/parallel.h"
#include "models/checkpoint.h"
#include "tests/catch.h"
#include "tests/differences.h"
#include "tests/metrics_of.h"
#include "tests/small_run.h"

using namespace gt;

namespace {

/// A nearly linear network: where rounding changes the sign of a LeakyReLU's input, the gradient jumps.
Config smooth_run(const std::string& recipe) {
  Config c = small_run(recipe);
  c.model.slope = 0.99;
  c.train = {.batch = 6, .iterations = 20, .log_every = 1, .val_every = 20, .checkpoint_every = 20};
  return c;
}

/// The largest relative difference of the losses and terms that two runs logged.
double loss_difference(const std::string& a, const std::string& b) {
  std::istringstream of_a(metrics_of(a)), of_b(metrics_of(b));
  double worst = 0;
  int count = 0;
  for (std::string line_a, line_b; std::getline(of_a, line_a) && std::getline(of_b, line_b);) {
    const auto x = nlohmann::json::parse(line_a), y = nlohmann::json::parse(line_b);
    if (!x.contains("loss")) continue;
    worst = larger_difference(worst, double(x["loss"]) / double(y["loss"]), 1);
    for (const auto& [name, value] : x["terms"].items())
      worst = larger_difference(worst, double(value) / double(y["terms"][name]), 1);
    CHECK(x["lr"] == y["lr"]);
    ++count;
  }
  CHECK(count == 20);
  return worst;
}

double weight_difference(const std::string& a, const std::string& b) {
  const SafeTensors x = read_checkpoint(a + "/last.safetensors"), y = read_checkpoint(b + "/last.safetensors");
  double worst = 0;
  for (const auto& [name, tensor] : x.tensors)
    for (int64_t i = 0; i < tensor.size(); ++i)
      worst = larger_difference(worst, tensor.data<float>()[i], y.find(name)->data<float>()[i]);
  return worst;
}

}  // namespace

TEST_CASE("accumulate: small batches train the network of one large batch", "[accumulate]") {
  const TempFolder tmp;
  for (const std::string recipe : {"gradtrack", "gazemedseg", "full"}) {
    Config c = smooth_run(recipe);
    c.optimizer.schedule = "epoch";
    train(c, tmp / recipe);
    for (const int64_t accumulate : {2, 3}) {
      c.train.batch = 6 / accumulate, c.train.accumulate = accumulate;
      const std::string run = tmp / str_cat(recipe, accumulate);
      train(c, run);
      INFO(recipe << " in " << accumulate << " parts");
      CHECK(loss_difference(run, tmp / recipe) < 2e-6);
      CHECK(weight_difference(run, tmp / recipe) < 1e-5);
    }
  }
}

TEST_CASE("accumulate: the mean over counted pixels is that of each small batch", "[accumulate]") {
  const TempFolder tmp;
  Config c = smooth_run("gradtrack");
  c.pseudo.foreground = 0.7, c.pseudo.background = 0.4;
  train(c, tmp / "large");
  c.train.batch = 3, c.train.accumulate = 2;
  train(c, tmp / "small");
  const double difference = loss_difference(tmp / "small", tmp / "large");
  CHECK(difference > 1e-5);  // not equal
  CHECK(difference < 0.1);
}

TEST_CASE("accumulate: a run resumes, with other threads, to the same bits", "[accumulate]") {
  const TempFolder tmp;
  Config c = small_run();
  c.train.batch = 2, c.train.accumulate = 3;
  c.train.ema = 0.9;
  c.optimizer.clip = 0.1;
  c.pseudo.foreground = 0.7, c.pseudo.background = 0.4, c.pseudo.between = "average";
  train(c, tmp / "whole");
  const int threads = num_threads();
  CHECK_FALSE(train(c, tmp / "stopped", false, 9));
  set_num_threads(3);
  c.data.threads = 1;
  CHECK(train(c, tmp / "stopped", true));
  set_num_threads(threads);
  CHECK(metrics_of(tmp / "stopped") == metrics_of(tmp / "whole"));
  for (const char* file : {"/last.safetensors", "/best.safetensors"})
    CHECK((read_checkpoint(tmp / "stopped" + file).tensors.size() ==
               read_checkpoint(tmp / "whole" + file).tensors.size() &&
           weight_difference(tmp / "stopped", tmp / "whole") == 0));
  c.train.accumulate = 2;
  CHECK(error_of([&] { train(c, tmp / "whole", true); }).find("train.accumulate: 3 there, 2 here") !=
        std::string::npos);
}
