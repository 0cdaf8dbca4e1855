// GPUs in cuDNN's JSON description, so that plans can be found without a GPU. The numbers are those of cudaDeviceProp,
// which the driver reports; nvidia-smi and OpenXLA's gpu_specs show them.
#pragma once

#include <string>

#include "core/check.h"
#include "core/device.h"

namespace gt::cudnn {

struct DescribedDevice {
  const char* name;
  const char* json;
};

// The description of an A100, H100 or H200 from the properties in which they differ. These are compute capability,
// number of SMs, shared memory of a block (bytes), memory (bytes), SM clock (kHz), L2 cache (bytes), memory clock (kHz)
// and name.
#define GT_DEVICE(capability, sms, shared, memory, clock, l2, memory_clock, name)                             \
  "{\"deviceVer\":" #capability ",\"multiProcessorCount\":" #sms ",\"maxSharedMemoryPerBlockOptin\":" #shared \
  ",\"totalGlobalMem\":" #memory ",\"smClockRateKHz\":" #clock ",\"l2CacheSize\":" #l2                        \
  ",\"memClockRateKHz\":" #memory_clock ",\"deviceName\":\"" name                                             \
  "\",\"warpSize\":32,\"maxSharedMemoryPerBlock\":49152,\"reservedSharedMemoryPerBlock\":1024,"               \
  "\"maxRegistersPerSM\":65536,\"maxCtasPerSM\":32,\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":2048,"     \
  "\"regsPerBlock\":65536,\"maxBlockSize\":[1024,1024,64],\"maxGridSize\":[2147483647,65535,65535],"          \
  "\"supportCoopLaunch\":1,\"pciDeviceId\":0,\"isTccDriver\":0,\"cudaDeviceId\":0,\"driverVer\":13000}"

constexpr DescribedDevice described_devices[] = {
    {"a100", GT_DEVICE(800, 108, 166912, 85100068864, 1410000, 41943040, 1593000, "NVIDIA A100-SXM4-80GB")},
    {"h100", GT_DEVICE(900, 132, 232448, 84942979072, 1980000, 52428800, 2619000, "NVIDIA H100 80GB HBM3")},
    {"h200", GT_DEVICE(900, 132, 232448, 150754820096, 1980000, 62914560, 3201000, "NVIDIA H200")},
};

#undef GT_DEVICE

/// The description of a GPU by its name in described_devices; empty for "here", this machine's GPU. Throws Error for
/// other names, and for "here" without a GPU.
inline std::string description_of(const std::string& gpu) {
  if (gpu == "here") {
    require_device(Device::cuda);
    return "";
  }
  std::string known;
  for (const auto& [name, json] : described_devices) {
    if (gpu == name) return json;
    known += str_cat(name, ", ");
  }
  fail("--gpu ", gpu, ": expected ", known, "or here");
}

}  // namespace gt::cudnn
