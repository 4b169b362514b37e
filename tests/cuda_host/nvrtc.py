"""Compile CUDA C++ for real GPUs and read what came out, with neither a GPU nor its driver.

NVRTC and nvdisasm come from PyPI (`nvidia-cuda-nvrtc`, `nvidia-cuda-nvdisasm`, both in the extra
`dev`).
"""

import ctypes
import functools
import importlib.util
import re
import struct
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ARCHITECTURES = ("sm_75", "sm_80", "sm_90", "sm_100", "sm_120")
RESERVED = 1024
"""Bytes of static shared memory that belong to the system from sm_90 on."""


class CompileError(RuntimeError):
    """NVRTC refused a text, or a kernel is not in it."""


class Cubin(NamedTuple):
    """A compiled text.

    Attributes:
        binary: ELF file.
        log: warnings, and what ptxas says of each kernel.
        arch: the architecture it is for.
    """

    binary: bytes
    log: str
    arch: str


class Usage(NamedTuple):
    """What a kernel takes.

    Attributes:
        registers: of a thread.
        stack: bytes of local memory of a thread, such as arrays with an index not known.
        shared: bytes of static shared memory of a block.
        spills: bytes that are stored to and loaded from local memory for lack of registers.
    """

    registers: int
    stack: int
    shared: int
    spills: int


class Instruction(NamedTuple):
    """An instruction of machine code.

    Attributes:
        opcode: with its modifiers, "LDS.64".
        operands: as text.
        guarded: whether it is executed under a predicate.
        target: index of the instruction that it jumps to or calls, or None.
    """

    opcode: str
    operands: str
    guarded: bool
    target: int | None


def why_not(tool: str = "nvrtc") -> str | None:
    """Why texts cannot be compiled ("nvrtc") or disassembled ("nvdisasm") here, or None."""
    pattern = {"nvrtc": "*/lib/libnvrtc.so.*", "nvdisasm": "*/bin/nvdisasm"}[tool]
    return None if _find(pattern) else f"nvidia-cuda-{tool} is not installed"


def compile_cubin(
    text: str, arch: str, names: Sequence[str] = (), options: Sequence[str] = ()
) -> Cubin:
    """Compile a text for one architecture.

    Args:
        text: CUDA C++ that includes nothing.
        arch: such as "sm_90".
        names: `extern "C"` kernels that must come out of it.
        options: further options of NVRTC.

    Returns:
        The machine code and the log.

    Raises:
        CompileError: with the log, if the text is refused or a kernel is missing.
    """
    nvrtc = _nvrtc()
    program = ctypes.c_void_p()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"module.cu", 0, None, None)
    try:
        asked = ["-std=c++17", f"-arch={arch}", "--ptxas-options=-v", *options]
        pointers = (ctypes.c_char_p * len(asked))(*(option.encode() for option in asked))
        refused = nvrtc.nvrtcCompileProgram(program, len(asked), pointers)
        log = _fetch(nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog, program)
        if refused:
            raise CompileError(log.rstrip(b"\0").decode())
        binary = _fetch(nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN, program)
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    cubin = Cubin(binary, log.rstrip(b"\0").decode(), arch)
    missing = set(names) - usage(cubin).keys()
    if missing:
        raise CompileError(f"no kernel {', '.join(sorted(missing))} in the text")
    return cubin


def usage(cubin: Cubin) -> dict[str, Usage]:
    """What each kernel takes: from the ELF file, and for spills from the log.

    Args:
        cubin: from `compile_cubin`.

    Returns:
        kernel -> usage.
    """
    spills = {
        name: int(stored) + int(loaded)
        for name, stored, loaded in re.findall(
            r"entry function '(\w+)'.*?(\d+) bytes spill stores, (\d+) bytes spill loads",
            cubin.log,
            re.DOTALL,
        )
    }
    elf = _Elf(cubin.binary)
    registers, stack = elf.info(0x2F), elf.info(0x11)
    system = RESERVED if int(cubin.arch.removeprefix("sm_").rstrip("af")) >= 90 else 0
    return {
        name: Usage(
            registers[name], stack[name], max(elf.size(f".nv.shared.{name}") - system, 0), spilled
        )
        for name, spilled in spills.items()
    }


def sass(cubin: Cubin) -> dict[str, list[Instruction]]:
    """The machine code of each kernel, by nvdisasm.

    Args:
        cubin: from `compile_cubin`.

    Returns:
        kernel -> instructions, in the order of their addresses.
    """
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin.binary)
        file.flush()
        command = [str(_find("*/bin/nvdisasm")), "-c", file.name]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    _, *parts = re.split(r"^\.text\.(\w+):$", text, flags=re.MULTILINE)
    return {name: _instructions(code) for name, code in zip(parts[::2], parts[1::2], strict=True)}


def inner_loop(code: Sequence[Instruction]) -> Counter[str]:
    """What is executed in one turn of the largest loop that holds no other loop.

    Args:
        code: of one kernel, from `sass`.

    Returns:
        Counts of the opcodes without modifiers; empty if there is no loop.
    """
    return max(inner_loops(code), key=lambda counts: counts.total(), default=Counter())


def inner_loops(code: Sequence[Instruction]) -> list[Counter[str]]:
    """What is executed in one turn of each loop that holds no other loop.

    A loop ends with a jump back to an instruction that every way to the jump passes. What lies out
    of line, between other parts of the code, is not counted.

    Args:
        code: of one kernel, from `sass`.

    Returns:
        For each loop, in the order of the code, counts of the opcodes without modifiers.
    """
    loops = [
        (line.target, i)
        for i, line in enumerate(code)
        if line.target is not None
        and line.target < i
        and not line.opcode.startswith("CALL")
        and not _reaches(code, i, without=line.target)
    ]
    inner = [
        (first, last)
        for first, last in loops
        if not any(first <= a and b <= last and (a, b) != (first, last) for a, b in loops)
    ]
    return [
        Counter(line.opcode.split(".")[0] for line in code[first : last + 1])
        for first, last in inner
    ]


def _reaches(code: Sequence[Instruction], goal: int, without: int) -> bool:
    """Whether there is a way from the first instruction to one that avoids another."""
    seen, todo = {without}, [0]
    while todo:
        i = todo.pop()
        while i not in seen and i < len(code):
            if i == goal:
                return True
            seen.add(i)
            line = code[i]
            if line.target is not None:
                todo.append(line.target)
            if _ends(line):
                break
            i += 1
    return False


def _ends(line: Instruction) -> bool:
    """Whether the next instruction is never reached from this one."""
    stem = line.opcode.split(".")[0]
    if line.guarded:
        return False
    return stem in ("EXIT", "RET") or (stem == "BRA" and line.operands.startswith("`("))


def _instructions(text: str) -> list[Instruction]:
    labels, lines = {}, []
    for line in text.splitlines():
        if label := re.match(r"\s*(\.L\w+):", line):
            labels[label[1]] = len(lines)
        elif found := re.match(r"\s*/\*[0-9a-f]+\*/\s+(@!?\w+\s+)?([\w.]+)\s*(.*?)\s*;", line):
            lines.append((found[2], found[3], found[1] is not None))
        elif line.startswith("//-----"):
            break
    code = []
    for opcode, operands, guarded in lines:
        jump = opcode.split(".")[0] in ("BRA", "CALL")
        label = re.search(r"`\((\.L\w+)\)", operands) if jump else None
        code.append(Instruction(opcode, operands, guarded, labels[label[1]] if label else None))
    return code


def _find(pattern: str) -> Path | None:
    spec = importlib.util.find_spec("nvidia")
    folders = spec.submodule_search_locations if spec else None
    found = [path for folder in folders or () for path in Path(folder).glob(pattern)]
    return min(found, default=None)


@functools.cache
def _nvrtc() -> ctypes.CDLL:
    path = _find("*/lib/libnvrtc.so.*")
    if path is None:
        raise CompileError(str(why_not("nvrtc")))
    for builtins in path.parent.glob("libnvrtc-builtins.so.*"):  # NVRTC asks by bare name
        ctypes.CDLL(str(builtins))
    return ctypes.CDLL(str(path))


def _fetch(size, get, program: ctypes.c_void_p) -> bytes:
    count = ctypes.c_size_t()
    size(program, ctypes.byref(count))
    buffer = ctypes.create_string_buffer(count.value)
    get(program, buffer)
    return buffer.raw


class _Elf:
    """The parts of a cubin that say what kernels take.

    Args:
        binary: a 64-bit little-endian ELF file.
    """

    def __init__(self, binary: bytes):
        self._binary = binary
        (start,) = struct.unpack_from("<Q", binary, 0x28)
        step, count, names = struct.unpack_from("<HHH", binary, 0x3A)
        headers = [
            struct.unpack_from("<IIQQQQIIQQ", binary, start + i * step) for i in range(count)
        ]
        self._sections = {self._string(headers[names][4] + header[0]): header for header in headers}
        table = self._sections[".symtab"]
        texts = headers[table[6]][4]
        self._symbols = [
            self._string(texts + struct.unpack_from("<I", binary, place)[0])
            for place in range(table[4], table[4] + table[5], table[9])
        ]

    def size(self, section: str) -> int:
        """Bytes of a section; 0 if there is none."""
        return self._sections[section][5] if section in self._sections else 0

    def info(self, attribute: int) -> dict[str, int]:
        """Kernel -> value of an attribute of `.nv.info`: a list of (format, attribute, size)."""
        header, found = self._sections[".nv.info"], {}
        place, end = header[4], header[4] + header[5]
        while place < end:
            kind, name, size = struct.unpack_from("<BBH", self._binary, place)
            place += 4
            if kind == 4:  # `size` bytes follow
                if name == attribute:
                    symbol, value = struct.unpack_from("<II", self._binary, place)
                    found[self._symbols[symbol]] = value
                place += size
        return found

    def _string(self, place: int) -> str:
        return self._binary[place : self._binary.index(b"\0", place)].decode()
