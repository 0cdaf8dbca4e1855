// Named ranges around what the program does: NVTX in a CUDA build (Nsight shows them), and what a Profile collects.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#if GT_CUDA && !GT_EMULATE
#include <nvtx3/nvToolsExt.h>
#endif

namespace gt {

enum class Device;
class Profile;

/// The profile that collects this thread's ranges, or null. See core/profile.h.
extern thread_local constinit Profile* current_profile;

/// What a device is sent: a kernel of ours, a library's call (whose kernels only it knows), a copy.
enum class Launched { kernel, library_call, copy };

// What a range tells current_profile, which must not be null.
void begin_range(const char* name);
void end_range();
void count_operand(size_t bytes);  // of a tensor that an op's body is given; see operand() in core/tensor.h
void count_flops(double flops);
void count_launch(Launched what);
void note_memory(Device device, int64_t bytes);  // in live buffers there
void label_range(const std::string& label);      // what tells ranges of one name apart: sizes
void begin_body(Device device);                  // operands are known, work begins
void end_body(Device device);

class NamedRange {
 public:
  explicit NamedRange(const char* name) {
#if GT_CUDA && !GT_EMULATE
    nvtxRangePushA(name);
#endif
    if (current_profile != nullptr) begin_range(name);
  }
  ~NamedRange() {
    if (current_profile != nullptr) end_range();
#if GT_CUDA && !GT_EMULATE
    nvtxRangePop();
#endif
  }
  NamedRange(const NamedRange&) = delete;
  NamedRange& operator=(const NamedRange&) = delete;
};

/// The range of an op's body on a device. It begins before the body's arguments are made, so that the range counts the
/// operands among them. Arguments with flops() or label() are asked for these.
class OpRange {
 public:
  OpRange(const char* name, Device device) : range_(name), device_(device) {}

  template <class Body, class... Arguments>
  decltype(auto) operator()(Body&& body, Arguments&&... arguments) const {
    if (current_profile == nullptr) return body(arguments...);
    (tell(arguments), ...);
    begin_body(device_);
    const Ended at_the_end{device_};
    return body(arguments...);
  }

 private:
  struct Ended {
    Device device;
    ~Ended() { end_body(device); }
  };
  template <class Argument>
  static void tell(const Argument& argument) {
    if constexpr (requires { argument.flops(); }) count_flops(argument.flops());
    if constexpr (requires { argument.label(); }) label_range(argument.label());
  }

  NamedRange range_;
  Device device_;
};

}  // namespace gt
