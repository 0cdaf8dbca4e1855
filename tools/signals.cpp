#include "tools/signals.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>

namespace gt {
namespace {

std::atomic<bool> stop_asked = false;  // lock-free, so a signal handler may write it

}  // namespace

StopSignals::StopSignals() {
  stop_asked = false;
  struct sigaction action {};
  action.sa_handler = [](int) { stop_asked = true; };
  action.sa_flags = SA_RESTART;
  for (std::size_t i = 0; i < 4; ++i) {
    sigaction(signals_[i], nullptr, &before_[i]);
    if (signals_[i] != SIGHUP || before_[i].sa_handler != SIG_IGN) sigaction(signals_[i], &action, nullptr);
  }
}

StopSignals::~StopSignals() {
  for (std::size_t i = 0; i < 4; ++i) sigaction(signals_[i], &before_[i], nullptr);
}

bool StopSignals::asked() { return stop_asked; }

void secure_streams() {
  for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; ++stream)
    if (fcntl(stream, F_GETFD) < 0) (void)!open("/dev/null", O_RDWR);  // takes the lowest free descriptor, `stream`
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

}  // namespace gt
