// The processor, and the one that the library is compiled for.
#pragma once

#include <string>

namespace gt {

/// The instruction sets of this machine's processor that matter here, such as "avx2 fma avx512f".
std::string processor_features();

/// The vectors that the library is compiled for: "avx512f", "avx2" or "baseline". Of a program with several shared
/// libraries it is the one that the loader has taken.
const char* compiled_vectors();

/// Whether the library computes the same bits on each processor with fused multiply-add: it is compiled for AVX2 or
/// AVX-512, which differ in speed alone.
bool compiled_with_fma();

}  // namespace gt
