// gradtrack_faults NAME: runs a fault of the table and prints lines:
//   values right|wrong     compared with the correct kernel
//   error ...              of the emulation
//   race ...               of the race detector, one line each
// A sanitizer ends the process with its own report. GT_EMULATE_ORDER sets the order of the threads.
#include <cstdio>
#include <cstring>

#include "core/emulation/emulation.h"
#include "tests/emulation/faults.h"

int main(int argc, char** argv) {
  for (const gt::Fault& fault : gt::faults()) {
    if (argc != 2 || std::strcmp(fault.name, argv[1]) != 0) continue;
    const gt::FaultRun correct = gt::run_fault(fault.correct);
    gt::emulation::clear_races();
    const gt::FaultRun faulty = gt::run_fault(fault.faulty);
    std::printf("values %s\n", faulty.out == correct.out && faulty.error.empty() ? "right" : "wrong");
    if (!faulty.error.empty()) std::printf("error %s\n", faulty.error.c_str());
    for (const std::string& race : gt::emulation::races()) std::printf("race %s\n", race.c_str());
    return 0;
  }
  std::fprintf(stderr, "gradtrack_faults: expected the name of a fault\n");
  return 2;
}
