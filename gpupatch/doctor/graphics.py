"""Probes of what the backend `cuda` stands on: driver, CuPy, compiler, GPUs.

Without any of it gpupatch computes on the CPU, and nothing is wrong. What is reported as a problem
is a part that is there and does not fit the others.
"""

from __future__ import annotations

import ctypes
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from gpupatch.doctor.record import Record, in_one_line, missing, ok, problem

EXTRAS = {"cupy-cuda12x": "gpupatch[cuda12]", "cupy-cuda13x": "gpupatch[cuda13]"}
_INSTALL = (
    'To compute on an NVIDIA GPU, run `pip install "gpupatch[cuda13]"`, or `"gpupatch[cuda12]"` '
    "for a driver before 580."
)
_NO_GPU = "Without a GPU nothing is to be done: gpupatch computes on the CPU."
_MODULE_VERSION = Path("/proc/driver/nvidia/version")
_KERNEL = 'extern "C" __global__ void twice(double* x) { x[threadIdx.x] *= 2.0; }'


def wheels() -> Record:
    """Which wheels of CuPy are installed; only one may be."""
    found = {
        name: one.version
        for one in metadata.distributions()
        if (name := (one.metadata["Name"] or "").lower()) == "cupy" or name.startswith("cupy-")
    }
    told = ", ".join(f"{name} {version}" for name, version in sorted(found.items()))
    if not found:
        return missing("not installed", _INSTALL)
    if len(found) > 1:
        keep = next((extra for name, extra in EXTRAS.items() if name in found), EXTRAS)
        return problem(
            f"{told}: more than one, whose files overwrite each other",
            f'Run `pip uninstall {" ".join(sorted(found))}`, then `pip install "{keep}"`.',
            wheels=found,
        )
    return ok(told, wheels=found)


def driver() -> Record:
    """The NVIDIA driver, asked directly, without CuPy."""
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    module = kernel_module()
    try:
        library = ctypes.CDLL(name)
    except OSError as error:
        if module is None:
            return missing(f"no NVIDIA driver ({error})", _NO_GPU)
        return problem(
            f"the kernel module {module} is loaded, but {name} is not found ({error})",
            "Install the user part of the driver; in a container, start it with `--gpus all`.",
            module=module,
        )
    version = ctypes.c_int(0)
    library.cuDriverGetVersion(ctypes.byref(version))
    cuda = dotted(version.value)
    facts = {"cuda": cuda, "module": module}
    found = f"for CUDA {cuda} and older" + (f", kernel module {module}" if module else "")
    code = library.cuInit(0)
    if code == 0:
        return ok(found, **facts)
    reason = _name_of(library, code)
    if reason == "CUDA_ERROR_NO_DEVICE":
        return missing(f"{found}, but it sees no GPU ({reason})", _NO_GPU, **facts)
    return problem(
        f"{found}, but it cannot be started: {reason} ({code})",
        "Run `nvidia-smi`; reload or install the driver anew, or restart the machine.",
        reason=reason,
        **facts,
    )


def kernel_module() -> str | None:
    """Version of the driver in the kernel (Linux), or None if none is loaded."""
    if not _MODULE_VERSION.is_file():
        return None
    first = _MODULE_VERSION.read_text(encoding="utf-8", errors="replace").splitlines()[0]
    numbers = [word for word in first.split() if word[0].isdigit() and "." in word]
    return numbers[0] if numbers else in_one_line(first)


def _name_of(library: Any, code: int) -> str:
    """What the driver calls an error."""
    text = ctypes.c_char_p()
    library.cuGetErrorName(code, ctypes.byref(text))
    return text.value.decode() if text.value else "an error without a name"


def runtime() -> Record:
    """Whether CuPy can compute: its CUDA runtime beside the driver, and the GPUs that it sees."""
    from gpupatch.backends._device import usable_cupy
    from gpupatch.errors import BackendError

    try:
        cupy = usable_cupy()
    except BackendError as error:
        return _why_not(str(error))
    version = dotted(cupy.cuda.runtime.runtimeGetVersion())
    supported = dotted(cupy.cuda.runtime.driverGetVersion())
    facts = {"cupy": cupy.__version__, "runtime": version, "driver": supported}
    return ok(f"CuPy {cupy.__version__}, CUDA {version}, driver for {supported}", **facts)


def _why_not(reasons: str) -> Record:
    """Absence is no fault; parts that do not fit each other are."""
    if not wheels().facts:
        return missing(reasons, _NO_GPU)
    if "no NVIDIA driver" in reasons and kernel_module() is None:
        return missing(reasons, _NO_GPU)
    if "no GPU is visible" in reasons:
        return missing(reasons, "If there is one, look at CUDA_VISIBLE_DEVICES.")
    return problem(
        reasons,
        "A driver and a CuPy that fit each other are needed: run `nvidia-smi`, "
        "and install the extra for a CUDA version that is not newer than it shows.",
    )


def compiler() -> Record:
    """NVRTC: whether it is found, and compiles a kernel to machine code; needs no GPU."""
    try:
        from cupy.cuda import nvrtc  # type: ignore[import-not-found]
    except ImportError as error:
        return missing(f"not asked without CuPy ({in_one_line(error)})", _NO_GPU)
    advice = 'It comes with `pip install "gpupatch[cuda13]"` (or cuda12), which adds `[ctk]`.'
    try:
        version = ".".join(map(str, nvrtc.getVersion()))
    except Exception as error:
        return problem(f"NVRTC is not found: {in_one_line(error)}", advice)
    architectures = sorted(nvrtc.getSupportedArchs()) if hasattr(nvrtc, "getSupportedArchs") else []
    target = architectures[0] if architectures else 80
    facts = {"version": version, "architectures": architectures}
    program = nvrtc.createProgram(_KERNEL, "twice.cu", [], [])
    try:
        nvrtc.compileProgram(program, [f"-arch=sm_{target}", "-std=c++17"])
        count = len(nvrtc.getCUBIN(program))
    except Exception as error:
        return problem(
            f"NVRTC {version} does not compile a kernel of one line: {in_one_line(error)}",
            advice,
            **facts,
        )
    return ok(f"NVRTC {version} compiles for sm_{target} ({count} bytes)", **facts)


def gpus() -> Record:
    """Name, memory and compute capability of every GPU, and whether each is a slice (MIG)."""
    from gpupatch.backends._device import usable_cupy
    from gpupatch.errors import BackendError

    try:
        cupy = usable_cupy()
    except BackendError as error:
        return missing("none that can be used; see above", "", reason=str(error))
    found = [_gpu(cupy, number) for number in range(cupy.cuda.runtime.getDeviceCount())]
    told = "; ".join(
        f"{one['number']}: {one['name']}, {one['memory'] / 1e9:.3g} GB, "
        f"compute capability {one['capability']}{', a MIG slice' if one['mig'] else ''}"
        for one in found
    )
    return ok(told, gpus=found)


def _gpu(cupy: Any, number: int) -> dict[str, Any]:
    properties = cupy.cuda.runtime.getDeviceProperties(number)
    name = properties["name"]
    name = name.decode() if isinstance(name, bytes) else str(name)
    return {
        "number": number,
        "name": name,
        "memory": int(properties["totalGlobalMem"]),
        "capability": f"{properties['major']}.{properties['minor']}",
        "multiprocessors": int(properties["multiProcessorCount"]),
        "mig": " MIG " in f" {name} ",
    }


def dotted(version: int) -> str:
    """A version as CUDA counts them: 13010 is 13.1."""
    return f"{version // 1000}.{version % 1000 // 10}"
