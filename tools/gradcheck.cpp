// gradtrack gradcheck
#include <chrono>
#include <cstdio>
#include <sstream>

#include "core/config.h"
#include "core/io.h"
#include "tools/commands.h"
#include "tools/gradcheck_report.h"
#include "tools/gradcheck_rows.h"
#include "tools/outputs.h"

namespace gt {
namespace {

struct Options {
  std::string op, device = "cpu", json, junit, dump;
  std::vector<std::string> diff;
  GradCheckRun run;
};

/// The rows whose name contains the filter. Throws Error if there are none.
std::vector<GradCheckRow> chosen_rows(const std::string& filter, Device device) {
  std::vector<GradCheckRow> chosen;
  std::vector<std::string> names = {"network"};
  for (GradCheckRow& row : gradcheck_rows(device)) {
    names.push_back(row.name);
    std::istringstream words(row.name);  // "track" and "attention" of "track_attention" are near misses too
    for (std::string word; std::getline(words, word, '_');) names.push_back(word);
    if (row.name.find(filter) != std::string::npos) chosen.push_back(std::move(row));
  }
  if (!chosen.empty()) return chosen;
  const std::string near = nearest_word(filter, names);
  fail("--op ", filter, ": expected a part of an op's name or 'network', found no such op",
       near.empty() ? "" : ", did you mean '" + near + "'?");
}

RowResult check_row(const GradCheckRow& row, const GradCheckRun& run) {
  const auto start = std::chrono::steady_clock::now();
  RowResult result;
  result.name = row.name, result.sizes = row.sizes;
  for (int64_t i = 0; i < run.repeat; ++i) {
    const GradCheck one = row.check({.steps = run.steps, .directional = run.fast, .seed = run.seed + uint64_t(i)});
    ++result.runs;
    result.wrong += !(one.worst < run.limit);
    result.check.add(one);
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

void print_row(const RowResult& row) {
  char kink[32] = "-";
  if (row.check.kink > 0) std::snprintf(kink, sizeof kink, "< %.0e", row.check.kink);
  const std::string message = row.message();
  std::printf("%-28s %6zu   %9.2e   %8s   %s%s\n", row.name.c_str(), row.sizes, row.check.worst, kink, row.verdict(),
              message.empty() ? "" : (": " + message).c_str());
  std::fflush(stdout);
}

void check(const Options& o, Device device) {
  const GradCheckRun& run = o.run;
  for (const std::string& path : {o.json, o.junit}) make_parent_folder(path);
  const std::vector<GradCheckRow> rows = chosen_rows(o.op, device);
  std::printf("%-28s %6s   %9s   %8s   limit %.0e, in double, on %s\n", "op", "sizes", "worst", "kink", run.limit,
              to_string(device));
  std::vector<RowResult> results;
  size_t failed = 0, flaky = 0;
  for (const GradCheckRow& row : rows) {
    results.push_back(check_row(row, run));
    failed += !results.back().message().empty();
    flaky += results.back().wrong > 0 && results.back().wrong < results.back().runs;
    print_row(results.back());
  }
  std::printf("%zu checked, %zu failed", results.size(), failed);
  if (run.repeat > 1) std::printf(", %zu of them for some of %lld seeds only", flaky, (long long)run.repeat);
  std::printf("\n");
  if (!o.json.empty()) write_file(o.json, dump_json(gradcheck_json(run, results), 1) + "\n");
  if (!o.junit.empty()) write_file(o.junit, gradcheck_junit(results));
  if (failed > 0)
    fail(failed, " of ", results.size(), " gradients differ from finite differences by more than ", run.limit,
         ", or from run to run");
}

void gradcheck(Options o) {
  if (!o.diff.empty()) {
    if (print_gradient_differences(o.diff[0], o.diff[1], o.run.limit) > 0)
      fail("gradients of ", o.diff[0], " and ", o.diff[1], " differ by more than ", o.run.limit);
    return;
  }
  const Device device = choose_device(o.device);
  o.run.device = to_string(device);
  if (o.dump.empty()) return check(o, device);
  NamedTensors gradients;
  for (const GradCheckRow& row : chosen_rows(o.op, device))
    for (auto& gradient : row.gradients(o.run.seed)) gradients.push_back(std::move(gradient));
  write_gradients(o.dump, gradients);
  std::printf("%zu gradients, in double, of %s -> %s\n", gradients.size(), to_string(device), o.dump.c_str());
}

}  // namespace

void add_gradcheck_command(CLI::App& app) {
  auto* command = app.add_subcommand("gradcheck", "Compare the gradient of every op with finite differences");
  auto o = std::make_shared<Options>();
  GradCheckRun& run = o->run;
  auto* op =
      command->add_option("--op", o->op, "check only rows whose name contains this; 'network' checks whole losses")
          ->type_name("NAME");
  command->add_option("--device", o->device, "device: auto, cpu or cuda")->capture_default_str();
  command->add_flag("--fast", run.fast, "compare one random direction of each input instead of its elements");
  command->add_option("--limit", run.limit, "largest relative error that passes")
      ->check(CLI::Range(1e-15, 1.0))
      ->capture_default_str();
  command->add_option("--step", run.steps, "step of the differences, H (default: several, of which the best counts)")
      ->expected(1)
      ->check(CLI::Range(1e-12, 1.0))
      ->type_name("H");
  command->add_option("--seed", run.seed, "seed of the inputs and of the gradients of outputs")
      ->check(CLI::Range(uint64_t(0), uint64_t(1) << 48))
      ->capture_default_str();
  auto* repeat =
      command->add_option("--repeat", run.repeat, "check with N seeds, from --seed on, and count those that fail")
          ->check(CLI::Range(1, 100000))
          ->type_name("N")
          ->capture_default_str();
  auto* json = command->add_option("--json", o->json, "write the results to this file, also if a gradient is wrong")
                   ->type_name("FILE");
  auto* junit =
      command->add_option("--junit", o->junit, "write the results to this file for a CI system")->type_name("FILE");
  auto* dump = command->add_option("--dump", o->dump, "check nothing, write the gradients to DIR/gradients.safetensors")
                   ->type_name("DIR");
  auto* diff =
      command->add_option("--diff", o->diff, "check nothing, compare the gradients of two such folders, worst first")
          ->expected(2)
          ->type_name("A B")
          ->excludes(dump)
          ->excludes(op);
  for (auto* option : {json, junit, repeat}) option->excludes(dump)->excludes(diff);
  command->footer(
      "Computes each gradient in double at several sizes and prints the largest relative error. Verdicts: ok;\n"
      "FAILED, an error above the limit; FLAKY, such an error for some of the seeds; DIFFERS, two runs gave\n"
      "other bits. The column kink shows how near a point without a derivative is: differences over larger\n"
      "distances are wrong there. Unless all are ok, the exit status is 1.\n\n"
      "Examples:\n"
      "  gradtrack gradcheck --op splat\n"
      "  gradtrack gradcheck --fast --json runs/gradcheck.json --junit runs/gradcheck.xml\n"
      "  gradtrack gradcheck --op 'network full' --dump runs/cpu\n"
      "  gradtrack gradcheck --diff runs/cpu runs/cpu");
  command->callback([o] { gradcheck(*o); });
}

}  // namespace gt
