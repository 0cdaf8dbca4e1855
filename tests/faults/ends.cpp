// Faults that end or disturb the process: kills, signals, closed streams, a second process.
#include <csignal>
#include <cstring>
#include <filesystem>

#include "core/check.h"
#include "tests/faults/campaign.h"

namespace gt::faults {

Row kills(Workshop& w) {
  Row row = {"kill at a random moment", "resumed bit by bit"};
  constexpr int64_t kills_a_run = 3, all = 21;
  for (int64_t killed = 0; killed < all;) {
    w.remove("killed");
    std::string moments;
    for (int64_t i = 0; i < kills_a_run; ++i) {
      Process process(w.training("killed"), w.errors());
      const double moment = w.uniform(0.01, 0.8 * w.seconds);
      sleep_seconds(moment);
      process.signal(SIGKILL);
      killed += process.wait().status == -SIGKILL;
      moments += str_cat(" ", moment);
    }
    const std::string loss = w.resumed_differs("killed");
    row.tried = killed;
    if (!loss.empty()) row.losses.push_back(str_cat("killed after", moments, " s: ", loss));
  }
  return row;
}

Row signals(Workshop& w) {
  Row row = {"signal TERM, HUP, USR1, INT", "ends within 1 s, saved, resumed bit by bit"};
  for (const int number : {SIGTERM, SIGHUP, SIGUSR1, SIGINT})
    for (const double share : {0.02, 0.2, 0.6}) {
      w.remove("signalled");
      Process process(w.training("signalled"), w.errors());
      sleep_seconds(0.03 + share * w.seconds);
      process.signal(number);
      const double sent = now();
      const Outcome outcome = process.wait();
      const double took = now() - sent;
      std::string loss;
      if (outcome.status != 0) loss = not_refused(outcome, "interrupted");  // 0: it had ended before
      if (loss.empty() && took > 1) loss = str_cat("takes ", took, " s");
      if (loss.empty()) loss = w.resumed_differs("signalled");
      row.add(loss.empty() ? "" : str_cat(strsignal(number), " at ", share, ": ", loss));
    }
  return row;
}

Row closed_streams(Workshop& w) {
  Row row = {"closed standard streams, broken pipe", "trains on; nothing printed gets into a file"};
  const std::vector<std::vector<int>> closed = {{0}, {1}, {2}, {0, 1}, {1, 2}, {0, 1, 2}, {}};
  for (const std::vector<int>& descriptors : closed) {
    w.remove("closed");
    Command command = w.training("closed");
    command.closed = descriptors;
    command.broken_output = descriptors.empty();
    const Outcome outcome = w.run(command);
    std::string loss = outcome.status == 0 ? difference(w.path("closed"), w.path("undisturbed"))
                                           : str_cat("ends with ", outcome.status, ": ", outcome.error);
    if (!loss.empty())
      for (const int d : descriptors) loss += str_cat(" (", d, " closed)");
    row.add(loss);
  }
  return row;
}

Row two_trainings(Workshop& w) {
  Row row = {"a second training in the folder", "refused by name; the first is not disturbed"};
  for (const double share : {0.1, 0.3, 0.5}) {
    w.remove("shared");
    Process first(w.training("shared"), w.path("first.txt"));
    sleep_seconds(0.05 + share * w.seconds);
    const Outcome second = w.run(w.training("shared"));
    const Outcome end = first.wait();
    std::string loss = not_refused(second, "process");
    if (loss.empty() && end.status != 0) loss = str_cat("the first ends with ", end.status, ": ", end.error);
    if (loss.empty()) loss = difference(w.path("shared"), w.path("undisturbed"));
    row.add(loss);
  }
  return row;
}

}  // namespace gt::faults
