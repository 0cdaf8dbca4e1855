// What is known of this project's CUDA kernels: their launches, names, registers and shared memory.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>

#include "core/occupancy.h"

namespace gt {

/// A launch, as far as it decides how many blocks a multiprocessor holds at once.
struct KernelLaunch {
  const void* kernel;   ///< the function
  int threads;          ///< of a block
  size_t shared_bytes;  ///< dynamic shared memory of a block

  auto operator<=>(const KernelLaunch&) const = default;
};

/// A kernel's name, with namespaces and parameters, as C++ writes it; "a kernel" if it cannot be found. Throws Error in
/// a build without CUDA.
std::string kernel_name(const void* kernel);

/// What the compiler gave a kernel.
struct KernelResources {
  int registers = 0;          ///< of a thread
  int64_t static_shared = 0;  ///< bytes of shared memory that a block has besides the launch's

  bool operator==(const KernelResources&) const = default;
};

/// A launch on this machine's device.
struct KernelOnDevice {
  KernelResources resources;
  int blocks;  ///< that a multiprocessor holds at once
};

/// Asks the CUDA runtime. Throws Error unless there is a device that is not emulated.
KernelOnDevice kernel_on_device(const KernelLaunch& launch);

/// The limits of this machine's device. Throws Error unless there is one that is not emulated.
MultiprocessorLimits device_limits();

/// A name of the compiler, such as _ZN2gt3addEv, as C++ writes it. Other text is returned unchanged.
std::string demangle(const std::string& name);

}  // namespace gt
