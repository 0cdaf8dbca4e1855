// What the processes of one training do together, besides batches.
#pragma once

#include <string>
#include <vector>

#include "core/communicator.h"
#include "gaze/dataset.h"
#include "models/config.h"
#include "models/training_step.h"

namespace gt {

/// Throws Error in every process whose configuration gives other results than rank 0's, or that has another version of
/// the program, naming the first difference.
void require_same_config(const Communicator& processes, const Config& config);

/// Throws Error in every process whose files (files_text()) differ from rank 0's, naming the first difference.
void require_same_files(const Communicator& processes, const std::string& root, const std::string& files);

/// Throws Error in every process that starts after another iteration or with other parameters than rank 0.
void require_same_start(const Communicator& processes, int64_t iteration, const Parameters& parameters);

/// Whether this process makes the pseudo masks of a sample.
inline bool makes_pseudo_masks_of(const Communicator& processes, size_t sample) {
  return int(sample % size_t(processes.size())) == processes.rank();
}

/// Gives the samples the pseudo masks that other processes made. A sample has `count` masks (side,side,1).
void exchange_pseudo_masks(const Communicator& processes, Dataset& dataset, size_t count, int64_t side);

/// The losses of whole batches from those of this process's parts, summed over the processes. Norms of gradients stay,
/// since each process has those of the whole batches. *stop becomes true if it is true in any process.
std::vector<StepLosses> sum_losses(const Communicator& processes, std::vector<StepLosses> losses, bool* stop);

}  // namespace gt
