#include "core/profile.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "core/check.h"
#include "core/device.h"

namespace gt {
namespace {

int64_t nanoseconds() { return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1); }

}  // namespace

thread_local constinit Profile* current_profile = nullptr;

Profile::Profile(Device device) : start_(nanoseconds()), device_(device) {
  GT_CHECK(current_profile == nullptr, "Profile: this thread has one");
  current_profile = this;
}

Profile::~Profile() { end(); }

void Profile::end() {
  if (current_profile == this) current_profile = nullptr;
}

double Profile::now() const { return 1e-9 * double(nanoseconds() - start_); }

namespace profiling {

void begin_range(const char* name) {
  Profile& p = *current_profile;
  const double open_end = std::numeric_limits<double>::infinity();
  p.ranges_.push_back({name, "", int(p.open_.size()), p.now(), open_end, 0});
  p.open_.push_back(p.ranges_.size() - 1);
  p.innermost().live_before = p.innermost().max_live = live_bytes(p.device_);
}

void end_range() {
  Profile& p = *current_profile;
  if (p.open_.empty()) return;  // the range began before the profile
  ProfiledRange& range = p.innermost();
  range.end = p.now();
  range.own += range.end - range.begin;
  range.live_after = live_bytes(p.device_);
  p.open_.pop_back();
  if (!p.open_.empty()) {
    p.innermost().own -= range.end - range.begin;
    p.innermost().max_live = std::max(p.innermost().max_live, range.max_live);
  }
}

void count_operand(const void* data, size_t bytes) {
  Profile& p = *current_profile;
  if (p.open_.empty()) return;
  p.innermost().bytes += double(bytes);
  p.memory_.use(data, p.open_.back());
}

void count_flops(double flops) { current_profile->innermost().flops += flops; }

void count_launch(const KernelLaunch& launch) {
  Profile& p = *current_profile;
  ++p.launches_[launch];
  if (!p.open_.empty()) ++p.innermost().kernels;
}

void count_device_call(DeviceCall call) {
  Profile& p = *current_profile;
  if (p.open_.empty()) return;
  ProfiledRange& range = p.innermost();
  switch (call) {
    case DeviceCall::library_call:
      ++range.library_calls;
      break;
    case DeviceCall::copy:
      ++range.copies;
      break;
  }
}

void count_buffer(Device device, const void* data, int64_t bytes, int64_t live) {
  Profile& p = *current_profile;
  if (device != p.device_) return;
  const bool in_range = !p.open_.empty();
  if (in_range) p.innermost().max_live = std::max(p.innermost().max_live, live);
  if (bytes < 0) return p.memory_.free(data, p.now(), live);
  p.memory_.allocate(data, bytes, p.now(), in_range ? p.open_.back() : MemoryProfile::no_range,
                     in_range && p.innermost().op, live);
}

void label_range(const std::string& label) { current_profile->innermost().label = label; }

void begin_op_body(Device device) {
  Profile& p = *current_profile;
  p.innermost().op = true;
  p.innermost().live_before = live_bytes(p.device_);
  if (device == Device::cuda) synchronize(device);
}

void end_op_body(Device device) {
  if (device == Device::cuda) synchronize(device);
}

}  // namespace profiling

Profile::Total& Profile::Total::operator+=(const Total& other) {
  calls += other.calls;
  seconds += other.seconds;
  bytes += other.bytes;
  flops += other.flops;
  kernels += other.kernels;
  library_calls += other.library_calls;
  copies += other.copies;
  workspace = std::max(workspace, other.workspace);
  return *this;
}

std::vector<Profile::Total> Profile::totals(bool by_label) const {
  std::map<std::pair<std::string, std::string>, Total> sums;
  for (const ProfiledRange& range : ranges_) {
    const std::string label = by_label ? range.label : "";
    Total& sum = sums[{range.name, label}];
    sum.name = range.name;
    sum.label = label;
    sum += {.calls = 1,
            .seconds = range.own,
            .bytes = range.bytes,
            .flops = range.flops,
            .kernels = range.kernels,
            .library_calls = range.library_calls,
            .copies = range.copies,
            .workspace = range.workspace()};
    sum.op = range.op;
  }
  std::vector<Total> sorted;
  for (auto& [key, sum] : sums) sorted.push_back(std::move(sum));
  std::stable_sort(sorted.begin(), sorted.end(), [](const Total& a, const Total& b) { return a.seconds > b.seconds; });
  return sorted;
}

std::vector<Profile::Holder> Profile::holders(const MemoryProfile::BytesByRange& bytes, bool by_label) const {
  std::map<std::pair<std::string, std::string>, Holder> sums;
  for (const auto& [index, held] : bytes) {
    const bool known = index != MemoryProfile::no_range;
    const std::string name = known ? ranges_[index].name : before;
    const std::string label = known && by_label ? ranges_[index].label : "";
    Holder& sum = sums[{name, label}];
    sum = {name, label, sum.bytes + held, known && ranges_[index].op};
  }
  std::vector<Holder> sorted;
  for (auto& [key, sum] : sums) sorted.push_back(std::move(sum));
  std::stable_sort(sorted.begin(), sorted.end(), [](const Holder& a, const Holder& b) { return a.bytes > b.bytes; });
  return sorted;
}

std::vector<Profile::Holder> Profile::peak_holders() const { return holders(memory_.at_peak(), true); }

std::string Profile::trace() const {
  nlohmann::ordered_json events = nlohmann::ordered_json::array();
  for (const ProfiledRange& range : ranges_) {
    nlohmann::ordered_json event = {
        {"name", range.name}, {"ph", "X"}, {"ts", 1e6 * range.begin},        {"dur", 1e6 * (range.end - range.begin)},
        {"pid", 1},           {"tid", 1},  {"cat", range.op ? "op" : "step"}};
    if (range.op) event["args"] = {{"size", range.label}, {"bytes", range.bytes}, {"flops", range.flops}};
    events.push_back(std::move(event));
  }
  std::vector<double> times;
  for (const ProfiledRange& range : ranges_)
    if (range.op && std::isfinite(range.end)) times.push_back(range.end);
  std::sort(times.begin(), times.end());
  const std::vector<MemoryProfile::BytesByRange> samples = memory_.at(times);
  for (size_t i = 0; i < times.size(); ++i) {
    nlohmann::ordered_json series = nlohmann::ordered_json::object();
    for (const Holder& holder : holders(samples[i], false))
      series[holder.op ? holder.name : "(" + holder.name + ")"] = holder.bytes;
    events.push_back({{"name", "bytes in tensors"}, {"ph", "C"}, {"ts", 1e6 * times[i]}, {"pid", 1}, {"args", series}});
  }
  return nlohmann::ordered_json{{"displayTimeUnit", "ms"}, {"traceEvents", std::move(events)}}.dump() + "\n";
}

}  // namespace gt
