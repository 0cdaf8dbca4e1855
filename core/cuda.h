// The CUDA runtime of a real CUDA build: its errors as Error, and this project's stream.
#pragma once

#if GT_CUDA && !GT_EMULATE

#include <cuda_runtime_api.h>

#include <cstddef>

namespace gt {

/// Throws Error with `what` and the runtime's message unless the status is cudaSuccess.
void check_cuda(cudaError_t status, const char* what);

/// Makes the `place`-th of this machine's devices the one that this process uses; places beyond the last start again.
/// To be called before the first use of CUDA.
void use_cuda_device(int place);

/// The stream of all kernels, copies and library calls. It is created on first use and does not synchronise with the
/// default stream.
cudaStream_t cuda_stream();

/// An attribute of this process's device.
int device_attribute(cudaDeviceAttr attribute);

/// The number of blocks of the kernel that a multiprocessor holds at once; 0 if a block may not have so much shared
/// memory. `shared_bytes` is the dynamic shared memory of a block.
int blocks_of_multiprocessor(const void* kernel, int threads, size_t shared_bytes);

/// Waits for the stream and returns the freed memory of cudaMallocAsync's pool to the driver.
void trim_memory_pool();

}  // namespace gt

#endif
