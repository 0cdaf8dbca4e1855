// Starts the program under faults: signals, closed descriptors, limits, failing system calls.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace gt::faults {

struct Command {
  std::vector<std::string> words;
  std::vector<int> closed = {};  // descriptors that are closed in the new process
  bool broken_output = false;    // standard output is a pipe that nobody reads
  int64_t max_file_bytes = 0;    // 0: no limit
};

struct Outcome {
  int status = 0;     // exit code; -N if signal N ended the process
  std::string error;  // the last line of standard error
};

/// A running process. It is killed if it still runs at the end of the object's life.
class Process {
 public:
  /// Starts a command, whose standard error goes to the file `errors`.
  Process(const Command& command, std::string errors);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void signal(int number) const;
  /// Waits for the end.
  Outcome wait();
  bool running();

 private:
  std::string errors_;
  pid_t id_ = -1;
  int status_ = 0;
  bool ended_ = false;
};

/// The command's outcome, with its standard error in the file `errors`.
Outcome outcome_of(const Command& command, const std::string& errors);

void sleep_seconds(double seconds);
/// Seconds on a clock that only goes forward.
double now();

}  // namespace gt::faults
