#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iterator>

namespace gt::fuzz {
namespace {

/// A folder in memory that is removed when the program ends.
struct Scratch {
  std::filesystem::path folder;
  Scratch() {
    const char* memory = "/dev/shm";
    folder = std::filesystem::exists(memory) ? memory : std::filesystem::temp_directory_path();
    folder /= "gradtrack-fuzz-" + std::to_string(getpid());
    std::filesystem::create_directories(folder);
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }
};

}  // namespace

const Target* find_target(std::string_view name) {
  const auto* at =
      std::find_if(std::begin(targets), std::end(targets), [&](const Target& t) { return t.name == name; });
  return at == std::end(targets) ? nullptr : at;
}

std::string scratch(const std::string& name) {
  static const Scratch scratch;
  return (scratch.folder / name).string();
}

void put(const std::string& path, std::string_view bytes) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0 || write(file, bytes.data(), bytes.size()) != ssize_t(bytes.size()) || close(file) != 0)
    report_finding("cannot write " + path);
}

void report_finding(const std::string& what) {
  std::fprintf(stderr, "FINDING: %s\n", what.c_str());
  std::abort();
}

std::vector<std::string> split_at_zero(std::string_view bytes) {
  std::vector<std::string> parts;
  for (size_t begin = 0, end; begin <= bytes.size(); begin = end + 1) {
    end = std::min(bytes.find('\0', begin), bytes.size());
    parts.emplace_back(bytes.substr(begin, end - begin));
  }
  return parts;
}

}  // namespace gt::fuzz
