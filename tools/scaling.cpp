#include "tools/scaling.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "models/plan.h"
#include "tools/text_table.h"

namespace gt {
namespace {

struct Network {
  const char* name;
  double bytes_per_second;  // of one process, in each direction
  double latency;           // seconds of a message
  int max_ranks;            // that it joins
  const char* what;
};

constexpr Network networks[] = {
    {"nvlink", 450e9, 3e-6, 8, "NVLink 4, 450 GB/s in each direction, up to 8 GPUs of a machine"},
    {"ib400", 50e9, 5e-6, 1 << 20, "InfiniBand NDR, 400 Gb/s for each GPU"},
    {"eth25", 3.125e9, 3e-5, 1 << 20, "Ethernet, 25 Gb/s for each process"},
};

// A step's part in which sums can hide: backward, which takes two thirds of a step, after the first of eight buckets.
constexpr double backward_share = 2.0 / 3, buckets = 8;
constexpr double hiding_share = backward_share * (1 - 1 / buckets);

const Network& network_of(const std::string& name) {
  std::string known;
  for (const Network& n : networks) {
    if (name == n.name) return n;
    known += std::string(known.empty() ? "" : ", ") + n.name;
  }
  fail("--network ", name, ": expected one of ", known);
}

/// Bytes that the ops of a step move, to which its time is taken to be proportional.
double moved_bytes(const StepPlan& plan) {
  double bytes = 0;
  for (const Profile::Total& t : plan.profile->totals(true)) bytes += t.bytes;
  return bytes;
}

StepPlan plan_batch(Config config, Device device, int64_t batch) {
  config.train.batch = batch;
  return plan_step(config, device);
}

}  // namespace

std::vector<std::string> scaling_networks() {
  std::vector<std::string> names;
  for (const Network& n : networks) names.emplace_back(n.name);
  return names;
}

ScaledStep predict_step(const std::string& network, int ranks, int64_t batch, double compute, double gradients) {
  const Network& link = network_of(network);
  ScaledStep step{batch, compute};
  step.bytes = 2.0 * (ranks - 1) / ranks * gradients;
  if (ranks == 1) return step;
  step.reduce = step.bytes / link.bytes_per_second + 2.0 * (ranks - 1) * link.latency;
  step.exposed = std::max(step.reduce - hiding_share * compute, step.reduce / buckets);
  return step;
}

void print_scaling(const ScalingOptions& options, const Config& config, Device device) {
  const Network& link = network_of(options.network);
  if (options.step_ms <= 0)
    fail("--ranks: expected --step MS too, the measured time of a step in one process (gradtrack train --profile)");
  const StepPlan plan = plan_step(config, device);
  const double whole = options.step_ms / 1e3;
  const double gradients = double(plan.parameters) / (config.train.reduce == "bf16" ? 2 : 1);
  const double bytes_of_batch = moved_bytes(plan), batches = double(config.train.accumulate);
  const auto print = [&](const char* title, bool strong) {
    std::vector<std::vector<std::string>> rows = {
        {"ranks", "images each", "compute ms", "sent MB", "sums ms", "hidden", "step ms", "images/s", "efficiency"}};
    for (const int ranks : options.ranks) {
      const std::string count = std::to_string(ranks);
      if (ranks > link.max_ranks || (strong && ranks > config.train.batch)) {
        rows.push_back({count, "-"});
        continue;
      }
      const int64_t batch = strong ? (config.train.batch + ranks - 1) / ranks : config.train.batch;
      const double compute =
          batch == config.train.batch ? whole : whole * moved_bytes(plan_batch(config, device, batch)) / bytes_of_batch;
      ScaledStep s = predict_step(options.network, ranks, batch, compute / batches, gradients);
      s.compute = compute;  // of all batches; sums hide in the last one alone
      const double images = batches * double(strong ? config.train.batch : config.train.batch * ranks);
      const double speed = images / s.step(), one = batches * double(config.train.batch) / whole;
      rows.push_back(
          {count, std::to_string(batch), number_text(1e3 * compute, 2), number_text(s.bytes / 1e6, 1),
           number_text(1e3 * s.reduce, 2), s.reduce > 0 ? number_text(100 * (1 - s.exposed / s.reduce), 0) + " %" : "-",
           number_text(1e3 * s.step(), 2), number_text(speed, 0), number_text(100 * speed / (one * ranks), 0) + " %"});
    }
    std::printf("\n%s\n", title);
    print_rows(rows);
  };
  std::printf("%s: %s\n", link.name, link.what);
  std::printf("gradients: %.1f MB in %s; a step of %lld images in one process: %.2f ms, as given\n", gradients / 1e6,
              config.train.reduce.c_str(), (long long)config.train.images_per_iteration(), options.step_ms);
  print("strong scaling: the processes share train.batch", true);
  print("weak scaling: each process has train.batch images", false);
  const double image = hiding_share * whole / double(config.train.images_per_iteration());
  const int last = std::min(*std::max_element(options.ranks.begin(), options.ranks.end()), link.max_ranks);
  const double reduce = predict_step(options.network, last, 1, 0, gradients).reduce;
  std::printf(
      "\nBelow %lld images in each of %d processes the sums take longer than the backward pass can hide.\n"
      "A dash stands for more processes than images in the batch, or than the network joins.\n"
      "Assumed: time proportional to the bytes that a step's ops move; sums by rings; backward is two thirds of a\n"
      "step and hides seven eighths of its time, but never the last of eight buckets.\n",
      (long long)std::ceil(reduce / image), last);
}

}  // namespace gt
