// Training. A run is a folder:
//   config.yaml        the configuration, every key resolved
//   metrics.jsonl      one JSON object a line: facts of the run, losses every log_every iterations, validations
//   last.safetensors   where to go on from: parameters, optimiser state, counters
//   best.safetensors   the parameters with the best validation Dice so far
// Killed at any moment and resumed, a run writes the same metrics (times aside) and weights as one left alone.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/profile.h"
#include "models/evaluate.h"
#include "models/model.h"

namespace gt {

/// Losses averaged over the iterations since the last report.
struct TrainReport {
  int64_t iteration = 0, iterations = 0;
  double lr = 0;
  double total = 0, segmentation = 0;
  std::vector<double> track;  // coarsest first
  double images_per_second = 0;
};

struct ValidationReport {
  int64_t iteration = 0;
  double dice = 0, iou = 0;
  bool best = false;
};

/// What a run tells while it goes on; each may be empty.
struct Observer {
  std::function<void(const std::string&)> note;                 // a line for people
  std::function<void(int64_t done, int64_t all)> pseudo_masks;  // while the images are loaded and they are made
  std::function<void(const TrainReport&)> iteration;  // after every iteration; losses are the latest that are known
  std::function<void(const TrainReport&)> log;        // every log_every iterations; losses are means
  std::function<void(const ValidationReport&)> validation;
  std::function<bool()> stop;  // asked after every iteration: true saves and ends
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

  /// Trains to the last iteration, or until the observer stops it. With `resume`, goes on from the folder's
  /// last.safetensors if there is one. True if the last iteration is done. Throws Error if the folder holds a run and
  /// `resume` is off, or a run of another configuration.
  bool run(const std::string& folder, bool resume);

  /// What `iterations` of training do, after `warm_up` others. Nothing is kept of them.
  std::unique_ptr<Profile> profile(int64_t warm_up, int64_t iterations);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Iterations that the run in a folder has saved; 0 if there is none yet. Throws Error if it is a run of another
/// configuration.
int64_t saved_iterations(const std::string& folder, const Config& config);

}  // namespace gt
