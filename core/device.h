// Where tensors live and where kernels run. CUDA has three states, told apart and told to the user: built without it;
// built with it but no usable device (with the driver's reason); a device. An emulated device counts as one (it runs
// the same kernels on the CPU, for tests), but is taken only when asked for by name.
//
// GT_CUDA is 1 where ops have their CUDA bodies, GT_EMULATE is 1 where those run emulated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>

#include "core/range.h"

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

/// The device for `auto`, `cpu` or `cuda`. `auto` takes CUDA if there is a device that is not emulated, and else the
/// CPU, with the reason in *why (may be null). Throws Error for `cuda` without a device, with the reason, and for any
/// other word.
Device choose_device(const std::string& word, std::string* why = nullptr);

/// Throws Error unless kernels can run on this device in this program, or could in a dry run.
void require_device(Device device);

struct bf16;  // core/bf16.h

[[noreturn]] void refuse_bf16();

/// Throws Error if T is bf16 and the device is the CPU.
template <class T>
void require_activation_dtype(Device device) {
  if (std::is_same_v<T, bf16> && device == Device::cpu) refuse_bf16();
}

/// A block of device memory, aligned to 64 bytes and not initialised (debug builds, and the emulated device, fill it
/// with NaN). CUDA's is allocated and freed in the order of the stream. Host memory may be pinned, for copies that
/// overlap.
class Buffer {
 public:
  Buffer(size_t bytes, Device device, bool pinned = false);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  size_t bytes_;
  size_t capacity_;  // of the block; a host's may be larger than was asked for
  Device device_;
  bool pinned_;
  bool reserved_;  // in a dry run: address space alone
};

/// Copies bytes between or within devices, in the order of the stream; from a device to the host it waits for them.
void copy_bytes(void* to, Device to_device, const void* from, Device from_device, size_t bytes);

/// Waits for all work on the device. Throws Error with what went wrong there.
void synchronize(Device device);

/// Bytes in live Buffers now, and the most there have been since the last reset_peak_bytes().
int64_t live_bytes();
int64_t live_bytes(Device device);
int64_t peak_bytes();
void reset_peak_bytes();

}  // namespace gt

// Calls cpu::fn or cuda::fn, found where the macro stands, on the device asked for, in a range of that name.
#if GT_CUDA
#define GT_DISPATCH(where, fn, ...)                                       \
  ::gt::OpRange(#fn, where)(                                              \
      [&](auto&&... arguments) -> decltype(auto) {                        \
        if ((where) == ::gt::Device::cuda) return cuda::fn(arguments...); \
        return cpu::fn(arguments...);                                     \
      },                                                                  \
      __VA_ARGS__)
#else
#define GT_DISPATCH(where, fn, ...)                                                                        \
  (::gt::require_device(where),                                                                            \
   ::gt::OpRange(#fn, where)([&](auto&&... arguments) -> decltype(auto) { return cpu::fn(arguments...); }, \
                             __VA_ARGS__))
#endif

// The same inside visit_activation()'s lambda of element type T: there is no bf16 on the CPU.
#if GT_CUDA
#define GT_DISPATCH_ACTIVATION(T, where, fn, ...)                                                   \
  do {                                                                                              \
    ::gt::require_activation_dtype<T>(where);                                                       \
    if constexpr (std::is_same_v<T, ::gt::bf16>)                                                    \
      ::gt::OpRange(#fn, where)([&](auto&&... arguments) { cuda::fn(arguments...); }, __VA_ARGS__); \
    else                                                                                            \
      GT_DISPATCH(where, fn, __VA_ARGS__);                                                          \
  } while (0)
#else
#define GT_DISPATCH_ACTIVATION(T, where, fn, ...)                                      \
  do {                                                                                 \
    ::gt::require_activation_dtype<T>(where);                                          \
    if constexpr (!std::is_same_v<T, ::gt::bf16>) GT_DISPATCH(where, fn, __VA_ARGS__); \
  } while (0)
#endif
