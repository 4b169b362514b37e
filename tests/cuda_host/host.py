"""A device for the CUDA backend that is the CPU: kernels compiled by g++ through the shim.

What a launch finds on top of wrong numbers depends on the mode, see README.md beside this file.
"""

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from gpupatch.backends._device import Limits, Resources

HERE = Path(__file__).parent
PROLOGUE = HERE.parent.parent / "kernels" / "prologue.cuh"
SOURCES = ("shim.hpp", "runtime.hpp", "runtime.cpp", "fiber.hpp", "sanitizers.hpp")
COMMON = (
    *("-std=c++17", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off", "-fno-strict-aliasing"),
    *("-Wall", "-Werror", "-Wno-unknown-pragmas", "-Wno-unused", "-Wno-maybe-uninitialized"),
    f"-Wframe-larger-than={128 * 1024}",
)
CHECKS = "address,bounds,shift,signed-integer-overflow,integer-divide-by-zero,alignment"
FLAGS = {
    "fast": ("-O1",),
    "asan": ("-O1", "-g1", f"-fsanitize={CHECKS}", f"-fsanitize-recover={CHECKS}"),
    "tsan": ("-O1", "-g1", "-fsanitize=thread"),
    "portable": ("-O1",),
}
RUNTIME_FLAGS = {
    "fast": (),
    "asan": ("-DSHIM_ASAN",),
    "tsan": ("-DSHIM_TSAN",),
    "portable": ("-DSHIM_UCONTEXT",),
}
LIBRARIES = {"asan": "libasan.so", "tsan": "libtsan.so"}
MODE = "GPUPATCH_HOST_MODE"
OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0",
    "UBSAN_OPTIONS": "print_stacktrace=0",
    "TSAN_OPTIONS": "ignore_noninstrumented_modules=1:suppress_equal_addresses=0",
}


class KernelError(RuntimeError):
    """A kernel was launched wrongly or could not be run to its end."""


LIMITS = Limits(shared=227 * 1024, threads=1024, multiprocessors=2, memory=2**30)


class _Launch(ctypes.Structure):
    _fields_ = (
        ("blocks", ctypes.c_uint32),
        ("threads", ctypes.c_uint32),
        ("shared", ctypes.c_uint64),
        ("seed", ctypes.c_uint64),
    )


class HostDevice:
    """The CPU as a CUDA device: arrays are NumPy's, kernels run one block after the other.

    Args:
        mode: "fast", "asan" (bounds) or "tsan" (races), which need a process that was started by
            `run_python`, or "portable" (as "fast", without assembly). When absent, the one for
            which `run_python` started the process, else "fast".
        limits: what launches may ask for; small ones force the paths for large patches.
        seed: 0 runs threads and blocks in ascending order, any other number is the seed of a
            random order.
    """

    name = "host"
    xp = np

    def __init__(
        self,
        mode: str | None = None,
        limits: Limits = LIMITS,
        seed: int = 0,
    ):
        self.mode = mode or os.environ.get(MODE, "fast")
        self.limits = limits
        self.seed = seed

    def compile(self, source: str, names: Sequence[str]) -> "HostModule":
        """Kernels from CUDA C++.

        Args:
            source: text that begins with the prologue.
            names: of the `extern "C"` kernels.

        Returns:
            The module; the same text is compiled once per cache folder.

        Raises:
            KernelError: if g++ refuses the text, or the process has not loaded the sanitizer.
        """
        if self.mode in LIBRARIES and not _is_loaded(self.mode):
            raise KernelError(f"mode {self.mode!r} needs a process started by `run_python`")
        return HostModule(self, build(source, tuple(names), self.mode))

    def put(self, array) -> np.ndarray:
        """A copy of an array, C order, same dtype."""
        return np.array(array, order="C", copy=True)

    def get(self, array) -> np.ndarray:
        """A copy of an array."""
        return np.array(array, copy=True)

    def address(self, array) -> int:
        """Where the elements of an array begin."""
        return array.ctypes.data

    def holds(self, array) -> bool:
        """No: its arrays are those of the host."""
        return False

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """The launches themselves: the CPU has nothing to gain from recording them."""
        return work


class HostModule:
    """Kernels compiled from one text.

    Args:
        device: where they run.
        path: shared library, from `build`.
    """

    _lock = threading.Lock()

    def __init__(self, device: HostDevice, path: Path):
        self.device = device
        self._library = ctypes.CDLL(str(path))

    def launch(
        self, name: str, blocks: int, threads: int, arguments: Sequence, shared: int = 0
    ) -> None:
        """Run a kernel to its end.

        Args:
            name: of the kernel.
            blocks: how many.
            threads: of each block.
            arguments: arrays (passed as pointers), NumPy scalars and structures without
                dimensions (passed by value), of exactly the types that the kernel declares.
            shared: bytes of dynamic shared memory of a block.

        Raises:
            KernelError: if arguments do not fit, a limit is exceeded, or threads wait for each
                other in a way that never ends or that CUDA does not define.
        """
        limits = self.device.limits
        if not (blocks >= 1 and 1 <= threads <= limits.threads and 0 <= shared <= limits.shared):
            raise KernelError(
                f"{name}: {blocks} blocks of {threads} threads with {shared} bytes of shared "
                f"memory, but the device has {limits}"
            )
        wanted = self.parameters(name)
        if len(wanted) != len(arguments):
            raise KernelError(f"{name} takes {len(wanted)} arguments, not {len(arguments)}")
        kept = [
            _argument(f"argument {i} of {name}", want, value)
            for i, (want, value) in enumerate(zip(wanted, arguments, strict=True))
        ]
        pointers = (ctypes.c_void_p * len(kept))(*(each.ctypes.data for each in kept))
        function = self._library[f"launch_{name}"]
        function.restype = ctypes.c_char_p
        with self._lock:
            asked = _Launch(blocks, threads, shared, self.device.seed)
            error = function(ctypes.byref(asked), pointers)
        if error:
            raise KernelError(f"{name}: {error.decode()}")

    def parameters(self, name: str) -> list[str]:
        """Types of a kernel's parameters, such as "f8", "const i4*" or "V24"."""
        function = self._library[f"parameters_{name}"]
        function.restype = ctypes.c_char_p
        return function().decode().split(",")[:-1]

    def resources(self, name: str) -> Resources:
        """Nothing: the CPU has no registers to run out of."""
        return Resources(0, 0, 0)


def build(source: str, names: tuple[str, ...], mode: str) -> Path:
    """The shared library of a text, compiled unless the cache has it.

    Args:
        source: CUDA C++ that begins with the prologue.
        names: of the `extern "C"` kernels.
        mode: key of `FLAGS`.

    Returns:
        Its path, named by the hash of all that it was made from.

    Raises:
        KernelError: if g++ refuses the text.
    """
    text = "".join([source, "\n", *(f"SHIM_KERNEL({name})\n" for name in names)])
    flags = (*COMMON, *FLAGS[mode])
    runtime = _runtime(mode)
    path = runtime.parent / f"{_digest(runtime.name, *flags, text)}.so"
    if not path.exists():
        kernels = path.with_suffix(".cpp")
        kernels.write_text(text)
        _compile([*flags, f"-I{HERE}", str(kernels), str(runtime), "-Wl,-rpath,$ORIGIN"], path)
    return path


def run_python(mode: str, *arguments: str, halt: bool = True) -> subprocess.CompletedProcess:
    """Run Python in a process that has loaded a sanitizer, with `cuda_host` to import.

    Args:
        mode: "asan" or "tsan".
        arguments: of the interpreter.
        halt: end at the first finding, with a code that is not 0, rather than go on.

    Returns:
        The finished process, its output as text; findings are reported on stderr.
    """
    options = {name: f"{value}:halt_on_error={halt:d}" for name, value in OPTIONS.items()}
    path = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    own = {"LD_PRELOAD": _preload(mode), "OMP_NUM_THREADS": "1", "PYTHONPATH": path, MODE: mode}
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **options, **own},
        capture_output=True,
        text=True,
    )


@functools.cache
def why_not(mode: str) -> str | None:
    """Why kernels cannot be run in a mode on this machine, or None."""
    if shutil.which(_compiler()) is None:
        return f"there is no {_compiler()}"
    if mode in LIBRARIES:
        if not Path(_library(LIBRARIES[mode])).is_absolute():
            return f"{_compiler()} has no {LIBRARIES[mode]}"
        started = run_python(mode, "-c", "print('started')")
        if started.stdout != "started\n":
            return f"Python does not start with {LIBRARIES[mode]}: {started.stderr[-300:]}"
    return None


def _compiler() -> str:
    return os.environ.get("CXX", "g++")


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:32]


@functools.cache
def _temporary() -> str:
    return tempfile.mkdtemp(prefix="gpupatch-host-")


def _cache() -> Path:
    folder = Path(os.environ.get("GPUPATCH_CACHE") or _temporary()) / "cuda_host"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _runtime(mode: str) -> Path:
    """The scheduler, which all modules share: it sees no sanitizer, but tells it of its fibers."""
    flags = (*COMMON, "-O2", *RUNTIME_FLAGS[mode])
    texts = [(HERE / name).read_text() for name in SOURCES]
    path = _cache() / f"{_digest(_compiler(), *flags, *texts)}.so"
    if not path.exists():
        _compile([*flags, str(HERE / "runtime.cpp"), f"-Wl,-soname,{path.name}"], path)
    return path


def _compile(arguments: Sequence[str], path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / path.name
        done = subprocess.run(
            [_compiler(), "-shared", *arguments, "-o", str(made)],
            env={**os.environ, "LD_PRELOAD": ""},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise KernelError(f"{_compiler()} refused the text:\n{done.stderr[:4000]}")
        made.replace(path)


@functools.cache
def _library(name: str) -> str:
    command = [_compiler(), f"-print-file-name={name}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _preload(mode: str) -> str:
    return f"{_library(LIBRARIES[mode])} {_library('libstdc++.so')}"


def _is_loaded(mode: str) -> bool:
    return hasattr(ctypes.CDLL(None), f"__{mode}_init")


def _argument(label: str, wanted: str, value) -> np.ndarray:
    """What lies where the launch looks for an argument: the value itself, or an address."""
    if not isinstance(value, np.ndarray | np.generic):
        raise KernelError(f"{label} must be of NumPy, not {type(value).__name__}")
    found = f"{value.dtype.kind}{value.dtype.itemsize}"
    if not wanted.endswith("*"):
        if found != wanted or value.ndim:
            raise KernelError(f"{label} must be a single {wanted}, not {found}{list(value.shape)}")
        return np.asarray(value)
    if found == "u8" and isinstance(value, np.generic):
        return np.asarray(value)
    target = wanted.removeprefix("const ").removesuffix("*")
    if not isinstance(value, np.ndarray) or found != target != "void":
        raise KernelError(f"{label} must be an array of {target}, not {found}")
    if not value.flags.c_contiguous:
        raise KernelError(f"{label} must be contiguous")
    if not (value.flags.writeable or wanted.startswith("const ")):
        raise KernelError(f"{label} is written to, but the array is read-only")
    return np.array(value.ctypes.data, dtype=np.uint64)
