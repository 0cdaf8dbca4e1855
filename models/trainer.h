// Training. A run is a folder with these files:
//   .lock              locked while a process writes to the folder
//   config.yaml        the configuration with every key
//   metrics.jsonl      one JSON object per line: facts of the run, losses every log_every iterations, validations
//   metrics.csv        the losses and validations as a table, as of the last checkpoint
//   last.safetensors   the state to resume from: parameters, optimiser state, counters
//   best.safetensors   the parameters with the best validation Dice so far
//
// One training at a time works in the folder. A run that is killed and resumed gives the metrics (except times) and
// parameters of an uninterrupted run.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/communicator.h"
#include "core/profile.h"
#include "layers/gradient_sum.h"
#include "models/evaluate.h"
#include "models/model.h"

namespace gt {

/// What every output says of a network that train.select=test chose.
inline constexpr const char* selected_on_test =
    "SELECTED ON TEST IMAGES: the best of many scores on the images that are scored; no figure of this run is unbiased";

/// The state of a training after an iteration.
struct TrainReport {
  int64_t iteration = 0, iterations = 0;              // iterations done, and their number in the whole training
  double lr = 0;                                      // learning rate
  double total = 0;                                   // loss
  std::vector<std::pair<std::string, double>> terms;  // loss terms, before weighting
  double images_per_second = 0;
  double gradient_norm = 0;  // L2 norm over all parameters, before clipping; 0 without optimizer.clip
};

/// The result of a validation.
struct ValidationReport {
  int64_t iteration = 0;
  double dice = 0, iou = 0;                                // means over the validation images
  bool best = false;                                       // whether the Dice is the best of the run so far
  std::vector<std::pair<std::string, double>> means = {};  // of each metric that is known, by its key
  // What was validated, for the time of the call:
  const Model* model = nullptr;
  const SampleSource* images = nullptr;
  const DataOptions* data = nullptr;  // how the images are read
};

/// Functions that a run calls to report its progress. Each may be empty.
struct TrainingObserver {
  std::function<void(const std::string&)> message;              // a line for the user
  std::function<void(int64_t done, int64_t all)> pseudo_masks;  // images whose pseudo masks are computed
  std::function<void(const TrainReport&)> iteration;  // after every iteration, with the latest losses that are known
  std::function<void(const TrainReport&)> log;  // every log_every iterations, with mean losses since the last call
  std::function<void(const ValidationReport&)> validation;
  /// Called after every iteration and, by several threads, while images are loaded. True ends the run.
  std::function<bool()> stop;
};

/// Thrown if TrainingObserver::stop returns true before the training has begun.
class Interrupted : public Error {
  using Error::Error;
};

/// Throws Error if the folder holds a file of a run and `resume` is false. Trainer::run() checks this too, but only
/// after the data are loaded.
void require_free_folder(const std::string& folder, bool resume);

/// Throws Error if the device does not support config.precision.
void require_precision(const Config& config, Device device);

/// A training: data, network, optimiser and the folder that it writes to.
class Trainer {
 public:
  /// Loads the data, computes the pseudo masks that the recipe trains on, and makes the network on the device. Sets the
  /// number of threads of the process to config.threads. Several processes share pseudo masks, batches and validations;
  /// rank 0 writes the files. Throws Interrupted if observer.stop() returns true, and Error if the configuration or the
  /// data of another process differ from rank 0's.
  Trainer(const Config& config, TrainingObserver observer, Device device = Device::cpu,
          const Communicator& processes = {});
  ~Trainer();

  /// Locks the folder and trains to the last iteration, or until observer.stop() returns true; then it saves the run
  /// and returns false. With `resume`, continues from last.safetensors in the folder. A run that was ended before its
  /// first checkpoint starts again. Throws Error if another process works in the folder, if it holds a run and `resume`
  /// is false, if it holds a run of another configuration, and if a file of the run is missing or damaged.
  bool run(const std::string& folder, bool resume);

  /// Profiles `iterations` training iterations after `warm_up` iterations. Writes no files.
  std::unique_ptr<Profile> profile(int64_t warm_up, int64_t iterations);

  /// How the gradients of the last step were summed over several processes.
  SumTimes sum_times() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// What the last checkpoint of a run says.
struct RunProgress {
  int64_t iteration = 0;
  bool finished = false;  // the last iteration and its validation are done
};

/// The progress of the run in a folder; none if there is no checkpoint. Throws Error if the folder holds a run of
/// another configuration.
RunProgress saved_progress(const std::string& folder, const Config& config);

}  // namespace gt
