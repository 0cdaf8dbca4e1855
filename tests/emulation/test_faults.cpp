// Each fault of the table is detected by the tools that the table names and by no other. Correct kernels are not
// reported.
#include <sys/wait.h>

#include <cstdlib>

#include "core/emulation/emulation.h"
#include "core/io.h"
#include "tests/catch.h"
#include "tests/emulation/faults.h"
#include "tests/temp_folder.h"

using namespace gt;

namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

struct Outcome {
  int status;
  std::string output;
  bool reports(const std::string& part) const { return output.find(part) != std::string::npos; }
};

/// Runs `gradtrack_faults NAME` in a separate process, which a sanitizer may end.
Outcome run_alone(const std::string& name, const std::string& order) {
  const TempFolder tmp;
  const std::string command = "GT_EMULATE_ORDER=" + order + " " + GT_FAULTS + " " + name + " >" + tmp / "out" + " 2>&1";
  const int status = std::system(command.c_str());
  return {WEXITSTATUS(status), read_file(tmp / "out")};
}

std::vector<std::string> orders() {
  if (sanitized) return {"forward"};
  if (emulation::detects_races()) return {"forward", "shuffled:1"};
  return {"forward", "reverse", "shuffled:1", "shuffled:2", "shuffled:3"};
}

}  // namespace

TEST_CASE("faults: each fault is detected by the tools that the table names", "[faults]") {
  CHECK(faults().size() >= 30);
  for (const Fault& fault : faults()) {
    int right = 0, wrong = 0;
    for (const std::string& order : orders()) {
      const Outcome o = run_alone(fault.name, order);
      INFO(fault.name << " " << order << ": exit " << o.status << "\n" << o.output);
      if (sanitized && fault.sanitizer != nullptr) {
        CHECK(o.status != 0);
        CHECK(o.reports(fault.sanitizer));
        CHECK(o.reports("faults.cu"));
        continue;
      }
      CHECK(o.status == 0);
      right += o.reports("values right");
      wrong += o.reports("values wrong");
      CHECK(o.reports("error ") == (fault.error != nullptr));
      if (fault.error != nullptr) {
        CHECK(o.reports(fault.error));
        CHECK(o.reports("faults.cu:"));
      }
      const bool races = emulation::detects_races() && fault.race != nullptr;
      CHECK(o.reports("race ") == races);
      if (races) {
        CHECK(o.reports(fault.race));
        CHECK(o.reports(" at emulation/faults.cu:"));
      }
    }
    INFO(fault.name << ": " << right << " right, " << wrong << " wrong");
    if (sanitized) continue;
    if (fault.values == Values::right) CHECK(wrong == 0);
    if (fault.values == Values::wrong) CHECK(right == 0);
    if (fault.values == Values::depend_on_order && !emulation::detects_races()) CHECK((right > 0 && wrong > 0));
  }
}

TEST_CASE("faults: correct kernels are not reported in any order", "[faults]") {
  const emulation::Options before = emulation::options();
  for (const Fault& fault : faults()) {
    std::vector<float> first;
    for (const emulation::Options& options :
         {emulation::Options{}, emulation::Options{emulation::Order::reverse},
          emulation::Options{emulation::Order::shuffled, 1}, emulation::Options{emulation::Order::shuffled, 2}}) {
      emulation::options() = options;
      emulation::clear_races();
      const FaultRun run = run_fault(fault.correct);
      INFO(fault.name << ": " << run.error);
      CHECK(run.error.empty());
      CHECK(emulation::races().empty());
      if (first.empty()) first = run.out;
      CHECK(run.out == first);
    }
  }
  emulation::options() = before;
}
