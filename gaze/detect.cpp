#include "gaze/detect.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"

namespace gt {

namespace {

using Samples = std::vector<GazeSample>;
using Ranges = std::vector<std::pair<size_t, size_t>>;

/// The bounding box of samples.
struct Box {
  double left, right, top, bottom;
  explicit Box(const GazeSample& s) : left(s.x), right(s.x), top(s.y), bottom(s.y) {}
  void add(const GazeSample& s) {
    left = std::min(left, s.x), right = std::max(right, s.x);
    top = std::min(top, s.y), bottom = std::max(bottom, s.y);
  }
  double dispersion() const { return right - left + bottom - top; }
};

void by_dispersion(const Samples& s, size_t begin, size_t end, const DetectOptions& options, Ranges& found) {
  while (begin < end) {
    Box box(s[begin]);
    size_t next = begin + 1;
    while (next < end && s[next - 1].time - s[begin].time < options.min_duration) box.add(s[next++]);
    if (s[next - 1].time - s[begin].time < options.min_duration) return;  // the rest is too short
    if (box.dispersion() > options.dispersion) {
      ++begin;
      continue;
    }
    for (; next < end; ++next) {
      box.add(s[next]);
      if (box.dispersion() > options.dispersion) break;
    }
    found.emplace_back(begin, next);
    begin = next;
  }
}

/// The speed at sample i, position units per second.
double speed(const Samples& s, size_t begin, size_t end, size_t i, double window) {
  size_t a = i, b = i;
  while (a > begin && s[i].time - s[a - 1].time <= window / 2) --a;
  while (b + 1 < end && s[b + 1].time - s[i].time <= window / 2) ++b;
  if (a == b) a > begin ? --a : ++b;
  return std::hypot(s[b].x - s[a].x, s[b].y - s[a].y) / (s[b].time - s[a].time) * 1000;
}

void by_velocity(const Samples& s, size_t begin, size_t end, const DetectOptions& options, Ranges& found) {
  if (end - begin < 2) return;
  size_t first = begin;  // of the current slow samples
  for (size_t i = begin; i <= end; ++i) {
    if (i < end && speed(s, begin, end, i, options.window) < options.velocity) continue;
    if (i > first && s[i - 1].time - s[first].time >= options.min_duration) found.emplace_back(first, i);
    first = i + 1;
  }
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
