// Signals of users and batch systems, and standard streams that are closed.
#pragma once

#include <csignal>

namespace gt {

/// While one is alive, SIGINT, SIGTERM, SIGHUP and SIGUSR1 only ask to stop. SIGHUP stays ignored if it was, as nohup
/// does. One at a time.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  /// Whether such a signal has come. May be called by any thread.
  static bool asked();

 private:
  static constexpr int signals_[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};
  struct sigaction before_[4];
};

/// Prepares the process for closed streams and full disks: opens standard streams that are closed on /dev/null, so that
/// no file gets their descriptors, and lets writes to a closed pipe or beyond a size limit fail instead of ending the
/// process.
void secure_streams();

}  // namespace gt
