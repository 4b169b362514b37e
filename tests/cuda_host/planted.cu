// Small kernels, each twice: sound (PLANTED 0) and with one bug (PLANTED 1). See planted.py.
//
// All run as two blocks of 64 threads, with `in` and `out` of 128 values, and 64 values in dynamic
// shared memory.

#define KERNEL(name) extern "C" __global__ void NAMED(name)(double* out, const double* in)
#define WHERE (blockIdx.x * 64 + threadIdx.x)

// Each thread takes the value of the next one.
KERNEL(missing_barrier) {
  GP_SHARED(double, s, [64]);
  const int t = threadIdx.x;
  s[t] = in[WHERE];
  if (!PLANTED) __syncthreads();
  out[WHERE] = s[(t + 1) % 64];
}

// Values move down by one place per turn. Without the barrier this is right as long as threads run
// in ascending order.
KERNEL(missing_barrier_before_write) {
  GP_SHARED(double, s, [65]);
  const int t = threadIdx.x;
  s[t] = in[WHERE];
  if (t == 0) s[64] = 0.0;
  __syncthreads();
  for (int turn = 0; turn < 3; ++turn) {
    const double next = s[t + 1];
    if (!PLANTED) __syncthreads();
    s[t] = next;
    __syncthreads();
  }
  out[WHERE] = s[t];
}

// Groups of 8 lanes, each at its own pace.
KERNEL(missing_syncwarp) {
  GP_SHARED(double, s, [64]);
  const int t = threadIdx.x, group = t & ~7;
  const unsigned mask = 0xFFu << (group & 31);
  s[t] = in[WHERE];
  __syncwarp(mask);
  for (int turn = 0; turn < 2 + t / 8 % 3; ++turn) {
    const double next = s[group | (t + 1) % 8];
    if (!PLANTED) __syncwarp(mask);
    s[t] = next;
    __syncwarp(mask);
  }
  out[WHERE] = s[t];
}

// A shuffle waits for lanes, but orders nothing in memory.
KERNEL(shuffle_for_syncwarp) {
  GP_SHARED(double, s, [64]);
  const int t = threadIdx.x;
  s[t] = in[WHERE];
  __shfl_sync(0xFFFFFFFFu, 0.0, 0);
  if (!PLANTED) __syncwarp();
  out[WHERE] = s[t ^ 1];
}

KERNEL(static_out_of_range) {
  GP_SHARED(double, s, [2][32]);
  const int t = threadIdx.x;
  s[t / 32][t % 32] = in[WHERE];
  __syncthreads();
  out[WHERE] = s[t / 32][t % 32 + (PLANTED && t == 40 ? 24 : 0)];
}

KERNEL(dynamic_out_of_range) {
  GP_DYN_SHARED(double, s);
  const int t = threadIdx.x;
  s[t] = in[WHERE];
  __syncthreads();
  out[WHERE] = s[t == 63 ? t + PLANTED : t];
}

KERNEL(global_out_of_range) { out[WHERE + PLANTED] = in[WHERE]; }

KERNEL(divergent_barrier) {
  const int t = threadIdx.x;
  if (PLANTED && t < 32) {
    __syncthreads();
    out[WHERE] = 1.0;
  } else {
    __syncthreads();
    out[WHERE] = 2.0;
  }
}

KERNEL(barrier_against_shuffle) {
  double sum = in[WHERE];
  if (PLANTED && threadIdx.x == 40)
    __syncthreads();
  else
    sum += __shfl_xor_sync(0xFFFFFFFFu, sum, 1);
  __syncthreads();
  out[WHERE] = sum;
}

KERNEL(return_before_barrier) {
  if (PLANTED && threadIdx.x == 7) return;
  __syncthreads();
  out[WHERE] = in[WHERE];
}

KERNEL(lane_that_never_comes) {
  double sum = in[WHERE];
  if (!PLANTED || threadIdx.x != 5) sum += __shfl_down_sync(0xFFFFFFFFu, sum, 1);
  out[WHERE] = sum;
}

KERNEL(lane_missing_from_mask) {
  const unsigned mask = PLANTED ? 0xFFFFFFDFu : 0xFFFFFFFFu;
  out[WHERE] = __ballot_sync(mask, threadIdx.x & 1);
}

KERNEL(different_calls) {
  double value = in[WHERE];
  if (PLANTED && threadIdx.x == 3)
    __syncwarp();
  else
    value += __shfl_up_sync(0xFFFFFFFFu, value, 1);
  out[WHERE] = value;
}

KERNEL(uninitialised_shared) {
  GP_SHARED(double, s, [64]);
  GP_DYN_SHARED(double, d);
  const int t = threadIdx.x;
  if (!PLANTED || t != 9) s[t] = in[WHERE];
  if (!PLANTED || t != 8) d[t] = in[WHERE];
  __syncthreads();
  out[WHERE] = s[t] + d[t];
}

KERNEL(shuffle_from_outside) {
  const int t = threadIdx.x;
  const unsigned mask = t & 16 ? 0xFFFF0000u : 0x0000FFFFu;
  out[WHERE] = __shfl_sync(mask, in[WHERE], PLANTED ? 20 : t);
}

KERNEL(two_blocks_at_one_address) {
  const double value = in[WHERE];
  __syncthreads();
  if (threadIdx.x == 3) out[PLANTED ? 0 : WHERE] = value;
}

KERNEL(two_threads_at_one_address) {
  const int t = threadIdx.x;
  if (t == 3 || t == 60) out[blockIdx.x * 64 + (PLANTED ? 0 : t)] = in[WHERE];
}
