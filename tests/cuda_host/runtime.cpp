// The runtime of kernels on the CPU: who runs next, who waits for whom, what a block shares.
#include "runtime.hpp"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <numeric>
#include <utility>
#include <vector>

#include "fiber.hpp"

namespace shim {

Seen* running;
uint3 block_index;
dim3 block_size, grid_size;

namespace {

constexpr unsigned LANES = 32, MAX_THREADS = 1024;

struct Call {  // where a thread waits
  const char* name = nullptr;
  Site site{};
  uint32_t mask = 0;  // 0: waits for the block
};

struct Thread : Seen {
  Fiber fiber;
  unsigned warp = 0;
  Call call;
  bool ended = false;
  uint64_t value = 0;   // brought to a meeting of lanes
  unsigned source = 0;  // the lane whose value is wanted
  Met met{};
};

struct Group {  // lanes that wait for each other
  const char* call;
  uint32_t mask, arrived;
  Tag* tag;
};

struct Warp {
  uint32_t present = 0;  // lanes that exist
  uint32_t ready = 0;    // lanes that run or could
  std::vector<Group> groups;
};

struct Array {
  const void* key;
  void* memory;
};

std::vector<Thread> threads;
std::vector<Warp> warps;
std::vector<Array> arrays;
void* dynamic;
Stacks stacks;
Fiber host;
void (*kernel)(void**);
void** arguments;
unsigned waiting, ended;  // threads of the block: at the barrier; that have returned
Tag* barrier_tag;
uint64_t random_state;  // 0: ascending order
char message[4096];
bool failed;

Thread& self() { return *static_cast<Thread*>(running); }

unsigned draw(unsigned below) {  // xorshift64*
  random_state ^= random_state >> 12;
  random_state ^= random_state << 25;
  random_state ^= random_state >> 27;
  return static_cast<unsigned>((random_state * 0x2545F4914F6CDD1Dull >> 32) * below >> 32);
}

void say(const char* format, va_list values) {
  const size_t used = strlen(message);
  vsnprintf(message + used, sizeof message - used, format, values);
}

[[gnu::format(printf, 1, 2)]] void say(const char* format, ...) {
  va_list values;
  va_start(values, format);
  say(format, values);
  va_end(values);
}

// Back to `launch`; the threads of the block are abandoned where they are.
[[noreturn]] void stop() {
  failed = true;
  hand_on(self().fiber, host, true);
  abort();
}

bool same(const Call& a, const Call& b) {
  return a.name == b.name && a.mask == b.mask && a.site.line == b.site.line &&
         (a.site.file == b.site.file || !strcmp(a.site.file, b.site.file));
}

// Ends the launch with a list of where the threads of the block are, neighbours that are at the
// same place in one line.
[[noreturn]] void stop_with_places(const char* why) {
  say("%s", why);
  for (size_t i = 0, j; i < threads.size(); i = j) {
    const Thread& t = threads[i];
    for (j = i + 1; j < threads.size(); ++j)
      if (threads[j].ended != t.ended || (!t.ended && !same(threads[j].call, t.call))) break;
    say("\n  threads %zu to %zu: ", i, j - 1);
    if (t.ended)
      say("returned");
    else if (t.call.name)
      say("%s, %s:%d", t.call.name, t.call.site.file, t.call.site.line);
    else
      say("running");
    if (!t.ended && t.call.mask) say(", mask %08x", t.call.mask);
  }
  stop();
}

Thread* next_ready() {
  const unsigned n = static_cast<unsigned>(warps.size());
  if (random_state) {
    unsigned ready = 0;
    for (const Warp& w : warps) ready += __builtin_popcount(w.ready);
    unsigned chosen = ready ? draw(ready) : 0;
    for (unsigned i = 0; i < n; ++i)
      for (uint32_t left = warps[i].ready; left; left &= left - 1)
        if (chosen-- == 0) return &threads[i * LANES + __builtin_ctz(left)];
    return nullptr;
  }
  for (unsigned i = 0; i < n; ++i) {  // lanes of one warp together: their stacks are in the cache
    const unsigned warp = (self().warp + i) % n;
    if (warps[warp].ready) return &threads[warp * LANES + __builtin_ctz(warps[warp].ready)];
  }
  return nullptr;
}

void open_barrier() {
  if (waiting != threads.size()) stop_with_places("deadlock");
  for (const Thread& t : threads)
    if (!same(t.call, threads[0].call)) stop_with_places("divergent barrier");
  for (Warp& w : warps) w.ready = w.present;
  waiting = 0;
  barrier_tag = nullptr;
}

// Lets another thread run. Returns when this one is ready again, or never if it `ends`.
void yield(bool ends = false) {
  Thread& me = self();
  Thread* next = next_ready();
  if (!next) {
    if (ended == threads.size()) hand_on(me.fiber, host, true);
    open_barrier();
    next = random_state ? next_ready() : &threads[0];
  }
  if (next == &me) return;
  running = next;
  hand_on(me.fiber, next->fiber, ends);
}

void wait(const Call& call) {
  Thread& me = self();
  me.call = call;
  warps[me.warp].ready &= ~(1u << me.lane);
  yield();
  me.call.name = nullptr;
}

void run_thread() {
  arrived(self().fiber);
  histories.begin_thread();
  kernel(arguments);
  histories.end_thread();
  Thread& me = self();
  me.ended = true;
  warps[me.warp].ready &= ~(1u << me.lane);
  ++ended;
  yield(true);
  abort();
}

void* filled(size_t bytes) {  // with NaN in either precision
  Unseen unseen;
  void* memory = malloc(bytes);
  return memset(memory, 0xFF, bytes);
}

void run_block(uint32_t index, size_t shared) {
  block_index = {index, 0, 0};
  waiting = ended = 0;
  barrier_tag = nullptr;
  for (Warp& w : warps) w.ready = w.present, w.groups.clear();
  stacks.provide(static_cast<unsigned>(threads.size()));
  for (size_t i = 0; i < threads.size(); ++i) {
    Thread& t = threads[i];
    t.call.name = nullptr;
    t.ended = false;
    stacks.give(t.fiber, static_cast<unsigned>(i));
    begin(t.fiber, run_thread);
  }
  dynamic = filled(shared);
  running = &threads[0];
  running = next_ready();
  hand_on(host, self().fiber);
  Unseen unseen;
  free(dynamic);
  for (Array& a : arrays) free(a.memory);
  arrays.clear();
}

void set_up(const Launch& launch) {
  block_size = {launch.threads, 1, 1};
  grid_size = {launch.blocks, 1, 1};
  threads = std::vector<Thread>(launch.threads);
  warps = std::vector<Warp>((launch.threads + LANES - 1) / LANES);
  for (unsigned i = 0; i < launch.threads; ++i) {
    threads[i].index = {i, 0, 0};
    threads[i].lane = i % LANES;
    threads[i].warp = i / LANES;
    warps[i / LANES].present |= 1u << i % LANES;
  }
  for (Warp& w : warps) w.groups.reserve(LANES);
  random_state = launch.seed * 0x9E3779B97F4A7C15ull;
  message[0] = 0;
  failed = false;
}

}  // namespace

void fail(const char* format, ...) {
  va_list values;
  va_start(values, format);
  say(format, values);
  va_end(values);
  stop();
}

void meet_block(Site site) {
  Tag* tag = arrive(barrier_tag);
  ++waiting;
  wait({"__syncthreads", site, 0});
  leave(tag);
}

Met meet_lanes(const char* call, uint32_t mask, uint64_t value, unsigned source, bool orders_memory,
               Site site) {
  Thread& me = self();
  Warp& w = warps[me.warp];
  if (!(mask >> me.lane & 1))
    fail("thread %u is not in the mask %08x of its %s, %s:%d", me.index.x, mask, call, site.file,
         site.line);
  mask &= w.present;
  size_t g = 0;
  while (g < w.groups.size() && w.groups[g].mask != mask) ++g;
  if (g == w.groups.size()) w.groups.push_back({call, mask, 0, nullptr});
  Group& group = w.groups[g];
  if (strcmp(group.call, call))
    fail("thread %u is in %s, %s:%d, while other lanes of the mask %08x are in %s", me.index.x,
         call, site.file, site.line, mask, group.call);
  Tag* tag = orders_memory ? arrive(group.tag) : nullptr;
  group.arrived |= 1u << me.lane;
  me.value = value;
  me.source = source;
  if (group.arrived != mask) {
    wait({call, site, mask});
  } else {
    Thread* lanes = &threads[me.warp * LANES];
    uint32_t votes = 0;
    for (uint32_t left = mask; left; left &= left - 1) {
      const unsigned i = __builtin_ctz(left);
      votes |= static_cast<uint32_t>(lanes[i].value != 0) << i;
    }
    for (uint32_t left = mask; left; left &= left - 1) {
      Thread& t = lanes[__builtin_ctz(left)];
      t.met = {mask >> t.source & 1 ? lanes[t.source].value : ~0ull, votes};
    }
    w.ready |= mask;
    w.groups.erase(w.groups.begin() + g);
  }
  if (orders_memory) leave(tag);
  return me.met;
}

void* shared_array(const void* key, size_t bytes) {
  for (const Array& a : arrays)
    if (a.key == key) return a.memory;
  Unseen unseen;
  arrays.push_back({key, filled(bytes)});
  return arrays.back().memory;
}

void* dynamic_shared() { return dynamic; }

const char* launch(const Launch& launch, void (*body)(void**), void** given) {
  if (launch.threads == 0 || launch.threads > MAX_THREADS) return "a block has 1 to 1024 threads";
  {
    Unseen unseen;
    set_up(launch);
  }
  kernel = body;
  arguments = given;
  histories.begin_launch();
#if defined(SHIM_TSAN)
  host.history = __tsan_get_current_fiber();
#endif
  std::vector<uint32_t> order(launch.blocks);
  std::iota(order.begin(), order.end(), 0u);
  if (random_state)
    for (uint32_t i = launch.blocks; i > 1; --i) std::swap(order[i - 1], order[draw(i)]);
  for (size_t i = 0; i < order.size() && !failed; ++i) run_block(order[i], launch.shared);
  histories.end_launch();
  if (failed) histories.give_up();
  return failed ? message : nullptr;
}

}  // namespace shim
