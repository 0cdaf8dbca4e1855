// Kernels with one fault each, and what must catch it. Every kernel also has its correct form, which nothing may
// report.
#pragma once

#include <string>
#include <vector>

namespace gt {

/// What comes of the faulty kernel's numbers, against the correct one's.
enum class Values { right, wrong, depend_on_order };

struct Fault {
  const char* name;
  void (*faulty)(const float* in, float* out);
  void (*correct)(const float* in, float* out);
  Values values;          // without any tool
  const char* error;      // part of the emulation's Error, in any build; null if it runs
  const char* sanitizer;  // part of what AddressSanitizer or UndefinedBehaviorSanitizer says; null if they see nothing
  const char* race;       // part of what the race detector says; null if it sees nothing
};

const std::vector<Fault>& faults();

/// The arrays that a fault works on: exactly this many floats on the heap.
constexpr int fault_size = 192;

struct FaultRun {
  std::vector<float> out;
  std::string error;  // of the launch
};

FaultRun run_fault(void (*kernel)(const float* in, float* out));

}  // namespace gt
