#include "bench/machine.h"

#include <cstdio>
#include <ctime>
#include <memory>

#include "core/io.h"

namespace gt {
namespace {

std::string processor() {
  for (const TextLine& line : read_lines("/proc/cpuinfo"))
    if (line.text.starts_with("model name")) return std::string(trim_blanks(line.text.substr(line.text.find(':') + 1)));
  return {};
}

/// The first line that a command writes.
std::string first_line(const char* command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command, "r"), pclose);
  char line[512] = "";
  if (pipe == nullptr || std::fgets(line, sizeof line, pipe.get()) == nullptr) return {};
  return std::string(trim_blanks(line));
}

std::string now() {
  const std::time_t time = std::time(nullptr);
  char date[32];
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&time));
  return date;
}

}  // namespace

Machine this_machine(bool with_gpu) {
  Machine machine{processor(), {}, {}, now()};
  if (with_gpu) {
    machine.gpu = cuda_status().reason;
    machine.driver = first_line(
        "nvidia-smi --id=0 --query-gpu=driver_version,clocks.sm,clocks.max.sm,clocks.mem,clocks.max.mem,power.limit,"
        "temperature.gpu --format=csv,noheader 2>/dev/null");
  }
  return machine;
}

}  // namespace gt
