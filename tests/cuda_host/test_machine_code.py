"""Kernels with known faults and known loops are read for what they are, on every architecture."""

import pytest
from cuda_host import nvrtc
from cuda_host.host import PROLOGUE
from cuda_host.nvrtc import ARCHITECTURES, CompileError, Usage

TEXT = """
extern "C" __global__ void clean(double* a, const double* b) {
  GP_SHARED(double, s, [96]);
  s[threadIdx.x] = b[threadIdx.x];
  __syncthreads();
  a[threadIdx.x] = s[95 - threadIdx.x];
}

// 64 doubles per thread, but at most 64 registers.
extern "C" __global__ void __launch_bounds__(1024, 2) spilling(double* a, int n) {
  double r[64];
  for (int i = 0; i < 64; ++i) r[i] = a[i * n + threadIdx.x];
  for (int k = 0; k < n; ++k) {
#pragma unroll
    for (int i = 0; i < 64; ++i) r[i] = r[i] * r[(i + 7) % 64] + r[(i * 5 + 1) % 64];
  }
  for (int i = 0; i < 64; ++i) a[i * n + threadIdx.x] = r[i];
}

extern "C" __global__ void indexed(float* a, int n) {
  float r[128];
  for (int i = 0; i < 128; ++i) r[i] = a[i];
  for (int i = 0; i < n; ++i) r[i & 127] += a[i];
  a[0] = r[n & 127];
}

extern "C" __global__ void loops(float* a, float factor, int n, int m) {
  float x = a[threadIdx.x], y = x;
#pragma unroll 1
  for (int i = 0; i < n; ++i) y += a[i];
#pragma unroll 1
  for (int i = 0; i < n; ++i) {
#pragma unroll 1
    for (int k = 0; k < m; ++k) {
#pragma unroll
      for (int j = 0; j < 10; ++j) x = x * factor + y;
      x = __shfl_xor_sync(0xffffffffu, x, 1);
    }
    a[i] = x;
  }
}
"""
NAMES = ("clean", "spilling", "indexed", "loops")


def test_a_text_can_be_compiled_without_a_gpu():
    reason = nvrtc.why_not("nvrtc")
    if reason:
        pytest.skip(reason)
    assert nvrtc.compile_cubin(PROLOGUE.read_text() + TEXT, "sm_90", NAMES).binary


@pytest.fixture(scope="module", params=ARCHITECTURES)
def cubin(request):
    reason = nvrtc.why_not("nvrtc")
    if reason:
        pytest.skip(reason)
    return nvrtc.compile_cubin(PROLOGUE.read_text() + TEXT, request.param, NAMES)


@pytest.fixture(scope="module")
def code(cubin):
    reason = nvrtc.why_not("nvdisasm")
    if reason:
        pytest.skip(reason)
    return nvrtc.sass(cubin)


def test_a_clean_kernel_takes_what_it_declares(cubin):
    found = nvrtc.usage(cubin)["clean"]
    assert found == Usage(found.registers, stack=0, shared=96 * 8, spills=0)
    assert 8 <= found.registers <= 32


def test_spilled_registers_are_found(cubin):
    found = nvrtc.usage(cubin)["spilling"]
    assert found.registers <= 64
    assert found.spills > 1000
    assert found.stack > 0


def test_an_array_that_is_indexed_at_run_time_is_found(cubin):
    found = nvrtc.usage(cubin)["indexed"]
    assert found.stack == 128 * 4
    assert found.spills == 0


def test_the_largest_innermost_loop_is_counted(code):
    counts = nvrtc.inner_loop(code["loops"])
    assert counts["FFMA"] == 10
    assert counts["SHFL"] == 1
    assert counts["BRA"] == 1
    assert counts["STG"] == counts["LDG"] == 0
    assert 13 <= counts.total() <= 16


def test_a_kernel_without_loops_has_none(code):
    assert nvrtc.inner_loop(code["clean"]).total() == 0


def test_local_memory_is_seen_in_the_code(code):
    assert any(line.opcode.startswith("STL") for line in code["indexed"])
    assert not any(line.opcode.startswith("STL") for line in code["clean"])


def test_a_text_that_is_wrong_is_refused_with_its_line():
    reason = nvrtc.why_not("nvrtc")
    if reason:
        pytest.skip(reason)
    with pytest.raises(CompileError, match=r'wrong\.cu\(1\): error: identifier "nonsense"'):
        nvrtc.compile_cubin('#line 1 "wrong.cu"\nint f() { return nonsense; }', "sm_90")


def test_a_kernel_that_is_not_there_is_missed():
    reason = nvrtc.why_not("nvrtc")
    if reason:
        pytest.skip(reason)
    with pytest.raises(CompileError, match="no kernel absent"):
        nvrtc.compile_cubin(PROLOGUE.read_text() + TEXT, "sm_90", ("clean", "absent"))
