// gradtrack_peer: GradTrack's side of bench/peers. It runs one workload on request, so that peers.py can alternate it
// with PyTorch's. --export writes the inputs and the first results to a safetensors file. PyTorch starts from these
// inputs, and its results are compared with these. The program then prints {"ready": true}, and answers each line of
// stdin by a line of JSON:
//
//   run N    runs the workload N times: {"ms": {part: milliseconds per run}, "cpu_s": seconds of CPU time}
//   memory   {"peak_mb", "buffers_mb"}: peak memory since it was ready, and its part in tensors
//
// On the CPU, the peak is that of the resident set above its size before the network was made. On CUDA, it is the part
// in tensors. A step is timed in parts on the CPU. On CUDA, N steps run as in `gradtrack train`, by CUDA graphs that
// the host does not wait for, and are timed as one. Single ops are timed as bench/clock.h says. Exit status: 0 at the
// end of stdin, 1 an error, 2 wrong usage.
#include <CLI/CLI.hpp>
#include <ctime>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "bench/clock.h"
#include "core/parallel.h"
#include "core/random.h"
#include "gaze/simulate.h"
#include "gaze/synth.h"
#include "models/recipes.h"
#include "models/training_step.h"

namespace gt {
namespace {

using Json = nlohmann::ordered_json;
using Seconds = std::map<std::string, double>;  // by part

struct Options {
  std::string work, config, exported;
  Device device = Device::cpu;
  std::vector<std::string> overrides;
  int threads = 0;
};

/// A workload to time.
class Work {
 public:
  virtual ~Work() = default;
  /// Inputs "input.<name>", values "value.<name>" and gradients "gradient.<name>" of the first run.
  virtual SafeTensors first() = 0;
  /// Runs it `times` times. Returns the sums of seconds.
  virtual Seconds run(int64_t times) = 0;
};

/// Seconds of a function. The emulated device is timed by the host's clock.
double seconds(Device device, const std::function<void()>& work) {
  return seconds_of(GT_EMULATE ? Device::cpu : device, work);
}

// ---- The training step ----------------------------------------------------------------------------------------------

/// Whether the step reads pseudo masks. GradTrack's are taken from its maps, within the step.
bool reads_pseudo(const Config& config) { return config.recipe == "gazemedseg"; }

/// A batch of synthetic images with simulated gaze and, where the step reads them, pseudo masks without a CRF.
Dataset synthetic(const Config& config) {
  Dataset dataset;
  dataset.simulated_gaze = true;
  for (int64_t i = 0; i < config.train.batch; ++i) {
    SyntheticCase made = synthesize(config.data.size, uint64_t(config.seed), i);
    const std::string name = str_cat("synthetic_", i);
    Sample sample;
    sample.name = name;
    sample.image = std::move(made.image);
    sample.normalisation = normalisation_of(sample.image, config.data);
    sample.track = simulate_track(made.mask, name, uint64_t(config.seed));
    if (reads_pseudo(config)) {
      const PseudoMasks how = recipe_of(config).pseudo_masks(config);
      const Tensor map = how.map(sample.track, sample.image);
      for (const double threshold : how.thresholds) sample.pseudo.push_back(mask_of(map, threshold));
    }
    dataset.samples.push_back(std::move(sample));
  }
  return dataset;
}

Batch first_batch(const Config& config) {
  const Dataset dataset = synthetic(config);
  Loader loader(dataset, config.data, config.augment, config.maps, config.train.batch, uint64_t(config.seed), 0);
  return loader.next();
}

/// A training step: on the CPU in separate parts, on CUDA by TrainingStep.
class Step : public Work {
 public:
  Step(const Config& config, Batch batch, Device device)
      : config_(config),
        batch_(std::move(batch)),
        model_(make_model(config, DType::f32, device)),
        optimizer_(config.optimizer, model_->parameters()) {
    if (device == Device::cuda) step_.emplace(*model_, optimizer_, config_, batch_.tracks.xy.dim(0), history);
  }

  SafeTensors first() override {
    const Losses losses = forward();
    const Tensor total = losses.total();
    backward(total);
    SafeTensors all;
    const auto add = [&](const std::string& name, const Tensor& t) {
      all.tensors.emplace_back(name, t.to(Device::cpu));
    };
    const PackedTracks& tracks = batch_.tracks;
    add("input.images", batch_.images);
    add("input.geometry", batch_.geometry);
    add("input.colour", batch_.colour);
    if (reads_pseudo(config_)) {
      for (size_t i = 0; i < batch_.pseudo.size(); ++i) add(str_cat("input.pseudo_", i), batch_.pseudo[i]);
    } else {
      add("input.xy", tracks.xy);
      add("input.weight", tracks.weight);
      add("input.sigma", tracks.sigma);
      add("input.tau", tracks.tau);
      add("input.kept", tracks.kept);
    }
    add("value.total", total);
    for (const LossTerm& term : losses.terms) add("value." + term.name, term.value);
    for (auto [name, p] : model_->parameters().named()) {
      add("parameter." + name, p);
      add("gradient." + name, p.grad());
      p.clear_grad();
    }
    const Config& c = config_;
    const Json options = {{"recipe", c.recipe},
                          {"levels", c.pseudo.thresholds.size()},
                          {"consistency_weight", c.loss.consistency_weight},
                          {"groups", c.model.groups},
                          {"slope", c.model.slope},
                          {"mix", c.maps.mix},
                          {"lambda", c.loss.lambda},
                          {"dice", c.loss.dice},
                          {"bce", c.loss.bce},
                          {"foreground", c.pseudo.foreground},
                          {"background", c.pseudo.background},
                          {"lr", c.optimizer.lr},
                          {"momentum", c.optimizer.momentum},
                          {"nesterov", c.optimizer.nesterov},
                          {"weight_decay", c.optimizer.weight_decay}};
    all.metadata["options"] = options.dump();
    return all;
  }

  Seconds run(int64_t times) override { return step_ ? run_as_one(times) : run_in_parts(times); }

 private:
  static constexpr int64_t history = 100;  // steps between fetches of the losses

  Seconds run_in_parts(int64_t times) {
    Losses losses;
    Seconds s;
    for (int64_t i = 0; i < times; ++i) {
      s["forward"] += seconds(Device::cpu, [&] { losses = forward(); });
      s["backward"] += seconds(Device::cpu, [&] { backward(losses.total()); });
      s["optimiser"] += seconds(Device::cpu, [&] {
        optimizer_.prepare(config_.optimizer.lr);
        optimizer_.update();
      });
    }
    s["whole step"] = s["forward"] + s["backward"] + s["optimiser"];
    return s;
  }

  Seconds run_as_one(int64_t times) {
    synchronize(Device::cuda);
    return {{"whole step", seconds(Device::cpu, [&] {
               for (int64_t i = 0; i < times; ++i) {
                 step_->run({batch_}, config_.optimizer.lr);
                 if (step_->pending() == history) step_->take_losses();
               }
               synchronize(Device::cuda);
             })}};
  }

  Losses forward() const {
    const auto here = [&](const Tensor& t) { return t.to(model_->device()); };
    SupervisedBatch supervised;
    supervised.images = augment(here(batch_.images), here(batch_.geometry), here(batch_.colour));
    supervised.tracks = to_device(batch_.tracks, model_->device());
    for (const Tensor& masks : batch_.pseudo)
      supervised.pseudo.push_back(augment_masks(here(masks), here(batch_.geometry)));
    return model_->losses(supervised);
  }

  Config config_;
  Batch batch_;
  std::unique_ptr<Model> model_;
  Optimizer optimizer_;
  std::optional<TrainingStep> step_;
};

// ---- Single ops -----------------------------------------------------------------------------------------------------

/// An op on named inputs. Backward starts from random gradients of its outputs.
class SingleOp : public Work {
 public:
  using Inputs = std::vector<std::pair<std::string, Tensor>>;
  using Op = std::function<Tensors()>;

  SingleOp(Inputs inputs, Op op, uint64_t seed) : inputs_(std::move(inputs)), op_(std::move(op)) {
    Random random(seed, hash64("gradients of the outputs"));
    for (const Tensor& y : evaluate()) {
      Tensor dy(y.shape());
      for (int64_t i = 0; i < dy.size(); ++i) dy.data<float>()[i] = float(random.uniform(-1, 1));
      gradients_.push_back(dy.to(y.device()));
    }
  }

  SafeTensors first() override {
    SafeTensors all;
    const auto add = [&](const std::string& name, const Tensor& t) {
      all.tensors.emplace_back(name, t.to(Device::cpu));
    };
    const Tensors values = evaluate();
    both();
    for (const auto& [name, x] : inputs_) {
      add("input." + name, x);
      if (x.requires_grad()) add("gradient." + name, x.grad());
    }
    for (size_t i = 0; i < values.size(); ++i) {
      add(str_cat("value.", i), values[i]);
      add(str_cat("input.d", i), gradients_[i]);
    }
    return all;
  }

  Seconds run(int64_t times) override {
    const Device device = gradients_[0].device();
    Seconds s;
    for (int64_t i = 0; i < times; ++i) {
      s["forward"] += seconds(device, [&] { evaluate(); });
      s["forward and backward"] += seconds(device, [&] { both(); });
    }
    return s;
  }

 private:
  Tensors evaluate() const {
    const NoGrad no_grad;
    return op_();
  }

  void both() const {
    for (auto [name, x] : inputs_)
      if (x.requires_grad()) x.clear_grad();
    // A node that depends on all outputs and gives each its gradient.
    const Tensor start = Tensor::zeros({}, DType::f32, gradients_[0].device());
    const Tensor end = record("end", start, op_(), [this](const Tensor&) -> Tensors { return gradients_; });
    backward(end);
  }

  Inputs inputs_;
  Op op_;
  Tensors gradients_;
};

/// Random inputs on a device.
struct Inputs {
  Device device;
  Random random;

  Tensor uniform(const Shape& shape, double lo, double hi) {
    Tensor t(shape);
    for (int64_t i = 0; i < t.size(); ++i) t.data<float>()[i] = float(random.uniform(lo, hi));
    return t.to(device);
  }
  Tensor parameter(const Shape& shape, double lo, double hi) { return uniform(shape, lo, hi).set_requires_grad(true); }
};

/// Splat or track distance: 8 images of 40 fixations, 4 maps of 224 x 224 pixels each.
std::unique_ptr<Work> maps_work(const std::string& name, Device device) {
  constexpr int64_t batch = 8, fixations = 40, side = 224, count = batch * fixations;
  Inputs make{device, Random(1, hash64(name))};
  const Tensor xy = make.parameter({count, 2}, 0, 1);
  const std::vector<MapSize> sizes(size_t(map_levels), MapSize{side, side});
  std::vector<int32_t> offsets, kept;
  for (int64_t b = 0; b <= batch; ++b) offsets.push_back(int32_t(b * fixations));
  if (name == "splat") {
    const Tensor weight = make.parameter({map_levels, count}, 0.01, 0.05);
    const Tensor sigma = make.parameter({map_levels, batch, 2}, 0.05, 0.12);
    const Tensor first = Tensor::of({batch + 1}, offsets).to(device);
    return std::make_unique<SingleOp>(
        SingleOp::Inputs{{"xy", xy}, {"weight", weight}, {"sigma", sigma}},
        [=] { return splat(xy, weight, sigma, first, sizes); }, 2);
  }
  for (int64_t l = 0; l < map_levels; ++l)
    for (int64_t b = 0; b < batch; ++b)
      kept.insert(kept.end(), {int32_t(b * fixations + l * fixations / map_levels), int32_t((b + 1) * fixations)});
  const Tensor ranges = Tensor::of({map_levels, batch, 2}, kept).to(device);
  return std::make_unique<SingleOp>(
      SingleOp::Inputs{{"xy", xy}, {"kept", ranges}}, [=] { return track_distance(xy, ranges, sizes); }, 2);
}

std::unique_ptr<Work> attention_work(Device device) {
  Inputs make{device, Random(1, hash64("attention"))};
  const Tensor features = make.parameter({8, 224, 224, 64}, -1, 1);
  const Tensor w = make.parameter({64}, -0.1, 0.1), b = make.parameter({1}, -0.1, 0.1);
  const Tensor map = make.uniform({8, 224, 224}, 0, 1);
  const auto op = [=]() -> Tensors {
    const Tensors all = track_attention(features, w, b, map);
    return {all[0], all[2]};  // F' and the loss, as the network uses them
  };
  return std::make_unique<SingleOp>(SingleOp::Inputs{{"features", features}, {"w", w}, {"b", b}, {"map", map}}, op, 2);
}

// ---- The process ----------------------------------------------------------------------------------------------------

/// A line of /proc/self/status, in MB (10^6 bytes).
double status_mb(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(key + ":")) return std::stod(line.substr(key.size() + 1)) * 1024e-6;
  fail("/proc/self/status: expected a line ", key);
}

double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

Json run(Work& work, int64_t times) {
  const double before = cpu_seconds();
  const Seconds sum = work.run(times);
  Json ms = Json::object();
  for (const auto& [part, s] : sum) ms[part] = 1e3 * s / double(times);
  return {{"ms", ms}, {"cpu_s", cpu_seconds() - before}};
}

void serve(const Options& options) {
  set_num_threads(options.threads);
  std::unique_ptr<Work> work;
  double before = 0;  // the resident set, MB
  if (options.work == "step") {
    const Config config = load_config(options.config, options.overrides);
    if (config.recipe == "full" || config.optimizer.kind != "sgd")
      fail(options.config,
           ": expected recipe gradtrack or gazemedseg, and optimizer.kind sgd, which have a PyTorch twin");
    Batch batch = first_batch(config);
    before = status_mb("VmRSS");
    work = std::make_unique<Step>(config, std::move(batch), options.device);
  } else {
    work = options.work == "attention" ? attention_work(options.device) : maps_work(options.work, options.device);
  }
  if (options.exported.empty()) {
    work->first();
  } else {
    write_safetensors(options.exported, work->first());
  }
  if (options.device == Device::cuda) {
    work->run(3);  // records the graph, whose memory is allocated once; the peak is not reset after it
  } else {
    std::ofstream("/proc/self/clear_refs") << 5;  // resets VmHWM
    reset_peak_bytes();
  }
  const auto answer = [](const Json& json) { std::cout << json.dump() << std::endl; };
  answer({{"ready", true}});
  for (std::string line; std::getline(std::cin, line);) {
    if (line == "memory") {
      const double buffers = 1e-6 * double(peak_bytes());
      answer({{"peak_mb", options.device == Device::cuda ? buffers : status_mb("VmHWM") - before},
              {"buffers_mb", buffers}});
    } else if (line.starts_with("run "))
      answer(run(*work, std::stoll(line.substr(4))));
    else
      fail("stdin: '", line, "': expected 'run N' or 'memory'");
  }
}

}  // namespace
}  // namespace gt

int main(int argc, char** argv) {
  gt::Options options;
  CLI::App app("GradTrack's side of bench/peers: runs one workload on request, for comparison with PyTorch.");
  app.footer("example:\n  echo 'run 5' | gradtrack_peer step --config configs/kvasir_small.yaml model.groups=2");
  app.add_option("work", options.work, "step, splat, distance or attention")
      ->required()
      ->check(CLI::IsMember({"step", "splat", "distance", "attention"}));
  app.add_option("overrides", options.overrides, "keys of the configuration as KEY=VALUE");
  app.add_option("--config", options.config, "configuration of the step");
  std::string device = "cpu";
  app.add_option("--device", device, "cpu or cuda")->check(CLI::IsMember({"cpu", "cuda"}));
  app.add_option("--export", options.exported, "safetensors file to write inputs, values and gradients to");
  app.add_option("--threads", options.threads, "threads; 0 for all processors")->check(CLI::Range(0, 1024));
  CLI11_PARSE(app, argc, argv);
  try {
    options.device = gt::choose_device(device);
    gt::serve(options);
  } catch (const std::exception& e) {
    std::cerr << "gradtrack_peer: " << e.what() << "\n";
    return 1;
  }
}
