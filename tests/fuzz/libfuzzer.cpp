// The entry points of libFuzzer: gradtrack_fuzz --target=NAME [FLAG...] [CORPUS...]
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "tests/fuzz/fuzz.h"

namespace {

const gt::fuzz::Target* target = nullptr;

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments) {
  constexpr std::string_view flag = "--target=";
  for (int i = 1; i < *count; ++i)
    if (const std::string_view argument = (*arguments)[i]; argument.substr(0, flag.size()) == flag)
      target = gt::fuzz::find_target(argument.substr(flag.size()));
  if (!target) {
    std::fprintf(stderr, "expected --target= and one of:");
    for (const auto& t : gt::fuzz::targets) std::fprintf(stderr, " %s", t.name);
    std::fprintf(stderr, "\n");
    std::exit(2);
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  target->run({reinterpret_cast<const char*>(bytes), size});
  return 0;
}
