// CUDA C++ on the CPU: what kernels may use of the language beyond C++, and their launch.
//
// Kernels see it through prologue.cuh. It has just what the kernels of gpupatch are allowed to use.
#pragma once

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <type_traits>
#include <utility>

#include "runtime.hpp"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

#define threadIdx (::shim::running->index)
#define blockIdx (::shim::block_index)
#define blockDim (::shim::block_size)
#define gridDim (::shim::grid_size)
#define warpSize 32

// The address of a static variable names the array: each instance of a template has its own.
#define GP_SHARED(T, name, ...)       \
  typedef T name##_array __VA_ARGS__; \
  static const char name##_key = 0;   \
  name##_array& name =                \
      *static_cast<name##_array*>(::shim::shared_array(&name##_key, sizeof(name##_array)))
#define GP_DYN_SHARED(T, name) T* name = static_cast<T*>(::shim::dynamic_shared())

inline void __syncthreads(shim::Site site = shim::Site::here()) { shim::meet_block(site); }

inline void __syncwarp(unsigned mask = 0xFFFFFFFFu, shim::Site site = shim::Site::here()) {
  shim::meet_lanes("__syncwarp", mask, 0, 0, true, site);
}

inline unsigned __ballot_sync(unsigned mask, int vote, shim::Site site = shim::Site::here()) {
  return shim::meet_lanes("__ballot_sync", mask, vote != 0, 0, false, site).votes;
}

namespace shim {

// The value that lane `source` brought; the own one if that is outside the part of the warp that
// can be asked.
template <class T>
T shuffle(const char* call, unsigned mask, T value, int source, bool inside, int width, Site site) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "values of shuffles have 4 or 8 bytes");
  if (width < 1 || width > 32 || (width & (width - 1)))
    fail("%s with width %d, %s:%d", call, width, site.file, site.line);
  uint64_t bits = 0;
  memcpy(&bits, &value, sizeof value);
  bits = meet_lanes(call, mask, bits, inside ? source : running->lane, false, site).value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace shim

template <class T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32,
              shim::Site site = shim::Site::here()) {
  const int source = (shim::running->lane & -width) | (lane & (width - 1));
  return shim::shuffle("__shfl_sync", mask, value, source, true, width, site);
}

template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                 shim::Site site = shim::Site::here()) {
  const int lane = shim::running->lane, source = lane - static_cast<int>(delta);
  const bool inside = source >= (lane & -width);
  return shim::shuffle("__shfl_up_sync", mask, value, source, inside, width, site);
}

template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                   shim::Site site = shim::Site::here()) {
  const int lane = shim::running->lane, source = lane + static_cast<int>(delta);
  const bool inside = source <= (lane | (width - 1));
  return shim::shuffle("__shfl_down_sync", mask, value, source, inside, width, site);
}

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int flip, int width = 32,
                  shim::Site site = shim::Site::here()) {
  const int lane = shim::running->lane, source = lane ^ flip;
  const bool inside = source <= (lane | (width - 1));
  return shim::shuffle("__shfl_xor_sync", mask, value, source, inside, width, site);
}

inline int atomicMax(int* address, int value) {
  int found = __atomic_load_n(address, __ATOMIC_RELAXED);
  while (found < value && !__atomic_compare_exchange_n(address, &found, value, true,
                                                       __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return found;
}

inline int atomicOr(int* address, int value) {
  return __atomic_fetch_or(address, value, __ATOMIC_RELAXED);
}

template <class T>
T rsqrt(T x) {
  return T(1) / sqrt(x);
}

template <class T>
T cospi(T x) {
  return cos(T(3.141592653589793) * x);
}
template <class T>
T sinpi(T x) {
  return sin(T(3.141592653589793) * x);
}

inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(static_cast<uint64_t>(a) * b >> 32);
}

template <class T>
T min(T a, T b) {
  return b < a ? b : a;
}
template <class T>
T max(T a, T b) {
  return a < b ? b : a;
}

namespace shim {

// Calls a kernel with the values that `arguments` points to.
template <class... A, size_t... I>
void call(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
  kernel(*static_cast<A*>(arguments[I])...);
}
template <class... A>
void call(void (*kernel)(A...), void** arguments) {
  call(kernel, arguments, std::index_sequence_for<A...>{});
}

// Appends the type of a parameter as NumPy writes it: "f8", "const i4*", "V24".
template <class T>
void describe(char* text) {
  text += strlen(text);
  if constexpr (std::is_pointer_v<T>) {
    using Target = std::remove_pointer_t<T>;
    if (std::is_const_v<Target>) strcpy(text, "const ");
    describe<std::remove_cv_t<Target>>(text);
    strcat(text, "*");
  } else if constexpr (std::is_void_v<T>) {
    strcpy(text, "void");
  } else {
    const char kind = std::is_same_v<T, bool>       ? 'b'
                      : std::is_floating_point_v<T> ? 'f'
                      : !std::is_arithmetic_v<T>    ? 'V'
                      : std::is_unsigned_v<T>       ? 'u'
                                                    : 'i';
    sprintf(text, "%c%zu", kind, sizeof(T));
  }
}

// The types of all parameters, each followed by a comma.
template <class... A>
const char* parameters(void (*)(A...)) {
  static char text[32 * sizeof...(A) + 1];
  text[0] = 0;
  ((describe<A>(text), strcat(text, ",")), ...);
  return text;
}

}  // namespace shim

#define SHIM_EXPORT extern "C" __attribute__((visibility("default")))
#define SHIM_KERNEL(name)                                                                    \
  SHIM_EXPORT const char* launch_##name(const shim::Launch* launch, void** arguments) {      \
    return shim::launch(*launch, [](void** given) { shim::call(name, given); }, arguments);  \
  }                                                                                          \
  SHIM_EXPORT const char* parameters_##name() { return shim::parameters(name); }
