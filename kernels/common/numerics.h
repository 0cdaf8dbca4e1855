// Choices of speed against rounding and memory, which travel with a model and its ops as a value.
#pragma once

#include <cstdint>

namespace gt {

/// How the CPU computes 3x3 convolutions: by their definition, by Winograd's minimal filtering, or by whichever is
/// faster. That is the definition for few channels.
enum class ConvolutionMethod { automatic, direct, winograd };

struct Numerics {
  /// On CUDA, f32 convolutions and matrix products may round their inputs to TF32 (10 bits of mantissa instead of 23),
  /// which tensor cores take. Sums stay f32.
  bool tf32 = false;
  ConvolutionMethod convolution = ConvolutionMethod::automatic;
  /// The most bytes of workspace that a convolution by cuDNN may take.
  int64_t cudnn_workspace = int64_t(1) << 30;
  /// Outputs of norms are not kept for backward but computed again there.
  bool recompute_norms = false;
};

}  // namespace gt
