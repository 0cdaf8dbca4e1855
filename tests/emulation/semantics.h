// What CUDA's documents say of kernels, as kernels and the values that must come of them. Nothing in semantics.cu
// belongs to the emulation: on a device the same must hold.
#pragma once

#include <string>
#include <vector>

namespace gt {

struct Rule {
  const char* name;
  std::string (*check)();  // what differs, "" if nothing does
};

const std::vector<Rule>& semantics();

}  // namespace gt
