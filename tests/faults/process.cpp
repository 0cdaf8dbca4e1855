#include "tests/faults/process.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "core/io.h"

namespace gt::faults {
namespace {

/// Becomes the command. Runs between fork and exec.
[[noreturn]] void become(const Command& command, const std::string& errors, const std::vector<char*>& words) {
  const int null = open("/dev/null", O_RDWR);
  const int file = open(errors.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  dup2(null, 0);
  dup2(null, 1);
  dup2(file, 2);
  if (int ends[2]; command.broken_output && pipe(ends) == 0) {
    close(ends[0]);
    dup2(ends[1], 1);
    close(ends[1]);
  }
  if (null > 2) close(null);
  if (file > 2) close(file);
  for (const int descriptor : command.closed) close(descriptor);
  if (command.max_file_bytes > 0) {
    const rlimit limit = {rlim_t(command.max_file_bytes), rlim_t(command.max_file_bytes)};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  execvp(words[0], words.data());
  _exit(127);
}

std::string last_line(const std::string& path) {
  std::string line;
  for (const TextLine& l : read_lines(path)) line = l.text;
  return line;
}

}  // namespace

Process::Process(const Command& command, std::string errors) : errors_(std::move(errors)) {
  std::vector<char*> words;
  for (const std::string& word : command.words) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  id_ = fork();
  if (id_ < 0) fail(command.words[0], ": cannot start a process");
  if (id_ == 0) become(command, errors_, words);
}

Process::~Process() {
  if (!running()) return;
  signal(SIGKILL);
  wait();
}

void Process::signal(int number) const { kill(id_, number); }

bool Process::running() {
  if (!ended_ && waitpid(id_, &status_, WNOHANG) == id_) ended_ = true;
  return !ended_;
}

Outcome Process::wait() {
  if (!ended_) waitpid(id_, &status_, 0);
  ended_ = true;
  return {WIFEXITED(status_) ? WEXITSTATUS(status_) : -WTERMSIG(status_), last_line(errors_)};
}

Outcome outcome_of(const Command& command, const std::string& errors) { return Process(command, errors).wait(); }

void sleep_seconds(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace gt::faults
