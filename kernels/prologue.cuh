// Begins every module: the one place where CUDA and the CPU that runs the tests differ.
//
//   GP_SHARED(T, name, [N])   an array of a block in shared memory, aligned to 16 bytes
//   GP_DYN_SHARED(T, name)    T* name: the shared memory given at launch, aligned to 16 bytes

#if defined(__CUDACC__)
#define GP_SHARED(T, name, ...) __shared__ __align__(16) T name __VA_ARGS__
#define GP_DYN_SHARED(T, name)                                       \
  extern __shared__ __align__(16) unsigned char gp_dynamic_shared[]; \
  T* name = reinterpret_cast<T*>(gp_dynamic_shared)
#else
#include "shim.hpp"
#endif

#if defined(__CUDACC_RTC__)
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;
#else
#include <stdint.h>
#endif

typedef double float64;
