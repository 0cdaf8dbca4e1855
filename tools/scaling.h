// Predicts how a training step scales over processes, for `gradtrack info --plan --ranks`.
#pragma once

#include <string>
#include <vector>

#include "core/device.h"
#include "models/config.h"

namespace gt {

struct ScalingOptions {
  std::vector<int> ranks;          // numbers of processes; none for no prediction
  std::string network = "nvlink";  // a name of scaling_networks()
  double step_ms = 0;              // measured time of a step in one process
};

/// The names of the networks that predictions know.
std::vector<std::string> scaling_networks();

/// A training step by several processes, as predicted. Times are in seconds.
struct ScaledStep {
  int64_t batch = 0;   // images of each process
  double compute = 0;  // without communication
  double bytes = 0;    // that each process sends
  double reduce = 0;   // time of all sums
  double exposed = 0;  // the part of it that computing does not hide
  double step() const { return compute + exposed; }
};

/// Predicts a step of `batch` images in each of `ranks` processes. `compute` is its time in one process without sums,
/// `gradients` the bytes that are summed. Throws Error for an unknown network.
ScaledStep predict_step(const std::string& network, int ranks, int64_t batch, double compute, double gradients);

/// Prints tables of strong scaling, which divides train.batch, and of weak scaling, where each process has train.batch
/// images. Throws Error for options without sense.
void print_scaling(const ScalingOptions& options, const Config& config, Device device);

}  // namespace gt
