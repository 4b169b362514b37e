"""Micro-steps of coupled patches: two launches per coupling, a hundred steps per recording."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import numpy as np

from gpupatch.backends._cuda_batch import Batch
from gpupatch.backends._cuda_structs import MODEL, MOMENT, Tables, filled
from gpupatch.backends._device import DeviceArray
from gpupatch.backends._tables import boundary_table
from gpupatch.coupling import Coupling

RECORDED = 100
"""Steps that are replayed between two calls of the host; an even number."""

_WARM = 2
"""Steps before a recording, so that nothing is loaded or allocated while it is made."""

_TABLE_ENTRIES = 1 << 18
"""Boundary values that are computed ahead of the steps that need them."""


class CoupledSteps:
    """The rows of all patches in device memory, and the launches that advance them.

    Nothing in a launch changes from one step to the next: times, step numbers and the boundary
    values at hand are read from a clock in device memory. So a hundred steps are recorded once and
    replayed, whatever the time, the step length or the numbers of the steps.

    Args:
        batch: the patches.
        coupling: the interpolation.
        stepper: name of the micro-stepper.
    """

    def __init__(self, batch: Batch, coupling: Coupling, stepper: str):
        self.batch, self.coupling = batch, coupling
        self.passes = batch.passes(stepper)
        self.program = self.passes.program
        batch.chosen[self.passes.name] = "coupled steps, two launches per coupling"
        xp, n = batch.device.xp, batch.model.n_patches
        self.rows: DeviceArray = xp.empty((n, self.program.row), dtype=batch.dtype)
        self.noisy = bool(batch.model.rule.noise)
        self.fields = xp.empty((n, batch.size)) if self.noisy else None
        self._moment: DeviceArray = xp.zeros(MOMENT.itemsize, dtype=np.uint8)
        self._walls = Walls(batch, coupling, len(self.program.steps.times))
        self._kept = Tables(batch.device)
        self._model, self._dt = filled(MODEL), float("nan")
        self._recorded: tuple[bytes, Callable[[], None]] | None = None
        self._turn = 0

    def advance(self, u: DeviceArray, t: float, dt: float, n_steps: int, numbered: int) -> None:
        """Take steps in place.

        Args:
            u: state.
            t: time at the beginning.
            dt: micro time step.
            n_steps: number of steps.
            numbered: number of the first step in the run, for random numbers.
        """
        batch, n = self.batch, np.int64(len(u))
        base, times = batch.base(u), self.program.steps.times
        if dt != self._dt:
            self._model, self._dt = batch.fill(self.program, dt, self._kept), dt
        self._turn = 0
        for first, count in self._stretches(n_steps):
            last = first + count
            wanted = [t + (k + c) * dt for k in range(first, last) for c in times]
            self._walls.write(wanted, t + last * dt)
            self._set(t=t, dt=dt, step=first, first=first, numbered=numbered)
            if first == 0:
                arguments = (u, base, self.rows, n, self._model, self._clock)
                batch.over_patches(self.passes, "begin_all", len(u), arguments)
            self._run(count, base)
        self._couple(base, self._turn, 0, 0)
        batch.over_patches(self.passes, "end_all", len(u), (u, self.rows, n, np.int32(self._turn)))

    def _stretches(self, n_steps: int) -> Iterator[tuple[int, int]]:
        """First step and number of steps for which boundary values are at hand."""
        most = max(n_steps, 1)
        if self.coupling.time_dependent:
            most = max(2, _TABLE_ENTRIES // self._walls.per_step // 2 * 2)
        for first in range(0, max(n_steps, 1), most):
            yield first, min(most, n_steps - first)

    def _run(self, count: int, base) -> None:
        if self._turn == 0 and count >= RECORDED + _WARM:
            replay = self._recorded_before(base)
            if replay is None:
                self._take(_WARM, base)
                replay, count = self._record(base), count - _WARM
            for _ in range(count // RECORDED):
                replay()
            count %= RECORDED
        if count:
            self._take(count, base)

    def _recorded_before(self, base) -> Callable[[], None] | None:
        """The recording, if it reads from where everything is now."""
        if self._recorded is not None and self._recorded[0] == self._places(base):
            return self._recorded[1]
        return None

    def _record(self, base) -> Callable[[], None]:
        """Record a hundred steps."""
        replay = self.batch.device.record(functools.partial(self._take, RECORDED, base))
        self._recorded = self._places(base), replay
        return replay

    def _places(self, base) -> bytes:
        """Everything that launches are given, which a recording keeps."""
        address = np.uint64(self.batch.device.address(base))
        return self._model.tobytes() + self._walls.struct.tobytes() + address.tobytes()

    def _take(self, count: int, base) -> None:
        """Launch steps one by one, and move the clock."""
        for ahead in range(count):
            self._step(ahead, base)
        arguments = (self._clock, np.int32(count))
        self.batch.launch(self.passes.module, "tick", 1, 1, arguments)

    def _step(self, ahead: int, base) -> None:
        batch, steps = self.batch, self.program.steps
        n, patches = np.int64(len(self.rows)), len(self.rows)
        for k, one in enumerate(steps.turns[self._turn]):
            if one.slot is not None:
                self._couple(base, one.slot, ahead, k)
            number = self._turn * len(steps.times) + k
            arguments = (
                self.rows, base, n, self._model, self._clock, np.int32(number), np.int32(ahead),
                np.float64(one.time),
            )  # fmt: skip
            batch.over_patches(self.passes, "pass_all", patches, arguments)
        old, self._turn = self._turn, (self._turn + 1) % len(steps.turns)
        if self.noisy:
            arguments = (
                self.rows, base, self.fields, n, self._model, batch.edge, self._clock,
                np.int32(old), np.int32(self._turn), np.int32(ahead),
            )  # fmt: skip
            batch.over_patches(self.passes, "kick_all", patches, arguments)

    def _couple(self, base, slot: int, ahead: int, time: int) -> None:
        struct = self._walls.struct.copy()
        struct["row"], struct["at"] = self.program.row, slot * self.batch.size
        struct["ahead"], struct["time"] = ahead, time * self._walls.varying
        state = base if self.batch.single else None
        work = -(-int(struct["n_patch"]) * int(struct["n_edge"]) // 128)
        self.batch.act("couple", work, (self.rows, state, self._clock, struct))

    def _set(self, **moment) -> None:
        values = np.frombuffer(filled(MOMENT, **moment).tobytes(), dtype=np.uint8)
        self._moment[...] = self.batch.device.put(values)

    @property
    def _clock(self) -> np.uint64:
        return np.uint64(self.batch.device.address(self._moment))


class Walls:
    """Right-hand sides of the boundary conditions in device memory, at places that stay.

    Args:
        batch: the patches.
        coupling: the interpolation.
        n_time: times per step.

    Attributes:
        struct: the structure `Coupling` that points to them.
        varying: whether they change in time.
        per_step: values per step.
    """

    def __init__(self, batch: Batch, coupling: Coupling, n_time: int = 1):
        self.batch, self.coupling = batch, coupling
        self.varying = coupling.time_dependent
        self.struct = batch.fixed.coupling(coupling, batch.model.n_members)
        self.struct["n_time"] = n_time * self.varying
        grid, sizes = coupling.grid, []
        for axis in range(grid.ndim):
            others = [a for a in range(grid.ndim) if a != axis]
            lines = np.prod([grid.patches[a] * grid.n_sites[a] for a in others])
            sizes.append(0 if grid.periodic(axis) else 2 * len(coupling.fields) * int(lines))
        self._sizes = sizes
        self.per_step = max(1, n_time * sum(sizes))
        self._buffers: list[DeviceArray | None] = [None] * grid.ndim

    def write(
        self, times: list[float], last: float, rate_over: float | None = None, scale: float = 1.0
    ) -> None:
        """Put boundary values on the device.

        Args:
            times: the times at which they are wanted, if they change.
            last: time after all of them.
            rate_over: if given, differences over this time are written, divided by it.
            scale: factor.
        """
        if not any(self._sizes):
            return
        wanted = [*times, last] if self.varying else [last]
        device = self.batch.device
        for axis, table in enumerate(boundary_table(self.coupling, wanted, rate_over)):
            if table.size == 0:
                continue
            values, buffer = device.put(table * scale), self._buffers[axis]
            if buffer is None or len(buffer) < len(values):
                buffer = self._buffers[axis] = values
            else:
                buffer[: len(values)] = values
            one = self.struct["axis"][axis]
            one["given"] = device.address(buffer)
            one["given_step"] = self._sizes[axis] * self.varying
