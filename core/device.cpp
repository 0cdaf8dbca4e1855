#include "core/device.h"

#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>
#include <mutex>
#include <ostream>

#include "core/check.h"
#include "core/dry_run.h"

#if GT_CUDA && !GT_EMULATE
#include "core/cuda.h"
#elif GT_EMULATE
#include "core/emulation/emulation.h"
#endif

namespace gt {
namespace {

std::atomic<int64_t> live{0};
std::atomic<int64_t> live_on[2] = {0, 0};  // indexed by Device
std::atomic<int64_t> peak{0};
std::atomic<bool> may_wait{true};

constexpr size_t alignment = 64;

CudaStatus query_cuda() {
#if GT_EMULATE
  return {CudaState::device, "emulated on the CPU, for tests"};
#elif GT_CUDA
  int count = 0;  // untouched by a failing call
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess) return {CudaState::no_device, cudaGetErrorString(status)};
  if (count == 0) return {CudaState::no_device, "the driver lists no device"};
  cudaDeviceProp properties;
  check_cuda(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
  const std::string device = str_cat(properties.name, ", compute capability ", properties.major, ".", properties.minor);
  if (properties.major < 8) return {CudaState::no_device, device + ": expected 8.0 or more"};
  return {CudaState::device, device};
#else
  return {CudaState::not_built, "built without CUDA (GRADTRACK_CUDA=OFF)"};
#endif
}

/// A pool of host memory. Every training step allocates equal blocks. Freed blocks are kept, because the system would
/// zero the pages of new ones. With `max` the largest number of bytes ever in use, kept and used blocks take at most
/// max + min(max / 2, 256 MiB). AddressSanitizer builds keep nothing, so that a use after free is found.
class HostMemoryPool {
 public:
  /// A block of at least `bytes`, which is set to the block's size.
  void* allocate(size_t& bytes) {
    const size_t unit = bytes < (1 << 16) ? alignment : bytes < 4 * huge_page ? size_t(4096) : huge_page;
    const size_t rounded = std::max(unit, (bytes + unit - 1) / unit * unit);
    const std::lock_guard<std::mutex> lock(mutex_);
    void* data = nullptr;
    const auto found = kept_.lower_bound(rounded);
    if (found != kept_.end() && found->first <= rounded + rounded / 8) {
      bytes = found->first;
      data = found->second;
      kept_bytes_ -= bytes;
      kept_.erase(found);
    } else {
      trim(rounded);
      data = allocate_block(rounded);
      if (data == nullptr) fail("out of memory: ", bytes, " bytes for one tensor");
      bytes = rounded;
    }
    used_bytes_ += bytes;
    max_used_ = std::max(max_used_, used_bytes_);
    return data;
  }

  /// Takes back a block of `bytes`, the size that allocate() set.
  void free(void* data, size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    used_bytes_ -= bytes;
#ifdef __SANITIZE_ADDRESS__
    std::free(data);
#else
    kept_.emplace(bytes, data);
    kept_bytes_ += bytes;
#endif
  }

 private:
  static constexpr size_t huge_page = size_t(2) << 20, max_kept = size_t(256) << 20;

  static void* allocate_block(size_t bytes) {
    const bool huge = bytes >= huge_page;
    void* data = nullptr;
    if (posix_memalign(&data, huge ? huge_page : alignment, bytes) != 0) return nullptr;
    if (huge) madvise(data, bytes, MADV_HUGEPAGE);
    return data;
  }

  /// Frees kept blocks, the largest first, until a new block of `bytes` is within the limit.
  void trim(size_t bytes) {
    const size_t max = std::max(max_used_, used_bytes_ + bytes), limit = max + std::min(max / 2, max_kept);
    while (!kept_.empty() && used_bytes_ + kept_bytes_ + bytes > limit) {
      const auto largest = std::prev(kept_.end());
      std::free(largest->second);
      kept_bytes_ -= largest->first;
      kept_.erase(largest);
    }
  }

  std::mutex mutex_;
  std::multimap<size_t, void*> kept_;  // by size
  size_t kept_bytes_ = 0, used_bytes_ = 0, max_used_ = 0;
};

/// The pool is never destroyed, because static tensors are freed late.
HostMemoryPool& host_memory() {
  static HostMemoryPool* const pool = new HostMemoryPool;
  return *pool;
}

void* allocate_host(size_t& bytes) {
  void* data = host_memory().allocate(bytes);
#ifndef NDEBUG
  std::memset(data, 0xFF, bytes);
#endif
  return data;
}

/// A block of exactly `bytes`, filled with NaN. A sanitizer then sees an access one byte beyond the end. If a graph is
/// recorded, each replay fills the block again.
[[maybe_unused]] void* allocate_emulated(size_t bytes) {
  if (bytes == 0) return nullptr;
  void* data = nullptr;
  if (posix_memalign(&data, alignment, bytes) != 0) fail("out of memory: ", bytes, " bytes");
  std::memset(data, 0xFF, bytes);
#if GT_EMULATE
  if (emulation::recorded_graph() != nullptr) emulation::submit([=] { std::memset(data, 0xFF, bytes); });
#endif
  return data;
}

/// Frees a block, or leaves it to the graph that is recorded, whose replays use it.
[[maybe_unused]] void free_emulated(void* data) {
#if GT_EMULATE
  if (emulation::Graph* const graph = emulation::recorded_graph(); graph != nullptr) {
    graph->memory.emplace_back(data, std::free);
    return;
  }
#endif
  std::free(data);
}

/// Address space without memory behind it. It reads as zeros.
void* reserve(size_t bytes) {
  void* data = mmap(nullptr, std::max<size_t>(bytes, 1), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) fail("out of address space: ", bytes, " bytes for one tensor");
  return data;
}

void release(void* data, size_t bytes) { munmap(data, std::max<size_t>(bytes, 1)); }

/// Adds to the live bytes: positive for a new buffer, negative for a freed one.
void count_bytes(Device device, const void* data, int64_t bytes) {
  const int64_t on_device = live_on[size_t(device)] += bytes, now = live += bytes;
  if (current_profile != nullptr) profiling::count_buffer(device, data, bytes, on_device);
  int64_t seen = peak;
  while (seen < now && !peak.compare_exchange_weak(seen, now)) {
  }
}

void count_copy(Device to, Device from) {
  if (current_profile != nullptr && (to == Device::cuda || from == Device::cuda))
    profiling::count_device_call(profiling::DeviceCall::copy);
}

}  // namespace

thread_local constinit bool dry_running = false;

DryRun::DryRun() {
  GT_CHECK(!dry_running, "DryRun: this thread has one");
  dry_running = true;
}

DryRun::~DryRun() { dry_running = false; }

const char* to_string(Device device) { return device == Device::cpu ? "cpu" : "cuda"; }
std::ostream& operator<<(std::ostream& out, Device device) { return out << to_string(device); }

const CudaStatus& cuda_status() {
  static const CudaStatus status = query_cuda();
  return status;
}

Device choose_device(const std::string& word, std::string* why) {
  if (word == "cpu") return Device::cpu;
  if (word != "auto" && word != "cuda") fail("device '", word, "': expected auto, cpu or cuda");
  if (cuda_status().state == CudaState::device && (word == "cuda" || !GT_EMULATE)) return Device::cuda;
  if (word == "cuda") fail("device 'cuda' is not available: ", cuda_status().reason);
  if (why != nullptr) *why = cuda_status().reason;
  return Device::cpu;
}

void require_device(Device device) {
  const CudaState required = dry_run() ? CudaState::no_device : CudaState::device;
  if (device == Device::cuda && cuda_status().state < required)
    fail("device 'cuda' is not available: ", cuda_status().reason);
}

void refuse_bf16() { fail("bf16: expected device cuda, got cpu, which computes in f32 and f64 only"); }

Buffer::Buffer(std::shared_ptr<Buffer> whole, size_t offset, size_t bytes)
    : data_(static_cast<char*>(whole->data_) + offset),
      bytes_(bytes),
      capacity_(bytes),
      device_(whole->device_),
      pinned_(whole->pinned_),
      reserved_(whole->reserved_),
      whole_(std::move(whole)) {
  GT_CHECK(offset <= whole_->bytes_ && bytes <= whole_->bytes_ - offset, "part of a block: bytes ", offset, " to ",
           offset + bytes, " of ", whole_->bytes_);
}

#if GT_CUDA && !GT_EMULATE
namespace {

void* allocate_cuda(size_t bytes) {
  if (bytes == 0) return nullptr;
  void* data = nullptr;
  const cudaError_t status = cudaMallocAsync(&data, bytes, cuda_stream());
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // clears the error, which the next launch would report again
    throw OutOfDeviceMemory(str_cat("out of device memory: ", bytes, " bytes for one tensor"));
  }
  check_cuda(status, "cudaMallocAsync");
  return data;
}

void* allocate_pinned(size_t bytes) {
  void* data = nullptr;
  check_cuda(cudaMallocHost(&data, bytes == 0 ? 1 : bytes), "cudaMallocHost");
  return data;
}

}  // namespace

Buffer::Buffer(size_t bytes, Device device, bool pinned)
    : bytes_(bytes), capacity_(bytes), device_(device), pinned_(pinned), reserved_(dry_run()) {
  require_device(device);
  pinned_ = pinned && device == Device::cpu && cuda_status().state == CudaState::device;
  data_ = reserved_                ? reserve(bytes)
          : device == Device::cuda ? allocate_cuda(bytes)
          : pinned_                ? allocate_pinned(bytes)
                                   : allocate_host(capacity_);
  count_bytes(device, data_, int64_t(bytes));
}

// Errors of freeing are ignored: at exit the driver may shut down before the last buffers are freed.
Buffer::~Buffer() {
  if (whole_ != nullptr) return;
  if (reserved_)
    release(data_, bytes_);
  else if (device_ == Device::cuda && data_ != nullptr)
    cudaFreeAsync(data_, cuda_stream());
  else if (pinned_)
    cudaFreeHost(data_);
  else
    host_memory().free(data_, capacity_);
  count_bytes(device_, data_, -int64_t(bytes_));
}

void copy_bytes(void* to, Device to_device, const void* from, Device from_device, size_t bytes) {
  if (bytes == 0) return;
  count_copy(to_device, from_device);
  if (dry_run()) return;
  if (to_device == Device::cpu && from_device == Device::cpu) {
    std::memcpy(to, from, bytes);
    return;
  }
  check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, cuda_stream()), "cudaMemcpyAsync");
  if (to_device == Device::cpu || from_device == Device::cpu) synchronize(Device::cuda);
}

void synchronize(Device device) {
  if (device == Device::cuda && !dry_run()) check_cuda(cudaStreamSynchronize(cuda_stream()), "cudaStreamSynchronize");
}
#else
Buffer::Buffer(size_t bytes, Device device, bool)
    : bytes_(bytes), capacity_(bytes), device_(device), pinned_(false), reserved_(dry_run()) {
  require_device(device);
  data_ = reserved_ ? reserve(bytes) : device == Device::cpu ? allocate_host(capacity_) : allocate_emulated(bytes);
  count_bytes(device, data_, int64_t(bytes));
}

Buffer::~Buffer() {
  if (whole_ != nullptr) return;
  if (reserved_)
    release(data_, bytes_);
  else if (device_ == Device::cpu)
    host_memory().free(data_, capacity_);
  else
    free_emulated(data_);
  count_bytes(device_, data_, -int64_t(bytes_));
}

void copy_bytes(void* to, Device to_device, const void* from, Device from_device, size_t bytes) {
  if (bytes == 0) return;
  count_copy(to_device, from_device);
  if (dry_run()) return;
#if GT_EMULATE
  if (to_device == Device::cuda && from_device == Device::cuda)
    return emulation::submit([=] { std::memcpy(to, from, bytes); });
  if (to_device != from_device) emulation::require_no_recording("a copy between host and device");
#endif
  std::memcpy(to, from, bytes);
}

void synchronize([[maybe_unused]] Device device) {
#if GT_EMULATE
  if (device != Device::cuda || dry_run()) return;
  emulation::require_no_recording("synchronize()");
  emulation::throw_late_error();
#endif
}
#endif

void set_blocks_may_wait(bool may) { may_wait = may; }
bool blocks_may_wait() { return may_wait; }

int64_t live_bytes() { return live; }
int64_t live_bytes(Device device) { return live_on[size_t(device)]; }
int64_t peak_bytes() { return peak; }
void reset_peak_bytes() { peak = live.load(); }

}  // namespace gt
