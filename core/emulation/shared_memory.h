// The shared memory of an emulated block.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>
#include <vector>

#include "core/check.h"
#include "core/emulation/emulation.h"
#include "core/emulation/fiber.h"
#include "core/emulation/races.h"

namespace gt::emulation {

/// Arrays that are found by their keys, with red zones for AddressSanitizer between them. Memory that was never written
/// reads as NaN or -1.
class SharedMemory {
 public:
  static constexpr size_t static_limit = 48 * 1024;  // nvcc refuses more

  SharedMemory() : arena_(static_cast<char*>(std::aligned_alloc(256, arena_bytes))) {
    if (arena_ == nullptr) throw std::bad_alloc();
    ASAN_POISON_MEMORY_REGION(arena_, arena_bytes);
  }
  ~SharedMemory() {
    ASAN_UNPOISON_MEMORY_REGION(arena_, arena_bytes);
    std::free(arena_);
  }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  MemoryRange range() const { return {arena_, arena_ + arena_bytes}; }

  /// Starts a block, with its dynamic shared memory only. Throws Error above `limit` bytes, as array() does.
  void begin_block(size_t dynamic_bytes, size_t limit, Site launch) {
    ASAN_POISON_MEMORY_REGION(arena_, used_);
    arrays_.clear();
    used_ = red_zone;
    static_bytes_ = 0;
    dynamic_bytes_ = dynamic_bytes;
    limit_ = limit;
    launch_ = launch;
    check_limit();
    allocate(nullptr, dynamic_bytes, 128);
  }

  void* dynamic() const { return arrays_.front().data; }

  /// The array of this key, allocated on the first call.
  void* array(const void* key, size_t bytes, size_t alignment) {
    for (const Array& a : arrays_)
      if (a.key == key) return a.data;
    static_bytes_ += bytes;
    check_limit();
    return allocate(key, bytes, alignment);
  }

 private:
  struct Array {
    const void* key;
    char* data;
  };
  static constexpr size_t arena_bytes = 1024 * 1024, red_zone = 64;

  void check_limit() const {
    const auto wrong = [&](const auto&... what) {
      fail("launch at ", launch_.file, ":", launch_.line, ": ", what..., " bytes in a block");
    };
    if (static_bytes_ > static_limit) wrong("shared arrays take ", static_bytes_, " of ", static_limit);
    if (static_bytes_ + dynamic_bytes_ > limit_)
      wrong("shared memory takes ", static_bytes_ + dynamic_bytes_, " of ", limit_);
  }

  char* allocate(const void* key, size_t bytes, size_t alignment) {
    char* const data = arena_ + (used_ + alignment - 1) / alignment * alignment;
    used_ = size_t(data - arena_) + (bytes + red_zone + 15) / 16 * 16;
    ASAN_UNPOISON_MEMORY_REGION(data, bytes);
    std::memset(data, 0xff, bytes);
    arrays_.push_back({key, data});
    return data;
  }

  char* arena_;
  std::vector<Array> arrays_;
  size_t used_ = 0, static_bytes_ = 0, dynamic_bytes_ = 0, limit_ = 0;
  Site launch_;
};

}  // namespace gt::emulation
