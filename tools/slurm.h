// Runs of an experiment as jobs of Slurm: an array with a job for each run, and a job for the tables after all of them.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace gt {

struct SlurmOptions {
  std::string partition, time;       // "" for Slurm's defaults
  int64_t gpus = 0;                  // of each run
  std::vector<std::string> options;  // more options of sbatch
};

/// The jobs that were last submitted for an experiment.
struct SlurmJobs {
  std::string array, tables;  // their ids; "" if none were submitted
};

/// The jobs that the folder records.
SlurmJobs submitted_jobs(const std::string& folder);

/// The state of each job of an array that Slurm still knows, such as PENDING or RUNNING, by its place in the array.
/// Empty if Slurm does not know the array. Throws Error if Slurm does not answer.
std::map<size_t, std::string> array_states(const std::string& array);

/// Submits an array with the places of unfinished runs, and a job that begins when all have ended. A job of the array
/// runs `gradtrack RUN... --run PLACE`, the last one `gradtrack TABLES...`. `threads` are the processors of a run, 0
/// for Slurm's default. Scripts and output go to FOLDER/slurm. Before Slurm's time limit ends a job, its run is saved
/// and the job is queued again. Throws Error if Slurm refuses.
SlurmJobs submit_jobs(const std::string& folder, const std::vector<size_t>& places, const std::vector<std::string>& run,
                      const std::vector<std::string>& tables, int64_t threads, const SlurmOptions& options);

}  // namespace gt
