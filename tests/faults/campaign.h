// The campaign of faults: a small training is disturbed in many ways, resumed, and compared with an undisturbed one.
#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "tests/faults/process.h"

namespace gt::faults {

/// One kind of fault and what came of it.
struct Row {
  std::string fault, promise;
  int64_t tried = 0;
  std::vector<std::string> losses = {};  // what did not hold, a line each
  std::string skipped = {};              // why the fault could not be tried

  /// Counts a try. `loss` says what did not hold, "" if all held.
  void add(const std::string& loss) {
    ++tried;
    if (!loss.empty()) losses.push_back(loss);
  }
};

/// A data set, a configuration of seconds and the undisturbed run, in a folder of their own.
class Workshop {
 public:
  Workshop(std::string program, std::string folder, uint64_t seed);

  /// `train` into the folder NAME, continuing what is there.
  Command training(const std::string& name) const;
  Command evaluation(const std::string& name) const;
  Outcome run(const Command& command) const;
  /// Resumes the run NAME without faults and compares it with the undisturbed one; "" if they are equal.
  std::string resumed_differs(const std::string& name) const;
  /// An unfinished copy of the undisturbed run, whose last checkpoint is half-way.
  void copy_half_way(const std::string& name) const;
  void remove(const std::string& name) const;
  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  std::string errors() const { return path("errors.txt"); }
  double uniform(double low, double high) { return std::uniform_real_distribution(low, high)(random_); }

  double seconds = 0;  // that the undisturbed run takes

 private:
  std::string program_, folder_;
  std::mt19937_64 random_;
};

/// How two run folders differ, except for measured times; "" if they do not.
std::string difference(const std::string& a, const std::string& b);

/// Whether the outcome is status 1 with an error that contains `part`; else what it is instead.
std::string not_refused(const Outcome& outcome, const std::string& part);

Row kills(Workshop& w);
Row signals(Workshop& w);
Row failing_calls(Workshop& w);
Row full_disk(Workshop& w);
Row file_limit(Workshop& w);
Row truncated_checkpoints(Workshop& w);
Row flipped_bits(Workshop& w);
Row two_trainings(Workshop& w);
Row closed_streams(Workshop& w);

}  // namespace gt::faults
