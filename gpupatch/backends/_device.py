"""Where CUDA runs: a GPU by CuPy, or, in the tests, the host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gpupatch.errors import BackendError

DeviceArray = Any


class Resources(NamedTuple):
    """What one kernel takes.

    Attributes:
        registers: per thread.
        local: bytes of local memory per thread: stack and spilled registers.
        shared: bytes of static shared memory per block.
    """

    registers: int
    local: int
    shared: int


class Limits(NamedTuple):
    """What a device has.

    Attributes:
        shared: largest dynamic shared memory of a block, bytes.
        threads: largest block.
        multiprocessors: blocks that run at the same time are spread over these.
        memory: free device memory, bytes.
    """

    shared: int
    threads: int
    multiprocessors: int
    memory: int


class Module(Protocol):
    """Compiled kernels."""

    def launch(
        self, name: str, blocks: int, threads: int, arguments: Sequence, shared: int = 0
    ) -> None:
        """Start a kernel; arrays go as pointers, NumPy scalars and structures by value."""
        ...

    def resources(self, name: str) -> Resources:
        """What a kernel takes."""
        ...


class Device(Protocol):
    """A place where arrays live and CUDA C++ runs."""

    name: str
    xp: Any
    limits: Limits

    def compile(self, source: str, names: Sequence[str]) -> Module:
        """Compile a text that defines the named `extern "C"` kernels."""
        ...

    def put(self, array: NDArray) -> DeviceArray:
        """Copy an array to the device, in C order."""
        ...

    def get(self, array: DeviceArray) -> NDArray:
        """Copy an array to the host."""
        ...

    def address(self, array: DeviceArray) -> int:
        """Where an array begins."""
        ...

    def holds(self, array) -> bool:
        """Whether an array lies on the device and not on the host."""
        ...

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Make launches that are always the same cheap to repeat.

        Args:
            work: launches of kernels, and nothing else.

        Returns:
            A function that does the same work; nothing has been done yet.
        """
        ...


class CupyDevice:
    """A GPU.

    Args:
        number: number of the GPU.

    Raises:
        BackendError: if CuPy, the driver or the GPU is missing, with the chain of reasons.
    """

    name = "cuda"

    def __init__(self, number: int = 0):
        self.xp = usable_cupy()
        self._device = self.xp.cuda.Device(number)
        try:
            self._device.use()
            self._stream = self.xp.cuda.Stream(non_blocking=True)
            self._stream.use()
        except self.xp.cuda.runtime.CUDARuntimeError as error:
            raise BackendError(f"GPU {number} cannot be used: {_line(error)}") from error
        attributes = self._device.attributes
        self.limits = Limits(
            attributes["MaxSharedMemoryPerBlockOptin"],
            attributes["MaxThreadsPerBlock"],
            attributes["MultiProcessorCount"],
            self._device.mem_info[0],
        )

    def compile(self, source: str, names: Sequence[str]) -> CupyModule:
        """Compile with NVRTC; the binary is cached by CuPy.

        Raises:
            BackendError: if the compiler refuses the text.
        """
        module = self.xp.RawModule(code=source, options=("-std=c++17",))
        try:
            return CupyModule(module, names)
        except self.xp.cuda.compiler.CompileException as error:
            told = [line for line in str(error).splitlines() if "error" in line]
            raise BackendError(
                f"the CUDA compiler refused a kernel: {' '.join(told[:3])}"
            ) from error

    def put(self, array: NDArray) -> DeviceArray:
        """Copy an array to the GPU."""
        return self.xp.asarray(np.ascontiguousarray(array))

    def get(self, array: DeviceArray) -> NDArray:
        """Copy an array to the host; waits for the GPU."""
        return self.xp.asnumpy(array)

    def address(self, array: DeviceArray) -> int:
        """Where an array begins in device memory."""
        return array.data.ptr

    def holds(self, array) -> bool:
        """Whether an array is one of CuPy."""
        return isinstance(array, self.xp.ndarray)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Launches as a CUDA graph."""
        self._stream.begin_capture()
        work()
        graph = self._stream.end_capture()
        return lambda: graph.launch(self._stream)


class CupyModule:
    """Kernels on a GPU.

    Args:
        module: a `cupy.RawModule`.
        names: its kernels.
    """

    def __init__(self, module, names: Sequence[str]):
        self._kernels = {name: module.get_function(name) for name in names}

    def launch(
        self, name: str, blocks: int, threads: int, arguments: Sequence, shared: int = 0
    ) -> None:
        """Start a kernel on the current stream."""
        kernel = self._kernels[name]
        if shared > _STATIC_LIMIT and kernel.max_dynamic_shared_size_bytes < shared:
            kernel.max_dynamic_shared_size_bytes = shared
        kernel((blocks,), (threads,), tuple(arguments), shared_mem=shared)

    def resources(self, name: str) -> Resources:
        """What the compiler gave to a kernel."""
        kernel = self._kernels[name]
        return Resources(kernel.num_regs, kernel.local_size_bytes, kernel.shared_size_bytes)


_STATIC_LIMIT = 48 * 1024
"""Dynamic shared memory up to which a kernel need not ask, bytes."""


def usable_cupy() -> ModuleType:
    """CuPy, if it can compute: it imports without a driver or a GPU, which proves nothing.

    Raises:
        BackendError: with the chain of reasons in one line, if it cannot.
    """
    try:
        import cupy  # type: ignore[import-not-found]
    except ImportError as error:
        raise BackendError(
            f"CuPy cannot be imported ({_line(error)}); install `gpupatch[cuda13]` or "
            "`gpupatch[cuda12]`"
        ) from error
    except Exception as error:
        raise BackendError(
            f"CuPy is there but broken ({type(error).__name__}: {_line(error)}); install it anew"
        ) from error
    found = f"CuPy {cupy.__version__} is there"
    try:
        driver = cupy.cuda.runtime.driverGetVersion()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise BackendError(f"{found}, but does not find a driver: {_line(error)}") from error
    if driver == 0:
        raise BackendError(f"{found}, but no NVIDIA driver: install one, or use `numba`")
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise BackendError(
            f"{found} and driver {driver}, but no GPU can be used: {_line(error)}"
        ) from error
    if count == 0:
        raise BackendError(f"{found} and driver {driver}, but no GPU is visible")
    return cupy


def _line(error: Exception) -> str:
    """What an error says, without line breaks."""
    return " ".join(str(error).split())
