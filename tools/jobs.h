// Commands of this program as child processes, some at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace gt {

/// Work done by commands one after the other.
struct Job {
  std::string name;
  std::string log;  // file that the commands' output is appended to
  /// Arguments of the command that is to be run next; none when all is done. Asked again after every command.
  std::function<std::vector<std::string>()> next;
  std::string failure = {};  // why it was given up, "" if it was not
};

/// Who is told how the jobs go on.
struct JobObserver {
  std::function<void(const std::string&)> note;  // a line for people
  /// About every second, with the jobs that are running.
  std::function<void(const std::vector<const Job*>&)> progress;
};

/// Runs the jobs in their order, `at_once` of them at a time. A job whose command fails, or asks for the same command
/// again, is given up; the others go on. On SIGINT and SIGTERM the running commands get SIGINT, so that `train` saves,
/// and are waited for: false then. They get it too if this process dies.
bool run_jobs(std::vector<Job>& jobs, int64_t at_once, const JobObserver& observer);

/// A lock that this process and its children hold on a folder (its file .lock) until the last of them is gone. Throws
/// Error if it is held already.
void lock_folder(const std::string& folder);

}  // namespace gt
