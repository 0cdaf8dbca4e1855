// MemoryProfile: which op of a profile each live buffer belongs to, over time. A buffer belongs to the op that first
// reads or writes it as an operand, or that allocates it in its body: the op whose result or workspace it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

namespace gt {

class MemoryProfile {
 public:
  /// Bytes of buffers by the index of the range that they belong to.
  using BytesByRange = std::map<size_t, int64_t>;
  /// The index of no range, for buffers of other threads or from before the profile.
  static constexpr size_t no_range = SIZE_MAX;

  /// A buffer is allocated at `time`, in the body of an op, or else only in the range of this index. `live` are the
  /// bytes in buffers on the device, of all threads, afterwards.
  void allocate(const void* data, int64_t bytes, double time, size_t range, bool in_op, int64_t live);
  /// A buffer is freed. It may be one of before the profile.
  void free(const void* data, double time, int64_t live);
  /// An op of this range has the buffer as an operand.
  void use(const void* data, size_t range);

  /// The bytes in buffers at the moment when most were live.
  BytesByRange at_peak() const;
  /// The bytes in buffers at rising times.
  std::vector<BytesByRange> at(const std::vector<double>& times) const;

 private:
  struct ProfiledBuffer {
    int64_t bytes;
    size_t range;
    bool owned;  // by an op
  };
  struct Event {
    double time;
    size_t buffer;  // no_range: one of before the profile
    int64_t sign;   // 1 allocates, -1 frees
    int64_t live;   // bytes on the device afterwards
  };
  /// The bytes while events are replayed one by one.
  class Replay;

  std::vector<ProfiledBuffer> buffers_;
  std::vector<Event> events_;
  std::map<const void*, size_t> live_;  // index of the buffer at an address
};

}  // namespace gt
