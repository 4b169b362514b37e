// What kernels and the code that launches them know of the runtime (runtime.cpp): one fiber per
// CUDA thread, one block at a time, threads handing on to each other only where they wait.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct uint3 {
  unsigned x, y, z;
};

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
};

#pragma GCC visibility push(default)  // the runtime is a library that all kernels share

namespace shim {

struct Site {  // of a call in a kernel: of the one that has `here()` as a default argument
  const char* file;
  int line;

  static Site here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
};

struct Seen {  // what a thread can ask about itself
  uint3 index;
  unsigned lane;
};

struct Launch {
  uint32_t blocks;
  uint32_t threads;  // of a block
  uint64_t shared;   // bytes of dynamic shared memory
  uint64_t seed;     // 0: threads and blocks in ascending order; else the seed of a random order
};

struct Met {
  uint64_t value;  // of the lane that was asked; all bits set if that lane was not in the mask
  uint32_t votes;  // lanes of the mask whose value is not 0
};

extern Seen* running;  // the thread that runs now
extern uint3 block_index;
extern dim3 block_size, grid_size;

// Runs a kernel; returns nullptr, or why it was given up.
const char* launch(const Launch& launch, void (*kernel)(void**), void** arguments);

// Ends the launch with a message.
[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

// Waits for all threads of the block; orders their accesses to memory.
void meet_block(Site site);

// Waits for the lanes of `mask`, in the same call, each with the same mask.
Met meet_lanes(const char* call, uint32_t mask, uint64_t value, unsigned source, bool orders_memory,
               Site site);

// The array of the block that is declared at `key`: filled with NaN when it is first asked for.
void* shared_array(const void* key, size_t bytes);

void* dynamic_shared();

}  // namespace shim

#pragma GCC visibility pop
