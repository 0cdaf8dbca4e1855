#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "core/io.h"
#include "tests/fuzz/fuzz.h"
#include "tools/commands.h"

namespace gt::fuzz {
namespace {

std::string make_run_folder() {
  std::string path = scratch("run");
  make_folder(path);
  if (!std::freopen("/dev/null", "w", stdout)) report_finding("cannot silence the report");
  return path;
}

}  // namespace

/// The bytes: metrics.jsonl and, after a 0 byte each, eval_test.json and config.yaml. They become a report.
void fuzz_run_files(std::string_view bytes) {
  static const std::string folder = make_run_folder();
  const std::vector<std::string> parts = split_at_zero(bytes);
  const std::string eval = folder + "/eval_test.json";
  put(folder + "/metrics.jsonl", parts[0]);
  if (parts.size() > 1)
    put(eval, parts[1]);
  else
    unlink(eval.c_str());
  put(folder + "/config.yaml", parts.size() > 2 ? parts[2] : "seed: 1\n");
  CLI::App app;
  add_report_command(app);
  reads(folder, [&] { app.parse("report " + folder); });
}

}  // namespace gt::fuzz
