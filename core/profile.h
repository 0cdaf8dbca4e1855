// Profile: what a thread ran and how long it took, as the ranges of core/range.h. An op's range also has the bytes of
// its operands, each counted once, and its floating-point operations if it reports them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/device.h"
#include "core/kernel_info.h"
#include "core/memory_profile.h"

namespace gt {

/// One range, as it ran.
struct ProfiledRange {
  const char* name;
  std::string label;  // sizes, of ops that report them
  int depth;          // number of ranges around it
  double begin, end;  // seconds since the profile was constructed
  double own;         // seconds, less those of the ranges inside
  double bytes = 0, flops = 0;
  bool op = false;                                 // the body of an op
  int kernels = 0, library_calls = 0, copies = 0;  // sent to the device, less those of the ranges inside
  int64_t live_before = 0, live_after = 0;         // bytes in buffers on the profile's device
  int64_t max_live = 0;                            // the largest number of such bytes while it ran

  /// Bytes that an op's body allocated for its own use; 0 for other ranges.
  int64_t workspace() const { return op ? max_live - live_before : 0; }
};

/// Collects the ranges of the thread that constructs it, until end(). A thread has one at a time. On CUDA the thread
/// waits for the device before and after each op, so that an op's time excludes other ops. Memory is followed on one
/// device.
class Profile {
 public:
  explicit Profile(Device device = Device::cpu);  ///< throws Error if this thread has one
  ~Profile();
  Profile(const Profile&) = delete;
  Profile& operator=(const Profile&) = delete;
  void end();  ///< stops collecting; the thread may then construct another profile

  /// In the order in which they began. The end of a range that is still open is infinity.
  const std::vector<ProfiledRange>& ranges() const { return ranges_; }

  /// Sums over the ranges of one name, or of one name and label.
  struct Total {
    std::string name{}, label{};
    int64_t calls = 0;
    double seconds = 0;  // own seconds
    double bytes = 0, flops = 0;
    int64_t kernels = 0, library_calls = 0, copies = 0;
    int64_t workspace = 0;  // the largest
    bool op = false;

    Total& operator+=(const Total& other);  ///< adds counts, keeps the larger workspace
  };
  /// Largest time first.
  std::vector<Total> totals(bool by_label) const;

  /// The kernels that were launched, with the number of times.
  const std::map<KernelLaunch, int64_t>& launches() const { return launches_; }

  /// Bytes in buffers at one moment.
  struct Holder {
    std::string name, label;  // of the op that they belong to
    int64_t bytes = 0;
    bool op = false;  // false: of a range outside ops, or `before` with buffers of before the profile or other threads
  };
  static constexpr const char* before = "before";
  /// What the buffers on the device belonged to when most of their bytes were live. Largest first.
  std::vector<Holder> peak_holders() const;

  /// The ranges, and the bytes in buffers by op after each op, as JSON in Chrome's trace event format, which
  /// chrome://tracing and ui.perfetto.dev show.
  std::string trace() const;

 private:
  friend void profiling::begin_range(const char*);
  friend void profiling::end_range();
  friend void profiling::count_operand(const void*, size_t);
  friend void profiling::count_flops(double);
  friend void profiling::count_launch(const KernelLaunch&);
  friend void profiling::count_device_call(profiling::DeviceCall);
  friend void profiling::count_buffer(Device, const void*, int64_t, int64_t);
  friend void profiling::label_range(const std::string&);
  friend void profiling::begin_op_body(Device);
  friend void profiling::end_op_body(Device);

  std::vector<Holder> holders(const MemoryProfile::BytesByRange& bytes, bool by_label) const;
  double now() const;
  ProfiledRange& innermost() { return ranges_[open_.back()]; }

  int64_t start_;  // ns of the steady clock
  Device device_;  // whose memory is followed
  std::vector<ProfiledRange> ranges_;
  std::map<KernelLaunch, int64_t> launches_;
  MemoryProfile memory_;
  std::vector<size_t> open_;  // indices of the open ranges, outermost first
};

}  // namespace gt
