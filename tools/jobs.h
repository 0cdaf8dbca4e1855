// Runs commands of this program as child processes, several at once.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace gt {

/// A sequence of commands that run one after another.
struct Job {
  std::string name;
  std::string log;  // file to which the output of the commands is appended
  /// Returns the arguments of the next command, or none if the job is complete. Called before every command.
  std::function<std::vector<std::string>()> next;
  std::string failure = {};  // why the job failed, "" if it did not
};

/// Functions that run_jobs() calls to report its progress.
struct JobObserver {
  std::function<void(const std::string&)> note;  // a line for the user
  /// Called about every second with the running jobs.
  std::function<void(const std::vector<const Job*>&)> progress;
};

/// Runs the jobs in order, at most `at_once` at a time. A job fails if a command fails or if next() repeats a command.
/// Other jobs continue. On a signal of StopSignals, the running commands get SIGINT, on which `train` saves its run.
/// Returns false, after they have ended, in this case. The commands also get SIGINT if this process dies.
bool run_jobs(std::vector<Job>& jobs, int64_t at_once, const JobObserver& observer);

}  // namespace gt
