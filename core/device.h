// Where kernels run. CUDA has three states, which messages tell apart: built without CUDA; built with it but without a
// usable device, for a reason that the driver gives; a device. An emulated device counts as one. It runs the same
// kernels on the CPU, for tests, and is chosen only by the name `cuda`.
//
// GT_CUDA is 1 in builds whose ops have their CUDA bodies. GT_EMULATE is 1 where those run emulated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
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

struct bf16;

enum class Device { cpu, cuda };

/// "cpu" or "cuda".
const char* to_string(Device device);
std::ostream& operator<<(std::ostream& out, Device device);

enum class CudaState { not_built, no_device, device };

struct CudaStatus {
  CudaState state;
  std::string reason;  // why there is no device, or the device's name
};

/// The state of this machine. The driver is asked once.
const CudaStatus& cuda_status();

/// The device for the word `auto`, `cpu` or `cuda`. `auto` is CUDA if there is a device that is not emulated. Otherwise
/// it is the CPU, and *why (if not null) receives the reason. Throws Error for `cuda` without a device, with the
/// reason, and for any other word.
Device choose_device(const std::string& word, std::string* why = nullptr);

/// Throws Error unless this program can run kernels on the device. A dry run needs the CUDA bodies but no device.
void require_device(Device device);

/// Throws Error: the CPU computes no op in bf16.
[[noreturn]] void refuse_bf16();

/// Throws Error if T is bf16 and the device is the CPU.
template <class T>
void require_activation_dtype(Device device) {
  if (std::is_same_v<T, bf16> && device == Device::cpu) refuse_bf16();
}

/// A block of device memory, aligned to 64 bytes and not initialised. Debug builds and the emulated device fill it with
/// NaN. CUDA memory is allocated and freed in stream order. Host memory may be pinned, for copies that the host
/// need not wait for.
class Buffer {
 public:
  /// Throws Error if there is not enough memory, or if the device is absent.
  Buffer(size_t bytes, Device device, bool pinned = false);
  /// Part of another block, which lives as long as this. Throws Error unless the part is inside it.
  Buffer(std::shared_ptr<Buffer> whole, size_t offset, size_t bytes);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  size_t bytes_;
  size_t capacity_;  // bytes of the block; host blocks may be larger than bytes_
  Device device_;
  bool pinned_;
  bool reserved_;                            // address space without memory, in a dry run
  std::shared_ptr<Buffer> whole_ = nullptr;  // that this is a part of
};

/// Whether ops may launch kernels whose blocks wait for each other, for all threads of the program. The default is
/// true. Without them the ops take more passes over memory and give the same bits.
void set_blocks_may_wait(bool may);
bool blocks_may_wait();

/// Copies bytes between or within devices, in stream order. A copy between a device and the host waits for the device:
/// the host may change or free its memory afterwards. Upload (core/upload.h) copies without waiting.
void copy_bytes(void* to, Device to_device, const void* from, Device from_device, size_t bytes);

/// Waits for all work on the device. Throws Error with what failed there.
void synchronize(Device device);

/// Bytes in live Buffers now, on all devices or on one.
int64_t live_bytes();
int64_t live_bytes(Device device);
/// The largest live_bytes() since the last reset_peak_bytes().
int64_t peak_bytes();
void reset_peak_bytes();

}  // namespace gt

// GT_DISPATCH(device, fn, arguments...) calls cpu::fn or cuda::fn of the enclosing namespace, in an OpRange named fn.
// Without CUDA it throws Error for Device::cuda.
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

// GT_DISPATCH for an activation dtype T, which visit_activation() gives. bf16 has no CPU body, so Error is thrown
// there.
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
