#if __has_include(<catch2/catch_test_macros.hpp>)
#include <catch2/catch_session.hpp>
#include <catch2/internal/catch_test_registry.hpp>
#else
#define CATCH_CONFIG_RUNNER
#endif
#include <utility>
#include <vector>

#include "core/check.h"
#include "tests/catch.h"
#include "tests/temp_folder.h"

namespace gt {
namespace {

std::vector<void (*)()>& generators() {
  static std::vector<void (*)()> all;
  return all;
}

class Body : public Catch::ITestInvoker {
 public:
  explicit Body(std::function<void()> body) : body_(std::move(body)) {}
  void invoke() const override { body_(); }

 private:
  std::function<void()> body_;
};

}  // namespace

void add_test(const std::string& name, const std::string& tags, std::function<void()> body) {
  GT_CHECK(name.find_first_of("[];") == name.npos, "test '", name,
           "': expected a title without brackets and semicolons");
#if __has_include(<catch2/catch_test_macros.hpp>)
  auto invoker = Catch::Detail::make_unique<Body>(std::move(body));
#else
  auto* const invoker = new Body(std::move(body));  // Catch2 owns it
#endif
  Catch::AutoReg(std::move(invoker), CATCH_INTERNAL_LINEINFO, Catch::StringRef(), Catch::NameAndTags(name, tags));
}

GeneratedTests::GeneratedTests(void (*generate)()) { generators().push_back(generate); }

int run_tests(int argc, char** argv) {
  const TempFolder cache;  // tests and the programs that they start leave the user's alone
  ::setenv("XDG_CACHE_HOME", cache.path().c_str(), 1);
  for (void (*const generate)() : generators()) generate();
  return Catch::Session().run(argc, argv);
}

}  // namespace gt
