// Every test of this program needs a CUDA device, real or emulated. Without one none of them runs, and CTest counts
// each as skipped. They can still be listed.
#include <cstring>
#include <iostream>

#include "core/device.h"
#include "tests/catch.h"

int main(int argc, char** argv) {
  bool lists = false;
  for (int i = 1; i < argc; ++i) lists = lists || std::strncmp(argv[i], "--list", 6) == 0;
  if (!lists && gt::cuda_status().state != gt::CudaState::device) {
    std::cout << "test skipped: no CUDA device: " << gt::cuda_status().reason << "\n";
    return 0;
  }
  return gt::run_tests(argc, argv);
}
