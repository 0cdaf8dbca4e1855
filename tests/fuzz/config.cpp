#include "models/config.h"

#include "tests/fuzz/fuzz.h"

namespace gt::fuzz {

/// The bytes: YAML and, after a 0 byte each, overrides.
void fuzz_config(std::string_view bytes) {
  const std::string path = scratch("config.yaml");
  std::vector<std::string> parts = split_at_zero(bytes);
  put(path, parts[0]);
  parts.erase(parts.begin());
  Config config;
  try {
    config = load_config(path, parts);
  } catch (const Error& e) {
    // Without overrides the file is at fault; an override names itself.
    reads(parts.empty() ? path : "", [&] { throw e; });
    return;
  }
  const std::string text = write_config(config);
  must_read("the resolved configuration", [&] {
    if (write_config(parse_run_config(text, "again")) != text)
      report_finding("a configuration changes when it is written and read:\n" + text);
  });
}

}  // namespace gt::fuzz
