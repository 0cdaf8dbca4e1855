// Runs the program as users do, in a shell.
#pragma once

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "tests/catch.h"
#include "tests/temp_folder.h"

namespace gt {

struct Result {
  int status = 0;
  std::string out, err;
};

/// Runs `gradtrack ARGUMENTS` in a shell.
inline Result run(const std::string& arguments) {
  const TempFolder tmp;
  const std::string command =
      std::string(GT_PROGRAM) + " " + arguments + " >" + tmp / "out" + " 2>" + tmp / "err" + " </dev/null";
  const int status = std::system(command.c_str());
  return {WEXITSTATUS(status), read_file(tmp / "out"), read_file(tmp / "err")};
}

/// `gradtrack ARGUMENTS`, running beside the test in a shell of its own. It is killed at the end.
class RunningProgram {
 public:
  explicit RunningProgram(const std::string& arguments) {
    const std::string command = std::string("exec ") + GT_PROGRAM + " " + arguments + " >" + tmp_ / "out" + " 2>" +
                                tmp_ / "err" + " </dev/null";
    process_ = fork();
    if (process_ == 0) {
      execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      _exit(127);
    }
  }
  ~RunningProgram() { end_with(SIGKILL); }
  RunningProgram(const RunningProgram&) = delete;

  pid_t process() const { return process_; }

  /// Sends a signal and waits for the end. The status of a program that the signal killed is 128 + the signal.
  Result end_with(int signal) {
    if (process_ == 0) return {};
    int status = 0;
    kill(process_, signal);
    waitpid(std::exchange(process_, 0), &status, 0);
    return {WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status), read_file(tmp_ / "out"),
            read_file(tmp_ / "err")};
  }

 private:
  TempFolder tmp_;
  pid_t process_ = 0;
};

/// Waits until a file contains a text, at most a minute. Returns whether it does.
inline bool wait_for(const std::string& path, const std::string& text) {
  for (int i = 0; i < 6000; ++i) {
    if (std::filesystem::exists(path) && read_file(path).find(text) != std::string::npos) return true;
    usleep(10'000);
  }
  return false;
}

inline bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// Checks for exit code 1 and one line of error that contains `parts`.
inline void check_error(const std::string& arguments, const std::vector<std::string>& parts) {
  const Result r = run(arguments);
  INFO(arguments << "\n" << r.err);
  CHECK(r.status == 1);
  const std::string last =
      r.err.substr(r.err.rfind("gradtrack: ") == std::string::npos ? 0 : r.err.rfind("gradtrack: "));
  CHECK(std::count(last.begin(), last.end(), '\n') == 1);
  CHECK(last.rfind("gradtrack: ", 0) == 0);
  for (const std::string& part : parts) {
    INFO("expected in the error: " << part);
    CHECK(has(last, part));
  }
}

inline constexpr const char* tiny_yaml =
    "data: {size: 32, threads: 2}\n"
    "model: {features: [4, 4, 8, 8, 16, 4]}\n"
    "augment: {rotate: 20}\n"
    "train: {batch: 4, iterations: 60, log_every: 2, val_every: 20, checkpoint_every: 4}\n";

/// A temporary folder with a small data set and a configuration for it.
struct Workplace {
  TempFolder tmp;
  std::string data = tmp / "data", config = tmp / "tiny.yaml";
  Workplace() {
    REQUIRE(run("synth --out " + data + " --count 20 --size 48").status == 0);
    write(config, tiny_yaml);
  }
  std::string train(const std::string& more, const std::string& out) const {
    return "train " + config + " data.root=" + data + " " + more + " --out " + tmp / out;
  }
};

}  // namespace gt
