// What a thread did and when: the ranges of core/range.h, with the bytes of the tensors that each op's body was given
// (each counted once: the least that must move) and the floating-point operations of those that know them.
#pragma once

#include <string>
#include <vector>

#include "core/device.h"

namespace gt {

/// One range as it ran.
struct ProfiledRange {
  const char* name;
  std::string label;  // sizes, of the ops that tell them
  int depth;          // ranges around it
  double begin, end;  // seconds since the profile was made
  double own;         // seconds, less those of the ranges within
  double bytes = 0, flops = 0;
  bool op = false;                                 // an op's body, not a part of the program
  int kernels = 0, library_calls = 0, copies = 0;  // sent to the device, less those of the ranges within
  int64_t live_before = 0, live_after = 0;         // bytes in buffers on the profile's device
  int64_t max_live = 0;                            // while it ran

  /// Bytes that an op's body took for itself.
  int64_t workspace() const { return op ? max_live - live_before : 0; }
};

/// Collects the ranges of the thread that makes it, until it ends; one at a time. On CUDA each op is then waited for,
/// so that its time is its own. Memory is followed on one device.
class Profile {
 public:
  explicit Profile(Device device = Device::cpu);
  ~Profile();
  Profile(const Profile&) = delete;
  Profile& operator=(const Profile&) = delete;
  void end();  ///< collects no more; another one may be made

  /// In the order in which they began; those that are still open end in the future.
  const std::vector<ProfiledRange>& ranges() const { return ranges_; }

  /// Sums over the ranges of one name, or of one name and label.
  struct Total {
    std::string name{}, label{};
    int64_t calls = 0;
    double seconds = 0, bytes = 0, flops = 0;  // own seconds
    int64_t kernels = 0, library_calls = 0, copies = 0;
    int64_t workspace = 0;  // the largest
    bool op = false;

    Total& operator+=(const Total& other);  ///< sums, and the larger workspace
  };
  /// Largest time first.
  std::vector<Total> totals(bool by_label) const;

  /// The ranges as Chrome's trace events (JSON), which chrome://tracing and ui.perfetto.dev show.
  std::string trace() const;

 private:
  friend void begin_range(const char*);
  friend void end_range();
  friend void count_operand(size_t);
  friend void count_flops(double);
  friend void count_launch(Launched);
  friend void note_memory(Device, int64_t);
  friend void label_range(const std::string&);
  friend void begin_body(Device);
  friend void end_body(Device);

  double now() const;
  ProfiledRange& innermost() { return ranges_[open_.back()]; }

  int64_t start_;  // ns of the steady clock
  Device device_;  // whose memory is followed
  std::vector<ProfiledRange> ranges_;
  std::vector<size_t> open_;
};

}  // namespace gt
