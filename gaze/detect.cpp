#include "gaze/detect.h"

#include <algorithm>
#include <cmath>
#include <deque>

#include "core/check.h"

namespace gt {

namespace {

using Samples = std::vector<GazeSample>;
using Ranges = std::vector<std::pair<size_t, size_t>>;

/// The greatest value in a window of samples that moves forward. All pushes and pops together take linear time.
class MovingMaximum {
 public:
  void push(size_t at, double value) {
    while (!candidates_.empty() && candidates_.back().second <= value) candidates_.pop_back();
    candidates_.emplace_back(at, value);
  }
  void pop_before(size_t at) {
    while (!candidates_.empty() && candidates_.front().first < at) candidates_.pop_front();
  }
  double value() const { return candidates_.front().second; }

 private:
  std::deque<std::pair<size_t, double>> candidates_;  // of falling values
};

/// The bounding box of a window of samples.
class MovingBox {
 public:
  void push(size_t at, const GazeSample& s) {
    right_.push(at, s.x), left_.push(at, -s.x);
    bottom_.push(at, s.y), top_.push(at, -s.y);
  }
  void pop_before(size_t at) {
    for (MovingMaximum* side : {&right_, &left_, &bottom_, &top_}) side->pop_before(at);
  }
  double dispersion() const { return right_.value() + left_.value() + bottom_.value() + top_.value(); }

 private:
  MovingMaximum right_, left_, bottom_, top_;  // left and top of negated values
};

void by_dispersion(const Samples& s, size_t begin, size_t end, const DetectOptions& options, Ranges& found) {
  while (begin < end) {
    MovingBox box;
    size_t next = begin;  // the box is of [begin, next)
    const auto spans = [&] { return next > begin && s[next - 1].time - s[begin].time >= options.min_duration; };
    for (;; ++begin) {
      for (; next < end && !spans(); ++next) box.push(next, s[next]);
      if (!spans()) return;  // the rest is too short
      box.pop_before(begin);
      if (box.dispersion() <= options.dispersion) break;
    }
    for (; next < end; ++next) {
      box.push(next, s[next]);
      if (box.dispersion() > options.dispersion) break;
    }
    found.emplace_back(begin, next);
    begin = next;
  }
}

void by_velocity(const Samples& s, size_t begin, size_t end, const DetectOptions& options, Ranges& found) {
  if (end - begin < 2) return;
  size_t a = begin, b = begin;  // first and last sample within half a window of sample i
  const auto is_slow = [&](size_t i) {
    while (s[i].time - s[a].time > options.window / 2) ++a;
    b = std::max(b, i);
    while (b + 1 < end && s[b + 1].time - s[i].time <= options.window / 2) ++b;
    size_t from = a, to = b;
    if (from == to) from > begin ? --from : ++to;
    const double distance = std::hypot(s[to].x - s[from].x, s[to].y - s[from].y);
    return distance / (s[to].time - s[from].time) * 1000 < options.velocity;  // position units per second
  };
  // Samples may be missing for longer than the window. The eye may have jumped then.
  const auto jumped = [&](size_t i) {
    const double time = s[i].time - s[i - 1].time;
    return time > options.window / 2 &&
           std::hypot(s[i].x - s[i - 1].x, s[i].y - s[i - 1].y) / time * 1000 >= options.velocity;
  };
  size_t first = begin;  // of the current slow samples
  const auto end_fixation = [&](size_t i, size_t next) {
    if (i > first && s[i - 1].time - s[first].time >= options.min_duration) found.emplace_back(first, i);
    first = next;
  };
  for (size_t i = begin; i < end; ++i) {
    if (i > first && jumped(i)) end_fixation(i, i);
    if (!is_slow(i)) end_fixation(i, i + 1);
  }
  end_fixation(end, end);
}

}  // namespace

std::vector<std::pair<size_t, size_t>> detect_fixations(const std::vector<GazeSample>& samples,
                                                        const DetectOptions& options) {
  if (options.method != "idt" && options.method != "ivt")
    fail("detection of fixations: expected the method idt or ivt, got '", options.method, "'");
  Ranges found;
  for (size_t begin = 0, end; begin < samples.size(); begin = end) {
    end = begin + 1;
    while (end < samples.size() && samples[end].time - samples[end - 1].time <= options.max_gap) ++end;
    (options.method == "idt" ? by_dispersion : by_velocity)(samples, begin, end, options, found);
  }
  return found;
}

}  // namespace gt
