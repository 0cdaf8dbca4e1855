#include "core/processor.h"

namespace gt {

std::string processor_features() {
  std::string all;
#if defined(__x86_64__)
  const auto add = [&](bool supported, const char* name) {
    all += supported ? std::string(all.empty() ? "" : " ") + name : "";
  };
  add(__builtin_cpu_supports("avx2"), "avx2");
  add(__builtin_cpu_supports("fma"), "fma");
  add(__builtin_cpu_supports("avx512f"), "avx512f");
  add(__builtin_cpu_supports("avx512bw"), "avx512bw");
  add(__builtin_cpu_supports("avx512vl"), "avx512vl");
  add(__builtin_cpu_supports("avx512bf16"), "avx512bf16");
#endif
  return all.empty() ? "none of the known ones" : all;
}

const char* compiled_vectors() {
#if defined(__AVX512F__)
  return "avx512f";
#elif defined(__AVX2__)
  return "avx2";
#else
  return "baseline";
#endif
}

bool compiled_with_fma() {
#if defined(__FMA__)
  return true;
#else
  return false;
#endif
}

}  // namespace gt
