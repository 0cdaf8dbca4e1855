// The CUDA runtime of a real CUDA build: its errors as Error, and the project's one stream.
#pragma once

#if GT_CUDA && !GT_EMULATE

#include <cuda_runtime_api.h>

namespace gt {

/// Throws Error with `what` and the runtime's text unless the status is cudaSuccess.
void check_cuda(cudaError_t status, const char* what);

/// The stream of all kernels, copies and library calls: made on first use, not ordered with the default stream.
cudaStream_t cuda_stream();

}  // namespace gt

#endif
