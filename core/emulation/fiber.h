// Fibers for the emulation, by Boost.Context. AddressSanitizer is informed of every switch.
#pragma once

#include <boost/context/detail/fcontext.hpp>
#include <cstddef>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) (void)0
#define ASAN_UNPOISON_MEMORY_REGION(p, n) (void)0
#endif

namespace gt::emulation {

struct Fiber {
  using Entry = void (*)(boost::context::detail::transfer_t);

  boost::context::detail::fcontext_t context = nullptr;
  const void* stack = nullptr;  // its lowest address
  size_t stack_bytes = 0;
  void* fake_stack = nullptr;  // AddressSanitizer's
  bool ended = false;

  /// The next switch_to() starts the fiber at `entry`. `entry` must call arrive() first and must not return.
  void prepare(Entry entry) {
    char* const top = static_cast<char*>(const_cast<void*>(stack)) + stack_bytes;
    context = boost::context::detail::make_fcontext(top, stack_bytes, entry);
    fake_stack = nullptr;
    ended = false;
  }

  /// Must be the first call after every switch. Stores the context of the fiber that was left.
  void arrive(boost::context::detail::transfer_t transfer) {
    Fiber& left = *static_cast<Fiber*>(transfer.data);
    left.context = transfer.fctx;
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fake_stack, &left.stack, &left.stack_bytes);
#endif
  }

  /// Switches from this fiber, which is running, to another. Returns when a fiber switches back.
  void switch_to(Fiber& other) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(ended ? nullptr : &fake_stack, other.stack, other.stack_bytes);
#endif
    arrive(boost::context::detail::jump_fcontext(other.context, this));
  }
};

}  // namespace gt::emulation
