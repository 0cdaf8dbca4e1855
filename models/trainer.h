// Training. A run is a folder:
//   config.yaml        the configuration, every key resolved
//   metrics.jsonl      one JSON object a line: facts of the run, losses every log_every iterations, validations
//   last.safetensors   the state to resume from: parameters, optimiser state, counters
//   best.safetensors   the parameters with the best validation Dice so far
// A run that is killed at any moment and resumed writes the metrics (except times) and weights of an uninterrupted run.
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
  int64_t iteration = 0, iterations = 0;
  double lr = 0;
  double total = 0;                                   // loss
  std::vector<std::pair<std::string, double>> terms;  // of the loss, before weighting
  double images_per_second = 0;
};

struct ValidationReport {
  int64_t iteration = 0;
  double dice = 0, iou = 0;
  bool best = false;
};

/// Functions that a run calls to report its progress. Each may be empty.
struct Observer {
  std::function<void(const std::string&)> message;              // a line for people
  std::function<void(int64_t done, int64_t all)> pseudo_masks;  // while the images are loaded and their masks are made
  std::function<void(const TrainReport&)> iteration;            // after every iteration; the latest known losses
  std::function<void(const TrainReport&)> log;  // every log_every iterations; mean losses since the last
  std::function<void(const ValidationReport&)> validation;
  std::function<bool()> stop;  // asked every log_every iterations: true saves and ends the run
};

/// Throws Error if the folder holds a run and `resume` is off: what Trainer::run() refuses, before data are loaded.
void require_free_folder(const std::string& folder, bool resume);

/// Throws Error if the device cannot train in the configuration's precision.
void require_precision(const Config& config, Device device);

class Trainer {
 public:
  /// Loads the data, makes the pseudo masks of a recipe that trains on them, and makes the network on the device.
  Trainer(const Config& config, Observer observer, Device device = Device::cpu);
  ~Trainer();

  /// Trains to the last iteration, or until the observer stops it. With `resume`, continues from the folder's
  /// last.safetensors if there is one. Returns true if the last iteration is done. Throws Error if the folder holds a
  /// run and `resume` is false, or if it holds a run of another configuration.
  bool run(const std::string& folder, bool resume);

  /// Profiles `iterations` of training after `warm_up` others. Writes nothing.
  std::unique_ptr<Profile> profile(int64_t warm_up, int64_t iterations);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The iterations that the run in a folder has saved; 0 without a run. Throws Error if it is a run of another
/// configuration.
int64_t saved_iterations(const std::string& folder, const Config& config);

}  // namespace gt
