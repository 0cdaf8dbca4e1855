// Rules of CUDA's documentation, each as a kernel with the values that it must write. semantics.cu uses nothing of the
// emulation, so the rules can be checked on a device too.
#pragma once

#include <string>
#include <vector>

namespace gt {

struct Rule {
  const char* name;
  std::string (*check)();  // describes a difference; "" if there is none
};

const std::vector<Rule>& semantics();

}  // namespace gt
