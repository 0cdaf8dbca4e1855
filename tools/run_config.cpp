#include "tools/run_config.h"

#include <cstdio>
#include <set>

namespace gt {

Config load_config_with_warnings(const std::string& path, const std::vector<std::string>& overrides,
                                 ConfigNotes* notes) {
  static std::set<std::string> printed;
  ConfigNotes own;
  ConfigNotes& n = notes ? *notes : own;
  const Config config = load_config(path, overrides, &n);
  for (const std::string& warning : n.warnings)
    if (printed.insert(warning).second) std::fprintf(stderr, "gradtrack: warning: %s\n", warning.c_str());
  return config;
}

}  // namespace gt
