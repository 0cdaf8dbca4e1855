// What the tests of ops on the CPU and on device cuda share: a test for each check of each row of the op table.
#pragma once

#include <string>
#include <vector>

#include "kernels/cases/check_op.h"
#include "tests/catch.h"

namespace gt {

/// A check of rows of the op table.
struct OpCheck {
  const char* title;  // what holds
  const char* tags;
  void (*run)(const OpCase&);
  bool (*applies)(const OpCase&) = [](const OpCase&) { return true; };
};

/// All rows. They live as long as the program.
inline const std::vector<OpCase>& op_table() {
  static const std::vector<OpCase> rows = op_cases();
  return rows;
}

/// Adds the test "PREFIXname: title" for each check of each row that it applies to.
inline void add_op_tests(const std::string& prefix, const std::vector<OpCheck>& checks) {
  for (const OpCase& c : op_table())
    for (const OpCheck& check : checks)
      if (check.applies(c))
        add_test(prefix + c.name + ": " + check.title, check.tags, [&c, run = check.run] { run(c); });
}

/// Checks a row's gradients against finite differences, on at most `max_elements` elements of each input.
inline void check_op_gradients(const OpCase& c, Device device, int64_t max_elements) {
  for (const Sizes& sizes : c.sizes) {
    const GradCheck result = check_gradients(c, sizes, device, {.max_elements = max_elements});
    INFO("sizes " << Shape(sizes) << ": " << result.where);
    CHECK(result.elements > 0);
    CHECK(result.worst < 1e-6);
    CHECK(result.differing == "");
  }
}

}  // namespace gt
