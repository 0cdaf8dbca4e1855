// Replays inputs without a fuzzer: fuzz_replay TARGET PATH... runs the target on each file, and on each file of each
// folder. Stops at the first finding. An input may take 2 s of processor time.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <filesystem>

#include "core/io.h"
#include "tests/fuzz/fuzz.h"

/// A single allocation of more than 512 MB is a finding in builds with AddressSanitizer, as it is for libFuzzer.
extern "C" const char* __asan_default_options() { return "max_allocation_size_mb=512:quarantine_size_mb=32"; }

namespace {

constexpr double max_seconds = 2;

std::vector<std::string> files_of(int count, char** paths) {
  std::vector<std::string> files;
  for (int i = 0; i < count; ++i) {
    if (!std::filesystem::is_directory(paths[i])) {
      files.emplace_back(paths[i]);
      continue;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(paths[i]))
      if (entry.is_regular_file()) files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

int main(int count, char** arguments) {
  const gt::fuzz::Target* target = count > 2 ? gt::fuzz::find_target(arguments[1]) : nullptr;
  if (!target) {
    std::fprintf(stderr, "usage: fuzz_replay TARGET PATH...\n");
    return 2;
  }
  const std::vector<std::string> files = files_of(count - 2, arguments + 2);
  for (const std::string& file : files) {
    const std::string bytes = gt::read_file(file);
    std::fprintf(stderr, "%s\n", file.c_str());  // the last line names the input if the program is killed
    const std::clock_t start = std::clock();
    target->run(bytes);
    const double seconds = double(std::clock() - start) / CLOCKS_PER_SEC;
    if (seconds > max_seconds) gt::fuzz::report_finding(gt::str_cat(file, " takes ", seconds, " s"));
  }
  std::fprintf(stderr, "%s: %zu inputs replayed\n", target->name, files.size());
  return files.empty() ? 1 : 0;
}
