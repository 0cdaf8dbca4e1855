// A choice of the whole process.
#pragma once

#include <atomic>

namespace gt {

inline std::atomic<bool> tf32_allowed = false;

/// Whether f32 convolutions and matrix products on CUDA may round their inputs to TF32 (10 bits of mantissa instead of
/// 23), which the tensor cores take; sums stay f32. Off unless set.
inline bool tf32() { return tf32_allowed; }
inline void set_tf32(bool allowed) { tf32_allowed = allowed; }

}  // namespace gt
