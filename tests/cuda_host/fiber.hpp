// Fibers: stacks of their own, on which a function runs until it hands on to another fiber.
#pragma once

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#if !defined(__x86_64__)
#define SHIM_UCONTEXT
#endif
#if defined(SHIM_UCONTEXT)
#include <ucontext.h>
#endif

#include "sanitizers.hpp"

namespace shim {

struct Fiber {
  char* stack = nullptr;  // lowest address
  size_t size = 0;
#if defined(SHIM_UCONTEXT)
  ucontext_t context;
#else
  void* top = nullptr;  // of the stack while another fiber runs
#endif
  void* fake = nullptr;     // AddressSanitizer's stack
  void* history = nullptr;  // ThreadSanitizer's thread
};

inline Fiber* previous;  // the fiber that handed on last

#if !defined(SHIM_UCONTEXT)
// Saves what a function must preserve on the stack, and goes on where `to` once did the same.
extern "C" void shim_switch(void** from, void* to);
asm(R"(
.text
.local shim_switch
.type shim_switch,@function
shim_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp,(%rdi)
  movq %rsi,%rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size shim_switch,.-shim_switch
)");
#endif

// To be called first on a fiber that was handed on to.
inline void arrived([[maybe_unused]] Fiber& self) {
#if defined(SHIM_ASAN)
  __sanitizer_finish_switch_fiber(self.fake, (const void**)&previous->stack, &previous->size);
#endif
}

// Hands on; returns when `from` is handed on to, which must not happen if it `ends`.
inline void hand_on(Fiber& from, Fiber& to, [[maybe_unused]] bool ends = false) {
  previous = &from;
#if defined(SHIM_ASAN)
  __sanitizer_start_switch_fiber(ends ? nullptr : &from.fake, to.stack, to.size);
#endif
#if defined(SHIM_TSAN)
  __tsan_switch_to_fiber(to.history, __tsan_switch_to_fiber_no_sync);
#endif
#if defined(SHIM_UCONTEXT)
  swapcontext(&from.context, &to.context);
#else
  shim_switch(&from.top, to.top);
#endif
  arrived(from);
}

// Makes `entry`, which must not return, the next that runs on a fiber.
inline void begin(Fiber& fiber, void (*entry)()) {
#if defined(SHIM_ASAN)
  __asan_unpoison_memory_region(fiber.stack, fiber.size);
#endif
#if defined(SHIM_TSAN)
  fiber.history = histories.next();
#endif
#if defined(SHIM_UCONTEXT)
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack;
  fiber.context.uc_stack.ss_size = fiber.size;
  fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, entry, 0);
#else
  void** top = reinterpret_cast<void**>(fiber.stack + fiber.size);
  *--top = nullptr;  // where entry would return to
  *--top = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  fiber.top = top;
#endif
}

// Stacks of equal size, each above a page that must not be touched.
class Stacks {
 public:
  static constexpr size_t SIZE = 256 * 1024, GUARD = 4096;

  // Memory for at least `count` stacks. Under ThreadSanitizer it is new, since what the threads of
  // another block did on it would be taken for races.
  void provide(unsigned count) {
#if !defined(SHIM_TSAN)
    if (count <= count_) return;
#endif
    Unseen unseen;
    if (count_) munmap(start_, count_ * (SIZE + GUARD));
    count_ = count;
    void* mapped = mmap(nullptr, count * (SIZE + GUARD), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) abort();
    start_ = static_cast<char*>(mapped);
    for (unsigned i = 0; i < count; ++i) mprotect(start_ + i * (SIZE + GUARD), GUARD, PROT_NONE);
  }

  void give(Fiber& fiber, unsigned i) const {
    fiber.stack = start_ + i * (SIZE + GUARD) + GUARD;
    fiber.size = SIZE;
  }

 private:
  unsigned count_ = 0;
  char* start_ = nullptr;
};

}  // namespace shim
