// gradtrack train
#include <cstdio>
#include <filesystem>
#include <memory>

#include "core/device.h"
#include "core/folder_lock.h"
#include "core/io.h"
#include "core/text.h"
#include "models/recipes.h"
#include "models/trainer.h"
#include "tools/commands.h"
#include "tools/profile.h"
#include "tools/progress.h"
#include "tools/run_config.h"
#include "tools/shell.h"
#include "tools/signals.h"
#include "tools/tensorboard.h"

namespace gt {
namespace {

struct Options {
  std::string config;
  std::vector<std::string> overrides;
  std::string out;
  std::string device = "auto";
  bool resume = false, print_config = false;
  int64_t profile = 0;  // iterations to profile; 0 trains
};

/// Speed, loss and loss terms for a progress line. The name of a term with levels is printed once, before level 1.
std::string facts_of(const TrainReport& r) {
  char buffer[128];
  std::snprintf(buffer, sizeof buffer, "%.1f images/s  loss %.4f", r.images_per_second, r.total);
  std::string line = buffer;
  if (r.gradient_norm > 0) {
    std::snprintf(buffer, sizeof buffer, "  gradient %.3g", r.gradient_norm);
    line += buffer;
  }
  if (r.terms.size() == 1) return line;
  for (const auto& [name, value] : r.terms) {
    const size_t level = name.rfind('_');
    const bool leveled = level != name.npos, first = leveled && name.substr(level) == "_1";
    if (!leveled || first) line += "  " + name.substr(0, level);
    std::snprintf(buffer, sizeof buffer, " %.3f", value);
    line += buffer;
  }
  return line;
}

TrainingObserver observe(std::unique_ptr<ProgressBar>& bar, const Config& config) {
  const auto start = [&bar, n = config.train.iterations](int64_t done) {
    if (!bar) bar = std::make_unique<ProgressBar>("train", n, done);
  };
  TrainingObserver observer;
  observer.message = [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); };
  observer.pseudo_masks = [&bar](int64_t done, int64_t all) {
    if (!bar) bar = std::make_unique<ProgressBar>("pseudo masks", all);
    bar->update(done, "images");
    if (done == all) bar.reset();
  };
  observer.iteration = [&bar, start](const TrainReport& r) {
    start(r.iteration - 1);
    bar->update(r.iteration, facts_of(r));
  };
  observer.log = [&bar](const TrainReport& r) {
    if (bar->on_terminal()) return;
    bar->line(
        str_cat("iteration ", r.iteration, "/", r.iterations, "  left ", bar->left(r.iteration), "  ", facts_of(r)));
  };
  observer.validation = [&bar, start](const ValidationReport& v) {
    start(v.iteration);
    char buffer[128];
    std::snprintf(buffer, sizeof buffer, "validation at %lld: Dice %.4f  IoU %.4f%s", (long long)v.iteration, v.dice,
                  v.iou, v.best ? "  (best so far)" : "");
    bar->line(buffer);
  };
  observer.stop = [] { return StopSignals::asked(); };
  return observer;
}

/// What a process other than rank 0 reports: nothing.
TrainingObserver silent_observer() {
  TrainingObserver observer;
  observer.stop = [] { return StopSignals::asked(); };
  return observer;
}

/// How the gradients of the last step were summed, and how much of that other work hid.
void print_sum_times(const SumTimes& t, int processes) {
  const double hidden = t.total > 0 ? 1 - t.waiting / t.total : 1;
  std::printf("gradients: %.1f MB sent by each of %d processes, %.2f ms in all, %.2f ms waited for, %.0f %% hidden\n",
              double(t.bytes) / 1e6, processes, 1e3 * t.total, 1e3 * t.waiting, 100 * hidden);
}

void profile(Config config, Device device, const Options& o, const Communicator& processes) {
  constexpr int64_t warm_up = 3;
  config.train.cuda_graph = false;  // a replayed graph has no ranges of ops
  ProgressBar bar("profile", warm_up + o.profile);
  TrainingObserver observer;
  if (processes.rank() == 0) observer.iteration = [&](const TrainReport& r) { bar.update(r.iteration, ""); };
  Trainer trainer(config, observer, device, processes);
  const std::unique_ptr<Profile> profile = trainer.profile(warm_up, o.profile);
  if (processes.rank() > 0) return;
  if (processes.size() > 1) print_sum_times(trainer.sum_times(), processes.size());
  make_folder(o.out);
  write_profile(*profile, device, o.out + "/trace.json");
}

/// The arguments that continue a run, or start it again if it was ended before it began.
std::vector<std::string> continue_arguments(const Options& o) {
  std::vector<std::string> words = {"train", o.config};
  words.insert(words.end(), o.overrides.begin(), o.overrides.end());
  words.insert(words.end(), {"--out", o.out, "--device", o.device, "--resume"});
  return words;
}

/// Adds what is passed to the observer to a log for TensorBoard too.
void observe(TrainingObserver& observer, TensorBoardLog& log) {
  observer.log = [print = observer.log, &log](const TrainReport& r) {
    log.add(r);
    print(r);
  };
  observer.validation = [print = observer.validation, &log](const ValidationReport& v) {
    log.add(v);
    print(v);
  };
}

/// Trains in the folder o.out. Returns false if a signal stopped it and the run is saved.
bool train_run(const Options& o, const Config& config, Device device, const Communicator& processes) {
  std::unique_ptr<ProgressBar> bar;
  try {
    if (processes.rank() > 0) return Trainer(config, silent_observer(), device, processes).run(o.out, o.resume);
    TensorBoardLog tensorboard(o.out, o.resume);
    TrainingObserver observer = observe(bar, config);
    if (config.train.tensorboard) observe(observer, tensorboard);
    return Trainer(config, observer, device, processes).run(o.out, o.resume);
  } catch (const Interrupted&) {
    bar.reset();
    fail("interrupted before the training began; start again with: ", shell_command(continue_arguments(o)));
  }
}

void train(const Options& o) {
  const Communicator processes = connect_processes();
  const bool first = processes.rank() == 0;  // the one that reports
  ConfigNotes notes;
  const Config config =
      first ? load_config_with_warnings(o.config, o.overrides, &notes) : load_config(o.config, o.overrides);
  if (o.print_config) {
    if (first) std::printf("%s", open_config(config).c_str());
    return;
  }
  std::string why;
  const Device device = choose_device(o.device, &why);
  if (first && !why.empty()) std::fprintf(stderr, "device %s: %s\n", to_string(device), why.c_str());
  if (first)
    std::fprintf(stderr, "recipe %s, %s in %s\n", config.recipe.c_str(), o.profile > 0 ? "trace" : "run",
                 o.out.c_str());
  if (const auto defaults = used_defaults(config, notes); first && !defaults.empty())
    std::fprintf(stderr, "defaults of recipe %s: %s\n", config.recipe.c_str(), joined(defaults, " ").c_str());
  if (o.profile > 0) return profile(config, device, o, processes);
  if (first) {
    require_unlocked(o.out);
    require_free_folder(o.out, o.resume);
  }
  const StopSignals signals;
  if (!train_run(o, config, device, processes))
    fail("interrupted; the run is saved, continue with: ", shell_command(continue_arguments(o)));
  if (first)
    std::fprintf(stderr, "done: %s/best.safetensors; evaluate with: %s\n", o.out.c_str(),
                 shell_command({"eval", o.out}).c_str());
}

}  // namespace

void add_train_command(CLI::App& app) {
  auto* command = app.add_subcommand("train", "Train a network from a YAML configuration");
  auto o = std::make_shared<Options>();
  command->add_option("config", o->config, "YAML configuration, see configs/")->required()->type_name("CONFIG.yaml");
  command->add_option("overrides", o->overrides, "keys that override the file, e.g. train.batch=4")
      ->type_name("key=value ...");
  command->add_option("--out", o->out, "output folder of the run (default runs/<name of the configuration>)")
      ->type_name("DIR");
  command->add_flag("--resume", o->resume, "continue from the last checkpoint of the run, if it has one");
  command->add_flag("--print-config", o->print_config,
                    "print every key with its value and meaning instead of training");
  command->add_option("--device", o->device, "device: auto, cpu or cuda")->capture_default_str();
  command
      ->add_option("--profile", o->profile,
                   "time the ops of N iterations instead of training, and write DIR/trace.json")
      ->expected(0, 1)
      ->default_str("10")
      ->check(CLI::Range(1, 10000))
      ->type_name("N");
  command->footer(
      "Writes these files to the output folder:\n"
      "  config.yaml       every key of the configuration\n"
      "  metrics.jsonl     losses and validation scores, one JSON object per line\n"
      "  metrics.csv       the same numbers as a table, as of the last checkpoint\n"
      "  tensorboard/      event files for TensorBoard, with train.tensorboard=true\n"
      "  best.safetensors  the network with the best validation Dice\n"
      "  last.safetensors  the state to resume from\n"
      "Ctrl-C and the signals TERM, HUP and USR1 save the run and end it with status 1. --resume continues it\n"
      "with the results of an uninterrupted run. One process at a time can work in the folder.\n\n"
      "mpirun and srun start one training in several processes, which share each batch: see docs/cluster.md.\n\n"
      "Examples:\n  gradtrack train configs/kvasir_small.yaml data.root=data/kvasir-seg seed=2 --out runs/kvasir_2\n"
      "  gradtrack train configs/kvasir_small.yaml data.root=data/kvasir-seg --profile --out runs/profile\n"
      "  mpirun -np 4 gradtrack train configs/kvasir_small.yaml data.root=data/kvasir-seg");
  command->callback([o] {
    if (o->out.empty()) o->out = "runs/" + std::filesystem::path(o->config).stem().string();
    train(*o);
  });
}

}  // namespace gt
