// Choices of the whole process, of speed against rounding.
#pragma once

#include <atomic>

namespace gt {

inline std::atomic<bool> tf32_allowed = false;

/// Whether f32 convolutions and matrix products on CUDA may round their inputs to TF32 (10 bits of mantissa instead of
/// 23), which the tensor cores take; sums stay f32. Off unless set.
inline bool tf32() { return tf32_allowed; }
inline void set_tf32(bool allowed) { tf32_allowed = allowed; }

enum class ConvolutionMethod { direct, winograd, automatic };

inline std::atomic<ConvolutionMethod> chosen_convolution_method = ConvolutionMethod::automatic;

/// How the CPU computes 3x3 convolutions: by their definition, by Winograd's minimal filtering, or by whichever is
/// faster (the definition where an image has few channels).
inline ConvolutionMethod convolution_method() { return chosen_convolution_method; }
inline void set_convolution_method(ConvolutionMethod method) { chosen_convolution_method = method; }

}  // namespace gt
