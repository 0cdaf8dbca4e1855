// Training. A run is a folder with these files:
//   config.yaml        the configuration with every key
//   metrics.jsonl      one JSON object per line: facts of the run, losses every log_every iterations, validations
//   last.safetensors   the state to resume from: parameters, optimiser state, counters
//   best.safetensors   the parameters with the best validation Dice so far
//
// A run that is killed and resumed gives the metrics (except times) and parameters of an uninterrupted run.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/profile.h"
#include "models/evaluate.h"
#include "models/model.h"

namespace gt {

/// The state of a training after an iteration.
struct TrainReport {
  int64_t iteration = 0, iterations = 0;              // iterations done, and their number in the whole training
  double lr = 0;                                      // learning rate
  double total = 0;                                   // loss
  std::vector<std::pair<std::string, double>> terms;  // loss terms, before weighting
  double images_per_second = 0;
};

/// The result of a validation.
struct ValidationReport {
  int64_t iteration = 0;
  double dice = 0, iou = 0;  // means over the validation images
  bool best = false;         // whether the Dice is the best of the run so far
};

/// Functions that a run calls to report its progress. Each may be empty.
struct TrainingObserver {
  std::function<void(const std::string&)> message;              // a line for the user
  std::function<void(int64_t done, int64_t all)> pseudo_masks;  // images whose pseudo masks are computed
  std::function<void(const TrainReport&)> iteration;  // after every iteration, with the latest losses that are known
  std::function<void(const TrainReport&)> log;  // every log_every iterations, with mean losses since the last call
  std::function<void(const ValidationReport&)> validation;
  std::function<bool()> stop;  // called every log_every iterations; true saves and ends the run
};

/// Throws Error if the folder holds a run and `resume` is false. Trainer::run() checks this too, but only after the
/// data are loaded.
void require_free_folder(const std::string& folder, bool resume);

/// Throws Error if the device does not support config.precision.
void require_precision(const Config& config, Device device);

/// A training: data, network, optimiser and the folder that it writes to.
class Trainer {
 public:
  /// Loads the data, computes the pseudo masks that the recipe trains on, and makes the network on the device. Sets the
  /// number of threads of the process to config.threads.
  Trainer(const Config& config, TrainingObserver observer, Device device = Device::cpu);
  ~Trainer();

  /// Trains to the last iteration, or until observer.stop() returns true. Returns whether the last iteration is done.
  /// With `resume`, continues from last.safetensors in the folder, if it exists. Throws Error if the folder holds a run
  /// and `resume` is false, or if it holds a run of another configuration.
  bool run(const std::string& folder, bool resume);

  /// Profiles `iterations` training iterations after `warm_up` iterations. Writes no files.
  std::unique_ptr<Profile> profile(int64_t warm_up, int64_t iterations);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The iteration of the last checkpoint in a run's folder; 0 if there is none. Throws Error if the folder holds a run
/// of another configuration.
int64_t saved_iterations(const std::string& folder, const Config& config);

}  // namespace gt
