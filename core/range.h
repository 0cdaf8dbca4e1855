// Named ranges around parts of the program. In a CUDA build they are NVTX ranges, which Nsight shows. A Profile (see
// core/profile.h) collects them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>

#if GT_CUDA && !GT_EMULATE
#include <nvtx3/nvToolsExt.h>
#endif

namespace gt {

enum class Device;
class Profile;
struct KernelLaunch;

/// The profile that collects this thread's ranges, or null.
extern thread_local constinit Profile* current_profile;

// What ranges, tensors and launches report to current_profile, which must not be null.
namespace profiling {

/// Work that is sent to a device besides this project's kernels: a call of a library (which may run several kernels), a
/// copy.
enum class DeviceCall { library_call, copy };

void begin_range(const char* name);
void end_range();
void count_operand(const void* data, size_t bytes);  ///< a tensor that an op's body reads or writes
void count_flops(double flops);
void count_launch(const KernelLaunch& launch);
void count_device_call(DeviceCall call);
/// A buffer is allocated (bytes above 0) or freed (below 0). `live` are the bytes in buffers on the device afterwards.
void count_buffer(Device device, const void* data, int64_t bytes, int64_t live);
void label_range(const std::string& label);  ///< sizes, which distinguish ranges of one name
void begin_op_body(Device device);           ///< after the operands are counted, before the work
void end_op_body(Device device);

}  // namespace profiling

class NamedRange {
 public:
  explicit NamedRange(const char* name) {
#if GT_CUDA && !GT_EMULATE
    nvtxRangePushA(name);
#endif
    if (current_profile != nullptr) profiling::begin_range(name);
  }
  ~NamedRange() {
    if (current_profile != nullptr) profiling::end_range();
#if GT_CUDA && !GT_EMULATE
    nvtxRangePop();
#endif
  }
  NamedRange(const NamedRange&) = delete;
  NamedRange& operator=(const NamedRange&) = delete;
};

/// The range of an op's body on a device. It is constructed before the body's arguments are evaluated, so that it
/// counts the operands among them (see operand() in core/tensor.h). An argument with flops() or label() reports those.
class OpRange {
 public:
  OpRange(const char* name, Device device) : range_(name), device_(device) {}

  /// Runs body(arguments...) inside the range. With a profile it waits for the device, and throws Error with what
  /// failed there.
  template <class Body, class... Arguments>
  decltype(auto) operator()(Body&& body, Arguments&&... arguments) const {
    if (current_profile == nullptr) return body(arguments...);
    (report_cost(arguments), ...);
    profiling::begin_op_body(device_);
    if constexpr (std::is_void_v<decltype(body(arguments...))>) {
      body(arguments...);
      profiling::end_op_body(device_);
    } else {
      decltype(auto) result = body(arguments...);
      profiling::end_op_body(device_);
      return result;
    }
  }

 private:
  template <class Argument>
  static void report_cost(const Argument& argument) {
    if constexpr (requires { argument.flops(); }) profiling::count_flops(argument.flops());
    if constexpr (requires { argument.label(); }) profiling::label_range(argument.label());
  }

  NamedRange range_;
  Device device_;
};

}  // namespace gt
