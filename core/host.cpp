#include "core/host.h"

#include <unistd.h>

namespace gt {

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "unknown";
}

}  // namespace gt
