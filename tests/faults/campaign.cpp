#include "tests/faults/campaign.h"

#include <csignal>
#include <cstring>
#include <filesystem>

#include "core/io.h"
#include "core/json.h"
#include "core/safetensors.h"

namespace gt::faults {
namespace {

namespace fs = std::filesystem;

constexpr const char* tiny_yaml =
    "data: {root: data, size: 32, threads: 2}\n"
    "model: {features: [4, 4, 8, 8, 16, 4]}\n"
    "augment: {rotate: 20}\n"
    "threads: 1\n"
    "train: {batch: 4, iterations: 80, log_every: 2, val_every: 10, checkpoint_every: 4}\n";

/// The metadata of a checkpoint without measured times and the checksum over them.
std::map<std::string, std::string> timeless(std::map<std::string, std::string> metadata, const std::string& path) {
  metadata.erase("checksum");
  if (const auto at = metadata.find("counters"); at != metadata.end()) {
    Json counters = parse_json(at->second, path);
    counters.erase("seconds");
    at->second = counters.dump();
  }
  return metadata;
}

bool equal_checkpoints(const std::string& a, const std::string& b) {
  const SafeTensors x = read_safetensors(a), y = read_safetensors(b);
  if (x.tensors.size() != y.tensors.size() || timeless(x.metadata, a) != timeless(y.metadata, b)) return false;
  for (const auto& [name, tensor] : x.tensors) {
    const Tensor* other = y.find(name);
    if (!other || other->shape() != tensor.shape() || std::memcmp(other->raw(), tensor.raw(), tensor.bytes()) != 0)
      return false;
  }
  return true;
}

/// The lines of a log without measured times.
std::vector<std::string> timeless_log(const std::string& path) {
  std::vector<std::string> lines;
  for (const TextLine& line : read_lines(path)) {
    Json json = parse_json(line.text, path);
    json.erase("seconds");
    json.erase("images_per_s");
    lines.push_back(json.dump());
  }
  return lines;
}

}  // namespace

Workshop::Workshop(std::string program, std::string folder, uint64_t seed)
    : program_(std::move(program)), folder_(std::move(folder)), random_(seed) {
  const Outcome made = run({{program_, "synth", "--out", path("data"), "--count", "24", "--size", "32"}});
  if (made.status != 0) fail("synth: ", made.error);
  std::string yaml = tiny_yaml;
  yaml.replace(yaml.find("root: data"), 10, "root: " + path("data"));
  write_file(path("tiny.yaml"), yaml);
  const double start = now();
  const Outcome trained = run(training("undisturbed"));
  seconds = now() - start;
  if (trained.status != 0) fail("train: ", trained.error);
}

Command Workshop::training(const std::string& name) const {
  return {{program_, "train", path("tiny.yaml"), "--out", path(name), "--device", "cpu", "--resume"}};
}

Command Workshop::evaluation(const std::string& name) const {
  return {{program_, "eval", path(name), "--device", "cpu", "--panels", "0"}};
}

Outcome Workshop::run(const Command& command) const { return outcome_of(command, errors()); }

std::string Workshop::resumed_differs(const std::string& name) const {
  const Outcome resumed = run(training(name));
  if (resumed.status != 0) return str_cat("resume ends with ", resumed.status, ": ", resumed.error);
  return difference(path(name), path("undisturbed"));
}

void Workshop::copy_half_way(const std::string& name) const {
  if (!fs::exists(path("half"))) {
    Process process(training("half"), errors());
    while (process.running() && !fs::exists(path("half/best.safetensors"))) sleep_seconds(0.005);
    sleep_seconds(seconds / 4);
    process.signal(SIGKILL);
    process.wait();
  }
  remove(name);
  fs::copy(path("half"), path(name), fs::copy_options::recursive);
}

void Workshop::remove(const std::string& name) const { fs::remove_all(path(name)); }

std::string difference(const std::string& a, const std::string& b) {
  for (const char* file : {"best.safetensors", "last.safetensors"})
    if (!equal_checkpoints(a + "/" + file, b + "/" + file)) return str_cat(file, " differs");
  if (timeless_log(a + "/metrics.jsonl") != timeless_log(b + "/metrics.jsonl")) return "metrics.jsonl differs";
  if (read_file(a + "/config.yaml") != read_file(b + "/config.yaml")) return "config.yaml differs";
  for (const auto& entry : fs::directory_iterator(a))
    if (!fs::exists(fs::path(b) / entry.path().filename())) return "left: " + entry.path().filename().string();
  return "";
}

std::string not_refused(const Outcome& outcome, const std::string& part) {
  if (outcome.status == 1 && outcome.error.find(part) != std::string::npos) return "";
  return str_cat("ends with ", outcome.status, ": ", outcome.error);
}

}  // namespace gt::faults
