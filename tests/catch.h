// Catch2, version 2 (Debian 12) or 3, and two additions: tests that a table generates, and tests that are skipped.
#pragma once

#if __has_include(<catch2/catch_test_macros.hpp>)
#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
using Catch::Approx;
#else
#include <catch2/catch.hpp>
#endif

#include <functional>
#include <string>

/// Ends the test. CTest counts it as skipped, for the given reason.
#define GT_SKIP_TEST(reason)          \
  do {                                \
    WARN("test skipped: " << reason); \
    return;                           \
  } while (0)

namespace gt {

/// Adds a test to this program.
void add_test(const std::string& name, const std::string& tags, std::function<void()> body);

/// Calls `generate`, which calls add_test(), at the start of main(). Declare one at namespace level. A static
/// initialiser could not do this, because tables in other files may not be initialised before it.
struct GeneratedTests {
  explicit GeneratedTests(void (*generate)());
};

/// main() of a test program.
int run_tests(int argc, char** argv);

}  // namespace gt
