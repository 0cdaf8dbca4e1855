// Where tensors live and where kernels run. CUDA has three states, told apart and told to the user: built without it;
// built with it but no usable device (with the driver's reason); a device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#if defined(__CUDACC__)
#define GT_HD __host__ __device__
#else
#define GT_HD
#endif

namespace gt {

enum class Device { cpu, cuda };

const char* name(Device device);

enum class CudaState { not_built, no_device, device };

struct CudaStatus {
  CudaState state;
  std::string reason;  // why there is no device, or the device's name
};

/// Asked of the driver once, then remembered.
const CudaStatus& cuda_status();

/// The device for `auto`, `cpu` or `cuda`. `auto` takes CUDA if there is a device and else the CPU, with the reason in
/// *why (may be null). Throws Error for `cuda` without a device, with the reason, and for any other word.
Device choose_device(const std::string& word, std::string* why = nullptr);

/// Throws Error unless kernels can run on this device in this program.
void require_device(Device device);

/// A block of device memory, aligned to 64 bytes and not initialised (debug builds fill it with NaN).
class Buffer {
 public:
  Buffer(size_t bytes, Device device);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  size_t bytes_;
  Device device_;
};

/// Bytes in live Buffers now, and the most there have been since the last reset_peak_bytes().
int64_t live_bytes();
int64_t peak_bytes();
void reset_peak_bytes();

}  // namespace gt

// Calls cpu::fn or cuda::fn, found where the macro stands, on the device asked for.
#if GT_CUDA
#define GT_DISPATCH(where, fn, ...) ((where) == ::gt::Device::cuda ? cuda::fn(__VA_ARGS__) : cpu::fn(__VA_ARGS__))
#else
#define GT_DISPATCH(where, fn, ...) (::gt::require_device(where), cpu::fn(__VA_ARGS__))
#endif
