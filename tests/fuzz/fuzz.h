// Fuzz targets. Each turns bytes into a call of one of the project's readers and checks what every reader promises: it
// returns, or it throws gt::Error with one line that names the file. What is read and can be written is read again and
// compared. Any other exception, a crash, a leak or a limit that is exceeded ends the program.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/check.h"

namespace gt::fuzz {

struct Target {
  const char* name;
  void (*run)(std::string_view bytes);
};

void fuzz_config(std::string_view bytes);
void fuzz_dicom(std::string_view bytes);
void fuzz_gaze(std::string_view bytes);
void fuzz_image(std::string_view bytes);
void fuzz_lists(std::string_view bytes);
void fuzz_nifti(std::string_view bytes);
void fuzz_nrrd(std::string_view bytes);
void fuzz_run_files(std::string_view bytes);
void fuzz_safetensors(std::string_view bytes);

inline constexpr Target targets[] = {
    {"config", fuzz_config}, {"dicom", fuzz_dicom},         {"gaze", fuzz_gaze},
    {"image", fuzz_image},   {"lists", fuzz_lists},         {"nifti", fuzz_nifti},
    {"nrrd", fuzz_nrrd},     {"run_files", fuzz_run_files}, {"safetensors", fuzz_safetensors}};

/// The target of this name, or null.
const Target* find_target(std::string_view name);

/// A path in this process's own folder in memory, which is removed at the end.
std::string scratch(const std::string& name);

/// Writes a file, not synced to a disk.
void put(const std::string& path, std::string_view bytes);

/// Prints what does not hold and ends the program with a core.
[[noreturn]] void report_finding(const std::string& what);

/// The parts of the bytes between 0 bytes.
std::vector<std::string> split_at_zero(std::string_view bytes);

/// Calls `read`, which reads the file or folder `path`. Returns whether it succeeded. Reports an error whose message is
/// not one line or does not contain the path.
template <class F>
bool reads(const std::string& path, F&& read) {
  try {
    read();
    return true;
  } catch (const Error& e) {
    const std::string message = e.what();
    if (message.find('\n') != message.npos) report_finding("an error of several lines: " + message);
    if (message.find(path) == message.npos) report_finding("an error that does not name " + path + ": " + message);
    return false;
  }
}

/// Calls `read_again` on what this program wrote itself, which must succeed.
template <class F>
void must_read(const std::string& path, F&& read_again) {
  try {
    read_again();
  } catch (const Error& e) {
    report_finding("what was written to " + path + " is not read again: " + e.what());
  }
}

}  // namespace gt::fuzz
