#include "tools/jobs.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "core/check.h"
#include "core/io.h"
#include "tools/signals.h"

namespace gt {
namespace {

/// Starts `gradtrack ARGUMENTS` with its output appended to `log`.
pid_t start(const std::vector<std::string>& arguments, const std::string& log) {
  const int output = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (output < 0) fail(log, ": cannot write: ", std::strerror(errno));
  const int input = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  std::string program = "gradtrack";
  std::vector<std::string> words = arguments;
  std::vector<char*> argv = {program.data()};
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t parent = getpid(), child = fork();
  if (child == 0) {  // only functions that are safe between fork() and exec()
    prctl(PR_SET_PDEATHSIG, SIGINT);
    if (getppid() != parent) _exit(1);
    dup2(input, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    execv("/proc/self/exe", argv.data());
    _exit(127);
  }
  const int reason = errno;
  ::close(input);
  ::close(output);
  if (child < 0) fail("cannot start a process: ", std::strerror(reason));
  return child;
}

/// The reason of a failed command: its exit status and the last line of its output.
std::string failure_of(int status, const std::string& log) {
  if (WIFSIGNALED(status)) return str_cat("killed by signal ", WTERMSIG(status));
  const std::vector<TextLine> lines = read_lines(log);
  return str_cat("exit ", WEXITSTATUS(status), lines.empty() ? "" : ": " + lines.back().text);
}

struct Running {
  Job* job;
  pid_t process;
  std::vector<std::string> command;
};

class Jobs {
 public:
  explicit Jobs(const JobObserver& observer) : observer_(observer) {}

  size_t running() const { return running_.size(); }

  /// Starts the next command of a job. `last` is its previous command, if any.
  void advance(Job& job, const std::vector<std::string>& last = {}) {
    try {
      const std::vector<std::string> command = job.next();
      if (command.empty()) return observer_.note(job.name + ": done");
      if (command == last) fail("'gradtrack ", command[0], "' exited with status 0, but its work is not done");
      running_.push_back({&job, start(command, job.log), command});
      observer_.note(job.name + ": " + command[0]);
    } catch (const Error& error) {
      fail_job(job, error.what());
    }
  }

  /// Handles the commands that have ended since the last call. Unless `stop`, their jobs continue.
  void poll(bool stop) {
    const std::vector<Running> before = std::exchange(running_, {});
    for (const Running& r : before) {
      int status = 0;
      const pid_t ended = waitpid(r.process, &status, WNOHANG);
      if (ended == 0 || (ended < 0 && errno == EINTR))
        running_.push_back(r);
      else if (stop)
        observer_.note(r.job->name + ": stopped");
      else if (ended > 0 && status == 0)
        advance(*r.job, r.command);
      else
        fail_job(*r.job, failure_of(status, r.job->log));
    }
  }

  void interrupt() const {
    for (const Running& r : running_) kill(r.process, SIGINT);
  }

  void report_progress() const {
    std::vector<const Job*> jobs;
    for (const Running& r : running_) jobs.push_back(r.job);
    observer_.progress(jobs);
  }

 private:
  void fail_job(Job& job, const std::string& why) {
    job.failure = why;
    observer_.note(str_cat(job.name, ": FAILED: ", why, " (", job.log, ")"));
  }

  const JobObserver& observer_;
  std::vector<Running> running_;
};

}  // namespace

bool run_jobs(std::vector<Job>& jobs, int64_t at_once, const JobObserver& observer) {
  const StopSignals signals;
  Jobs all(observer);
  size_t next = 0;
  bool passed_on = false;
  for (int64_t tick = 0; all.running() > 0 || (next < jobs.size() && !StopSignals::asked()); ++tick) {
    while (all.running() < size_t(at_once) && next < jobs.size() && !StopSignals::asked()) all.advance(jobs[next++]);
    usleep(100'000);
    if (StopSignals::asked() && !std::exchange(passed_on, true)) all.interrupt();
    all.poll(StopSignals::asked());
    if (tick % 10 == 0) all.report_progress();
  }
  return !StopSignals::asked();
}

}  // namespace gt
