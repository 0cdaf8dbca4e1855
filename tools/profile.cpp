#include "tools/profile.h"

#include <cstdio>

#include "core/io.h"

namespace gt {
namespace {

/// The columns of the table.
struct Columns {
  int64_t steps;
  double seconds;  // per step
  size_t width;    // of the column of names, characters

  void head(const char* title) const {
    std::printf("\n%-*s %7s %10s %7s %9s %9s\n", int(width), title, "calls", "ms", "share", "GB/s", "GFLOP/s");
  }

  void line(const std::string& name, const Profile::Total& t) const {
    const auto rate = [&](double amount) {
      return t.op && amount > 0 ? text_of("%9.1f", 1e-9 * amount / t.seconds) : "        -";
    };
    std::printf("%-*s %7.4g %10.3f %6.1f%% %s %s\n", int(width), name.c_str(), double(t.calls) / double(steps),
                1e3 * t.seconds / double(steps), 100 * t.seconds / double(steps) / seconds, rate(t.bytes).c_str(),
                rate(t.flops).c_str());
  }

  static std::string text_of(const char* format, double value) {
    char buffer[32];
    std::snprintf(buffer, sizeof buffer, format, value);
    return buffer;
  }
};

double mebibytes(int64_t bytes) { return double(bytes) / (1 << 20); }

std::string name_of(const Profile::Holder& h) {
  if (h.name == Profile::before) return "(parameters, optimiser, data: from before the profile)";
  return h.op ? h.label.empty() ? h.name : h.name + "  " + h.label : "(" + h.name + ", outside ops)";
}

std::string name_of(const Profile::Total& t) {
  if (!t.op) return t.name == "step" ? "(the rest of the step)" : "(" + t.name + ", outside ops)";
  return t.label.empty() ? t.name : t.name + "  " + t.label;
}

/// The largest holders of memory when most of it was held.
void print_holders(const Profile& profile, Device device) {
  constexpr size_t shown = 5;
  const std::vector<Profile::Holder> all = profile.peak_holders();
  int64_t sum = 0, rest = 0;
  for (const Profile::Holder& h : all) sum += h.bytes;
  std::printf("\n%.1f MiB in tensors on %s at the peak; the largest holders:\n", mebibytes(sum), to_string(device));
  for (size_t i = 0; i < all.size(); ++i) {
    if (i >= shown) {
      rest += all[i].bytes;
      continue;
    }
    std::printf("%10.1f MiB %5.1f%%  %s\n", mebibytes(all[i].bytes), 100 * double(all[i].bytes) / double(sum),
                name_of(all[i]).c_str());
  }
  if (rest > 0)
    std::printf("%10.1f MiB %5.1f%%  %zu others\n", mebibytes(rest), 100 * double(rest) / double(sum),
                all.size() - shown);
}

}  // namespace

void write_profile(const Profile& profile, Device device, const std::string& path) {
  Columns columns{0, 0, 0};
  for (const ProfiledRange& range : profile.ranges()) {
    if (range.depth > 0) continue;
    ++columns.steps;
    columns.seconds += range.end - range.begin;
  }
  columns.seconds /= double(columns.steps);
  const std::vector<Profile::Total> ops = profile.totals(false), sizes = profile.totals(true);
  for (const Profile::Total& t : sizes) columns.width = std::max(columns.width, name_of(t).size());

  std::printf("%lld steps of %.1f ms; per step:\n", (long long)columns.steps, 1e3 * columns.seconds);
  columns.head("op");
  for (const Profile::Total& t : ops) columns.line(name_of(t), t);
  columns.head("by size: images x height x width, channels in > out, kernel");
  for (const Profile::Total& t : sizes)
    if (t.flops > 0) columns.line(name_of(t), t);
  std::printf("\nGB/s counts each operand of an op once. Shares count the time of an op without the ops in it.\n");
  print_holders(profile, device);
  write_file(path, profile.trace());
  std::printf("written: %s (open it in ui.perfetto.dev or chrome://tracing)\n", path.c_str());
}

}  // namespace gt
