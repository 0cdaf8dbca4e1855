// Kernels with one fault each, and the tools that must detect it. Every kernel also has a correct form, which no tool
// may report.
#pragma once

#include <string>
#include <vector>

namespace gt {

/// The values that the faulty kernel writes, compared with those of the correct one.
enum class Values { right, wrong, depend_on_order };

struct Fault {
  const char* name;
  void (*faulty)(const float* in, float* out);
  void (*correct)(const float* in, float* out);
  Values values;          // in a build without tools
  const char* error;      // part of the emulation's Error, in every build; null if there is none
  const char* sanitizer;  // part of the report of AddressSanitizer or UndefinedBehaviorSanitizer; null if there is none
  const char* race;       // part of the race detector's report; null if there is none
};

const std::vector<Fault>& faults();

/// The size of a fault's arrays, which are on the heap.
constexpr int fault_size = 192;

struct FaultRun {
  std::vector<float> out;
  std::string error;  // message of the launch's Error
};

FaultRun run_fault(void (*kernel)(const float* in, float* out));

}  // namespace gt
