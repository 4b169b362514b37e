"""One batch of patches on a device: compiled kernels, the tables they read, and launches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Micro
from gpupatch.backends._cuda_kernels import ACT_THREADS, Compiled, acts, for_bursts, plain
from gpupatch.backends._cuda_memory import MemoryPlan
from gpupatch.backends._cuda_source import STATE, Program
from gpupatch.backends._cuda_structs import MODEL, Struct, Tables, filled
from gpupatch.backends._device import Device, DeviceArray, Module
from gpupatch.backends._site_loops import geometry_of
from gpupatch.backends._tables import rule_tables
from gpupatch.micro.model import MicroModel

_KEPT_TABLES = 6
"""Tables of scalars and statics, one per program and time step, that are kept."""

_BLOCKS = 8
"""Blocks per multiprocessor; further patches are done by the same blocks."""


class Batch:
    """What all passes over one batch of patches share.

    Args:
        model: the micro-rule with its geometry, parameters and coefficients.
        dtype: "float64" or "float32".
        device: where the patches live.
        kernels: "auto", or the class of kernels that bursts must use: "plain" or "tile".

    Attributes:
        fixed: tables that live as long as the batch.
        launched: how often each kernel was started.
        chosen: kernels that have run, and why they were chosen.
        waits: how often the host waited for the device, by what it waited for.
    """

    def __init__(self, model: MicroModel, dtype: str, device: Device, kernels: str = "auto"):
        self.model, self.device, self.kernels = model, device, kernels
        self.dtype = np.dtype(dtype)
        self.single = self.dtype == np.float32
        self.geometry = geometry_of(model)
        self.size = int(np.prod(model.shape[1:]))
        self.fixed = Tables(device)
        self.edge = self.fixed.edges(model.sites, model.edges, len(model.rule.fields))
        self.launched: Counter[str] = Counter()
        self.chosen: dict[str, str] = {}
        self.waits: Counter[str] = Counter()
        self._base: DeviceArray | None = None
        self._models: dict[tuple[Program, float], tuple[Struct, Tables]] = {}
        self._latest: tuple[Program, float, tuple] | None = None

    def freeze(self, u: Micro) -> None:
        """Make values the base that float32 states are counted from."""
        self._base = self.device.put(np.array(u, dtype=np.float64, order="C"))

    def base(self, u) -> DeviceArray:
        """The frozen base of a state; zero before anything was frozen, one number in float64."""
        if self._base is None or (self.single and len(self._base) != len(u)):
            self._base = self.device.xp.zeros(u.shape if self.single else (1,))
        return self._base

    def passes(self, stepper: str, measured: int = STATE) -> Compiled:
        """Kernels for all passes with a micro-stepper."""
        rule, geometry = self.model.rule, self.geometry
        return plain(self.device, rule, geometry, self.dtype.name, stepper, measured)

    def bursts(self, stepper: str, measured: int = STATE, same_slope: bool = False) -> Compiled:
        """The kernel for bursts with a micro-stepper."""
        rule, geometry = self.model.rule, self.geometry
        found = for_bursts(
            self.device, rule, geometry, self.dtype.name, stepper, measured, same_slope,
            self.kernels,
        )  # fmt: skip
        self.chosen[found.name] = found.reason
        return found

    def tables(self, program: Program, step: float, stream: int = 0) -> Struct:
        """Scalars and statics of a program for one micro time step, on the device."""
        key = (program, step)
        if key not in self._models:
            while len(self._models) >= _KEPT_TABLES:
                self._models.pop(next(iter(self._models)))
            kept = Tables(self.device)
            self._models[key] = self.fill(program, step, kept), kept
        tables = self._models[key][0].copy()
        tables["stream"] = stream & 0xFFFFFFFF
        return tables

    def fill(
        self, program: Program, step: float, kept: Tables, first: int = 0, count: int | None = None
    ) -> Struct:
        """The structure `Model` for one micro time step.

        Args:
            program: what needs the tables.
            step: micro time step.
            kept: where they are put, over those of another step if there are any.
            first: first patch whose statics are put there.
            count: number of such patches; all when absent.
        """
        arrays = self._arrays(program, step)
        last = None if count is None else first + count
        parts = [a[first:last] if k in (0, 2) and len(a) > 1 else a for k, a in enumerate(arrays)]
        low, seed = 0xFFFFFFFF, self.model.seed
        struct = filled(
            MODEL,
            n_member_patch=len(self.model.origin),
            first=first,
            key0=seed & low,
            key1=seed >> 32 & low,
            first_patch=self.model.first_patch,
        )
        for name, place, array in zip("sqer", kept.renewed(parts), arrays, strict=True):
            shared = name in "se" and len(array) == 1
            entries = 0 if shared else array.shape[1]
            before = first * entries * array.itemsize if name in "se" else 0
            struct[name], struct[f"{name}_step"] = place - before if place else 0, entries
        return struct

    def memory(self, program: Program, held: dict[str, int], shared: int = 0) -> MemoryPlan:
        """What the patches need beside what a pass holds.

        Args:
            program: for its statics.
            held: bytes per patch that the pass holds, by what they are.
            shared: bytes that do not grow with the number of patches.
        """
        s, q, e, r = self._arrays(program, 1.0)
        statics = sum(a[0].nbytes for a in (s, e) if len(a) > 1)
        fixed = sum(a.nbytes for a in (q, r)) + sum(a.nbytes for a in (s, e) if len(a) == 1)
        free = self.device.limits.memory
        return MemoryPlan({**held, "statics": statics}, fixed + shared, self.model.n_patches, free)

    def _arrays(self, program: Program, step: float) -> tuple:
        if self._latest is None or self._latest[:2] != (program, step):
            arrays = rule_tables(self.model, program.point, program.exact, step, self.dtype)
            self._latest = program, step, arrays
        return self._latest[2]

    def fetch(self, array: DeviceArray, what: str) -> NDArray:
        """A copy of an array on the host, for which the host waits.

        Args:
            array: on the device.
            what: what it waits for, in a word.
        """
        self.waits[what] += 1
        return self.device.get(array)

    def launch(
        self, module: Module, name: str, blocks: int, threads: int, arguments: Sequence,
        shared: int = 0,
    ) -> None:  # fmt: skip
        """Start a kernel; None stands for a null pointer."""
        self.launched[name] += 1
        given = [np.uint64(0) if a is None else a for a in arguments]
        module.launch(name, blocks, threads, given, shared)

    def act(self, name: str, work: int, arguments: Sequence, shared: int = 0) -> None:
        """Start a kernel that does not depend on the rule.

        Args:
            name: its name.
            work: how many blocks it could keep busy.
            arguments: what it takes.
            shared: bytes of dynamic shared memory.
        """
        module = acts(self.device, self.dtype.name)
        self.launch(module, name, self.blocks(work), ACT_THREADS, arguments, shared)

    def over_patches(self, passes: Compiled, name: str, n: int, arguments: Sequence) -> None:
        """Start a kernel in which every team does some of `n` patches."""
        teams = passes.teams
        blocks = self.blocks(-(-n * teams.team // teams.threads))
        self.launch(passes.module, name, blocks, teams.threads, arguments)

    def blocks(self, wanted: int) -> int:
        """Blocks to start: no more than keep the device busy."""
        return max(1, min(wanted, _BLOCKS * self.device.limits.multiprocessors))
