"""The tester is tested: planted bugs are caught, sound kernels are silent, results are CUDA's."""

import numpy as np
import pytest
from cuda_host import planted
from cuda_host.host import PROLOGUE, HostDevice, KernelError, build, run_python, why_not
from cuda_host.planted import BUGS

from gpupatch.backends._device import Limits

WIDTHS = (2, 4, 8, 16, 32)
SHUFFLES = ("__shfl_sync", "__shfl_up_sync", "__shfl_down_sync", "__shfl_xor_sync")
TEXT = """
struct Pair { const double* values; float factor; int offset; };

template <class V>
__device__ V reversed(V value) {
  GP_SHARED(V, s, [64]);
  s[threadIdx.x] = value;
  __syncthreads();
  return s[blockDim.x - 1 - threadIdx.x];
}

extern "C" __global__ void __launch_bounds__(64)
all_types(double* __restrict__ out, const Pair pair, int64_t a, uint32_t b, float c, bool d) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  out[i] = pair.factor * pair.values[i + pair.offset] + a + b + c + d;
}

extern "C" __global__ void reverse(double* out, float* single) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  out[i] = reversed(out[i]);
  single[i] = reversed(single[i]);
}

extern "C" __global__ void shuffles(int* out, int amount, int width) {
  const int t = threadIdx.x;
  const unsigned all = 0xFFFFFFFFu;
  out[t] = __shfl_sync(all, t, amount, width);
  out[32 + t] = __shfl_up_sync(all, t, amount, width);
  out[64 + t] = __shfl_down_sync(all, t, amount, width);
  out[96 + t] = __shfl_xor_sync(all, t, amount, width);
}

extern "C" __global__ void votes(unsigned* ballots, int* extremes, const int* values) {
  const int t = threadIdx.x;
  const unsigned mask = t & 16 ? 0xFFFF0000u : 0x0000FFFFu;
  ballots[t] = __ballot_sync(mask, values[t] > 0);
  atomicMax(extremes, values[t]);
  atomicOr(extremes + 1, values[t]);
}

extern "C" __global__ void maths(double* out) {
  out[0] = fma(3.0, 4.0, 5.0);
  out[1] = rsqrt(4.0) + rsqrt(4.0f);
  out[2] = sqrt(2.0f) == (float)sqrt(2.0);
  out[3] = min(3, 2) + max(2.0, 5.0);
  out[4] = __umulhi(0xFFFFFFFFu, 3u);
  out[5] = exp(1.0f) == (float)exp(1.0);
}
"""
NAMES = ("all_types", "reverse", "shuffles", "votes", "maths")


def skip_without(mode):
    reason = why_not(mode)
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="module")
def bugs():
    skip_without("fast")
    return planted.compile_all(HostDevice())


@pytest.fixture(scope="module")
def module():
    skip_without("fast")
    return HostDevice().compile(PROLOGUE.read_text() + TEXT, NAMES)


@pytest.fixture(scope="module")
def reports():
    """What a sanitizer says of each planted kernel: mode -> kernel -> text."""
    found = {}

    def of(mode):
        skip_without(mode)
        if mode not in found:
            done = run_python(mode, "-m", "cuda_host.planted", mode, halt=False)
            parts = [part.partition("\n") for part in done.stderr.split("== ")[1:]]
            found[mode] = {name: text for name, _, text in parts}
            assert len(found[mode]) == 2 * len(BUGS), done.stderr[-2000:]
        return found[mode]

    return of


@pytest.mark.parametrize("name", [name for name, bug in BUGS.items() if bug.error])
def test_a_meeting_that_cannot_be_ends_the_launch(bugs, name):
    with pytest.raises(KernelError, match=f"{name}_planted: {BUGS[name].error}"):
        planted.launch(bugs, name, "planted")


def test_a_message_names_threads_and_lines(bugs):
    lines = (planted.HERE / "planted.cu").read_text().splitlines()
    waiting = [i + 1 for i, line in enumerate(lines) if "XOR" in line.upper() and "sum" in line]
    with pytest.raises(
        KernelError, match=f"threads 41 to 63: __shfl_xor_sync, planted.cu:{waiting[0]}"
    ):
        planted.launch(bugs, "barrier_against_shuffle", "planted")


@pytest.mark.parametrize("name", [name for name, bug in BUGS.items() if bug.nan])
def test_what_was_never_written_is_nan(bugs, name):
    assert np.isnan(planted.launch(bugs, name, "planted")).any()


@pytest.mark.parametrize("name", [name for name, bug in BUGS.items() if bug.report[0]])
def test_a_sanitizer_reports_the_bug(reports, name):
    mode, text = BUGS[name].report
    assert text in reports(mode)[f"{name}_planted"]


@pytest.mark.parametrize("mode", ["asan", "tsan"])
def test_sound_kernels_are_silent(reports, mode):
    said = {name: text for name, text in reports(mode).items() if name.endswith("_sound")}
    assert set(said.values()) == {""}


@pytest.mark.parametrize("mode", ["asan", "tsan"])
def test_the_first_finding_ends_the_process(mode):
    skip_without(mode)
    done = run_python(mode, "-m", "cuda_host.planted", mode)
    first = next(name for name, bug in BUGS.items() if bug.report[0] == mode)
    assert done.returncode != 0
    assert f"== {first}_planted" in done.stderr.splitlines()
    assert done.stderr.count("== ") <= 2 * len(BUGS)
    assert "two_threads_at_one_address_planted" not in done.stderr


@pytest.mark.parametrize("name", BUGS)
def test_sound_kernels_do_not_depend_on_the_order_of_threads(bugs, name):
    expected = planted.launch(bugs, name, "sound")
    assert np.isfinite(expected).all()
    for seed in range(1, 6):
        bugs.device.seed = seed
        np.testing.assert_array_equal(planted.launch(bugs, name, "sound"), expected)
    bugs.device.seed = 0


def test_a_random_order_shows_what_ascending_order_hides(bugs):
    expected = planted.launch(bugs, "missing_barrier_before_write", "sound")
    hidden = planted.launch(bugs, "missing_barrier_before_write", "planted")
    bugs.device.seed = 1
    shown = planted.launch(bugs, "missing_barrier_before_write", "planted")
    bugs.device.seed = 0
    np.testing.assert_array_equal(hidden, expected)
    assert (shown != expected).any()


def test_a_launch_after_a_failed_one_is_as_good_as_new(bugs):
    expected = planted.launch(bugs, "missing_syncwarp", "sound")
    with pytest.raises(KernelError, match="deadlock"):
        planted.launch(bugs, "lane_that_never_comes", "planted")
    np.testing.assert_array_equal(planted.launch(bugs, "missing_syncwarp", "sound"), expected)


def test_without_assembly_results_are_the_same(bugs):
    portable = planted.compile_all(HostDevice("portable"))
    for name in BUGS:
        np.testing.assert_array_equal(
            planted.launch(portable, name, "sound"), planted.launch(bugs, name, "sound")
        )
    with pytest.raises(KernelError, match="deadlock"):
        planted.launch(portable, "lane_that_never_comes", "planted")


@pytest.mark.parametrize("width", WIDTHS)
def test_shuffles_are_those_of_cuda(module, width):
    lane = np.arange(32)
    start, end = lane // width * width, lane // width * width + width
    for amount in (0, 1, 3, 7, 31):
        found = np.zeros(128, dtype=np.int32)
        module.launch("shuffles", 1, 32, [found, np.int32(amount), np.int32(width)])
        expected = [
            start + amount % width,
            np.where(lane - amount >= start, lane - amount, lane),
            np.where(lane + amount < end, lane + amount, lane),
            np.where(lane ^ amount < end, lane ^ amount, lane),
        ]
        np.testing.assert_array_equal(found.reshape(4, 32), expected)


def test_arguments_of_every_type_arrive(module):
    values = np.arange(100.0)
    pair = np.zeros(
        (), np.dtype([("values", "u8"), ("factor", "f4"), ("offset", "i4")], align=True)
    )
    pair["values"], pair["factor"], pair["offset"] = module.device.address(values), 0.5, 3
    given = [pair, np.int64(-(2**40)), np.uint32(2**32 - 1), np.float32(0.25), np.bool_(True)]
    found = np.zeros(96)
    module.launch("all_types", 3, 32, [found, *given])
    np.testing.assert_array_equal(found, 0.5 * (np.arange(96) + 3) - 2**40 + 2**32 + 0.25)


def test_every_instance_of_a_template_has_shared_arrays_of_its_own(module):
    double, single = np.arange(192.0), np.arange(192, dtype=np.float32)
    module.launch("reverse", 3, 64, [double, single])
    np.testing.assert_array_equal(double, np.arange(192.0).reshape(3, 64)[:, ::-1].ravel())
    np.testing.assert_array_equal(single, double)


def test_votes_and_extremes_are_taken_over_all(module):
    values = np.random.default_rng(0).integers(-5, 5, 32).astype(np.int32)
    ballots, extremes = np.zeros(32, np.uint32), np.array([-9, 0], np.int32)
    module.launch("votes", 1, 32, [ballots, extremes, values])
    bits = (values > 0) * (1 << np.arange(32))
    assert set(ballots[:16]) == {bits[:16].sum()}
    assert set(ballots[16:]) == {bits[16:].sum()}
    assert list(extremes) == [values.max(), np.bitwise_or.reduce(values)]


def test_functions_have_the_overloads_of_cuda(module):
    found = np.zeros(6)
    module.launch("maths", 1, 1, [found])
    assert list(found) == [17.0, 1.0, 1.0, 7.0, 2.0, 1.0]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([np.zeros(64), np.zeros(64)], "argument 1 of reverse must be an array of f4, not f8"),
        ([np.zeros(64)], "takes 2 arguments, not 1"),
        ([1.0, np.zeros(64)], "argument 0 of reverse must be of NumPy, not float"),
        ([np.zeros((64, 2))[:, 0], np.zeros(64, np.float32)], "must be contiguous"),
        ([np.broadcast_to(1.0, 1), np.zeros(64, np.float32)], "read-only"),
    ],
)
def test_arguments_of_the_wrong_type_are_refused(module, arguments, complaint):
    with pytest.raises(KernelError, match=complaint):
        module.launch("reverse", 1, 64, arguments)


def test_a_wider_scalar_is_refused(module):
    with pytest.raises(KernelError, match="argument 1 of shuffles must be a single i4, not i8"):
        module.launch("shuffles", 1, 32, [np.zeros(128, np.int32), np.int64(1), np.int32(32)])


def test_launches_beyond_the_limits_are_refused(bugs):
    limits = Limits(shared=511, threads=63, multiprocessors=1, memory=1)
    small = planted.compile_all(HostDevice(limits=limits))
    with pytest.raises(KernelError, match="shared=511"):
        planted.launch(small, "missing_barrier", "sound")


def test_a_text_that_is_wrong_is_refused_with_its_line():
    skip_without("fast")
    with pytest.raises(KernelError, match=r"wrong\.cu:1.*nonsense"):
        HostDevice().compile('#line 1 "wrong.cu"\nint f() { return nonsense; }', [])


def test_arrays_that_do_not_fit_the_stack_of_a_thread_are_refused():
    skip_without("fast")
    text = """extern "C" __global__ void large(double* out, int n) {
      double w[20000];
      for (int i = 0; i < 20000; ++i) w[i] = out[i + n];
      out[0] = w[n];
    }"""
    with pytest.raises(KernelError, match="frame size of 16"):
        HostDevice().compile(PROLOGUE.read_text() + text, ["large"])


def test_a_text_is_compiled_once(tmp_path, monkeypatch):
    skip_without("fast")
    monkeypatch.setenv("GPUPATCH_CACHE", str(tmp_path))
    text = PROLOGUE.read_text() + 'extern "C" __global__ void nothing() {}'
    path = build(text, ("nothing",), "fast")
    made = path.stat().st_mtime_ns
    assert build(text, ("nothing",), "fast") == path
    assert path.stat().st_mtime_ns == made
    assert build(text + " ", ("nothing",), "fast") != path


def test_a_sanitized_device_needs_a_sanitized_process():
    with pytest.raises(KernelError, match="run_python"):
        HostDevice("asan").compile("", [])
