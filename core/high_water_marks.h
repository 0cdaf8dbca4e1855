// The largest value that was set for each key.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>

namespace gt {

/// Remembers the largest value of each key, from 0. Threads may share it.
template <class Key>
class HighWaterMarks {
 public:
  /// If `value` is above the key's mark, calls set(), and makes `value` the mark if it returns `success`. Returns what
  /// set() returned, or `success` without a call.
  template <class Status, class Set>
  Status raise(const Key& key, size_t value, Status success, Set&& set) {
    const std::lock_guard lock(mutex_);
    size_t& mark = marks_[key];
    if (value <= mark) return success;
    const Status status = set();
    if (status == success) mark = value;
    return status;
  }

 private:
  std::mutex mutex_;
  std::map<Key, size_t> marks_;
};

}  // namespace gt
