#include "core/upload.h"

#include <array>
#include <cstring>
#include <optional>

#include "core/cuda.h"
#include "core/dry_run.h"

namespace gt {
namespace {

constexpr size_t alignment = 256;  // of a packed tensor, as of memory that CUDA allocates

/// The bytes from the beginning of a packed tensor to that of the next one.
size_t padded_bytes(const Tensor& t) { return (t.bytes() + alignment - 1) / alignment * alignment; }

void check_like(const char* what, const Tensor& to, const Tensor& from) {
  GT_CHECK(from.shape() == to.shape() && from.dtype() == to.dtype(), what, ": expected ", to.dtype(), to.shape(),
           ", got ", from.dtype(), from.shape());
}

Tensor empty_pack(const Tensors& like, Device device) {
  size_t bytes = 0;
  for (const Tensor& t : like) bytes += padded_bytes(t);
  return Tensor({int64_t(bytes)}, DType::u8, device);
}

/// Packs tensors on the host. In a dry run they have no memory.
void pack(const Tensors& from, uint8_t* to) {
  if (dry_run()) return;
  for (const Tensor& t : from) {
    std::memcpy(to, t.raw(), t.bytes());
    to += padded_bytes(t);
  }
}

}  // namespace

#if GT_CUDA && !GT_EMULATE

namespace {

/// An event of a stream. The host and other streams can wait until that stream has come to it.
class Event {
 public:
  Event() { check_cuda(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "cudaEventCreate"); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void record(cudaStream_t on) { check_cuda(cudaEventRecord(event_, on), "cudaEventRecord"); }
  void wait() const { check_cuda(cudaEventSynchronize(event_), "cudaEventSynchronize"); }
  void let_wait(cudaStream_t stream) const { check_cuda(cudaStreamWaitEvent(stream, event_), "cudaStreamWaitEvent"); }

 private:
  cudaEvent_t event_ = nullptr;
};

/// The stream of packed uploads.
cudaStream_t copy_stream() {
  static const cudaStream_t stream = [] {
    cudaStream_t made = nullptr;
    check_cuda(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    return made;  // never destroyed: at exit the driver may shut down first
  }();
  return stream;
}

void copy_async(void* to, const void* from, size_t bytes, cudaStream_t on) {
  if (bytes == 0) return;
  if (current_profile != nullptr) profiling::count_device_call(profiling::DeviceCall::copy);
  check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, on), "cudaMemcpyAsync");
}

/// Pinned memory that a copy reads, and the event after that copy.
struct Slot {
  explicit Slot(size_t bytes) : memory(bytes, Device::cpu, true) {}
  Buffer memory;
  Event copied;
};

/// Two slots in turn: while one is copied, the host fills the other.
class Slots {
 public:
  /// The slot for a call, when the copy from its memory has ended.
  Slot& of_call(size_t call, size_t bytes) {
    std::optional<Slot>& slot = slots_[call % slots_.size()];
    if (slot)
      slot->copied.wait();
    else
      slot.emplace(bytes);
    return *slot;
  }

 private:
  std::array<std::optional<Slot>, 2> slots_;
};

}  // namespace

struct Upload::State {
  Slots slots;
  size_t calls = 0;
};

void Upload::operator()(const Tensor& from) {
  if (to_.device() == Device::cpu || dry_run()) return to_.copy_from(from);
  check_like("Upload", to_, from);
  Slot& slot = state_->slots.of_call(state_->calls++, to_.bytes());
  std::memcpy(slot.memory.data(), from.raw(), to_.bytes());
  copy_async(to_.raw(), slot.memory.data(), to_.bytes(), cuda_stream());
  slot.copied.record(cuda_stream());
}

struct PackedUpload::State {
  Slots slots;
  std::array<Event, 2> staging_free;  // after the allocation and after each copy from it

  State() {
    for (Event& event : staging_free) event.record(cuda_stream());
  }

  /// Fills `all` by way of `staging` with what fill(memory) writes to host memory.
  template <class Fill>
  void run(size_t call, const Tensor& staging, const Tensor& all, const Fill& fill) {
    Slot& slot = slots.of_call(call, all.bytes());
    Event& free = staging_free[call % staging_free.size()];
    fill(static_cast<uint8_t*>(slot.memory.data()));
    free.let_wait(copy_stream());
    copy_async(staging.raw(), slot.memory.data(), all.bytes(), copy_stream());
    slot.copied.record(copy_stream());
    slot.copied.let_wait(cuda_stream());
    copy_async(all.raw(), staging.raw(), all.bytes(), cuda_stream());
    free.record(cuda_stream());
  }
};

#else

struct Upload::State {};

void Upload::operator()(const Tensor& from) { to_.copy_from(from); }

struct PackedUpload::State {};

#endif

Upload::Upload(const Tensor& to) : to_(to), state_(std::make_unique<State>()) {}
Upload::~Upload() = default;
Upload::Upload(Upload&&) noexcept = default;

PackedUpload::PackedUpload(const Tensors& like, Device device)
    : all_(empty_pack(like, device)), staging_{empty_pack(like, device), empty_pack(like, device)} {
  size_t offset = 0;
  for (const Tensor& t : like) {
    tensors_.push_back(all_.part(offset, t.shape(), t.dtype()));
    offset += padded_bytes(t);
  }
}
PackedUpload::~PackedUpload() = default;
PackedUpload::PackedUpload(PackedUpload&&) noexcept = default;

void PackedUpload::operator()(const Tensors& from) {
  GT_CHECK(from.size() == tensors_.size(), "PackedUpload: expected ", tensors_.size(), " tensors, got ", from.size());
  for (size_t i = 0; i < from.size(); ++i) check_like("PackedUpload", tensors_[i], from[i]);
  const size_t call = calls_++;
  const Tensor& staging = staging_[call % staging_.size()];
#if GT_CUDA && !GT_EMULATE
  if (all_.device() == Device::cuda && !dry_run()) {
    if (state_ == nullptr) state_ = std::make_unique<State>();
    return state_->run(call, staging, all_, [&](uint8_t* to) { pack(from, to); });
  }
#endif
  const Tensor packed = empty_pack(from, Device::cpu);
  pack(from, packed.data<uint8_t>());
  copy_bytes(staging.raw(), all_.device(), packed.raw(), Device::cpu, all_.bytes());
  copy_bytes(all_.raw(), all_.device(), staging.raw(), all_.device(), all_.bytes());
}

}  // namespace gt
