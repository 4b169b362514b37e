// What the runtime tells the sanitizer that looks at the kernels (SHIM_ASAN, SHIM_TSAN or none).
//
// The runtime itself is compiled without one. ThreadSanitizer takes each CUDA thread for a thread,
// and knows of no order between them but that of the meetings they told it about.
#pragma once

#include <stddef.h>
#include <stdlib.h>

#include <vector>

#if defined(SHIM_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(SHIM_TSAN)
#include <sanitizer/tsan_interface.h>
extern "C" {
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
#endif

namespace shim {

struct Tag {
  unsigned users;
};

#if defined(SHIM_TSAN)

// Hides what the C library does for the runtime. Memory that is allocated or mapped meanwhile has
// no history.
class Unseen {
 public:
  Unseen() {
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  }
  ~Unseen() {
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
  Unseen(const Unseen&) = delete;
};

// Orders what threads did before they arrive at a meeting before what any of them does after it.
//
// Each meeting has a tag of its own: with a common one, a thread that is late in leaving would take
// over what a fast one did in the meantime, and their race would not be seen.
inline Tag* arrive(Tag*& tag) {
  if (!tag) {
    Unseen unseen;
    tag = static_cast<Tag*>(calloc(1, sizeof(Tag)));
  }
  ++tag->users;
  __tsan_release(tag);
  return tag;
}

inline void leave(Tag* tag) {
  __tsan_acquire(tag);
  if (--tag->users == 0) {
    Unseen unseen;
    free(tag);
  }
}

// ThreadSanitizer's threads, which are dear to make and limited in number. A launch has different
// ones for all threads of all blocks, up to MANY, with 0.8 MB each; later launches use them again.
class Histories {
 public:
  static constexpr size_t MANY = 1024;

  void begin_launch() {
    Unseen unseen;
    made_.reserve(MANY);
    used_ = 0;
    __tsan_release(this);
  }
  void* next() {
    if (used_ == made_.size() && used_ < MANY) made_.push_back(__tsan_create_fiber(0));
    return made_[used_++ % MANY];
  }
  void begin_thread() { __tsan_acquire(this); }
  void end_thread() { __tsan_release(&made_); }
  void end_launch() { __tsan_acquire(&made_); }
  void give_up() {
    for (void* each : made_) __tsan_destroy_fiber(each);
    made_.clear();
  }

 private:
  size_t used_ = 0;
  std::vector<void*> made_;
};

#else

class Unseen {
 public:
  Unseen() {}
};
inline Tag* arrive(Tag*& tag) { return tag; }
inline void leave(Tag*) {}
class Histories {
 public:
  void begin_launch() {}
  void begin_thread() {}
  void end_thread() {}
  void end_launch() {}
  void give_up() {}
};

#endif

inline Histories histories;

}  // namespace shim
