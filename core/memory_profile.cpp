#include "core/memory_profile.h"

#include <algorithm>

namespace gt {

void MemoryProfile::allocate(const void* data, int64_t bytes, double time, size_t range, bool in_op, int64_t live) {
  if (const auto stale = live_.find(data); stale != live_.end())  // another thread freed it
    events_.push_back({time, stale->second, -1, live - bytes});
  live_[data] = buffers_.size();
  events_.push_back({time, buffers_.size(), 1, live});
  buffers_.push_back({bytes, range, in_op});
}

void MemoryProfile::free(const void* data, double time, int64_t live) {
  const auto found = live_.find(data);
  events_.push_back({time, found == live_.end() ? no_range : found->second, -1, live});
  if (found != live_.end()) live_.erase(found);
}

void MemoryProfile::use(const void* data, size_t range) {
  const auto found = live_.find(data);
  if (found == live_.end() || buffers_[found->second].owned) return;
  buffers_[found->second].range = range;
  buffers_[found->second].owned = true;
}

class MemoryProfile::Replay {
 public:
  explicit Replay(const MemoryProfile& profile) : profile_(profile) {}

  /// Goes to the end of the first `count` events.
  void advance(size_t count) {
    for (; done_ < count; ++done_) {
      const Event& event = profile_.events_[done_];
      live_ = event.live;
      if (event.buffer == no_range) continue;
      const ProfiledBuffer& buffer = profile_.buffers_[event.buffer];
      const auto held = bytes_.try_emplace(buffer.range, 0).first;
      held->second += event.sign * buffer.bytes;
      if (held->second == 0) bytes_.erase(held);  // few of a long profile's ranges hold anything at one time
      known_ += event.sign * buffer.bytes;
    }
  }
  /// What is live. The bytes of unknown buffers stand under no_range.
  BytesByRange bytes() const {
    BytesByRange held = bytes_;
    if (live_ > known_) held[no_range] += live_ - known_;
    return held;
  }

 private:
  const MemoryProfile& profile_;
  size_t done_ = 0;
  int64_t live_ = 0, known_ = 0;
  BytesByRange bytes_;
};

MemoryProfile::BytesByRange MemoryProfile::at_peak() const {
  const auto peak =
      std::max_element(events_.begin(), events_.end(), [](const Event& a, const Event& b) { return a.live < b.live; });
  Replay replay(*this);
  if (peak != events_.end()) replay.advance(size_t(peak - events_.begin()) + 1);
  return replay.bytes();
}

std::vector<MemoryProfile::BytesByRange> MemoryProfile::at(const std::vector<double>& times) const {
  std::vector<BytesByRange> samples;
  Replay replay(*this);
  size_t count = 0;
  for (const double time : times) {
    while (count < events_.size() && events_[count].time <= time) ++count;
    replay.advance(count);
    samples.push_back(replay.bytes());
  }
  return samples;
}

}  // namespace gt
