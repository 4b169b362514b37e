"""One patch of a burst, run again by itself: the same lift, steps and random numbers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Kernels, Macro, Micro, ParticleKernels
from gpupatch.burst import BurstPlan
from gpupatch.errors import InputError
from gpupatch.grid import PatchGrid
from gpupatch.lifting import Lifting, reconstruct
from gpupatch.micro.model import MicroModel
from gpupatch.particles.observe import ParticlePlan
from gpupatch.particles.state import ParticleState
from gpupatch.scheme.quarantine import FailedPatch

Values = dict[str, NDArray[np.floating]]


class Alone(Protocol):
    """One patch by itself."""

    @property
    def time(self) -> float:
        """Model time at which the burst begins."""
        ...

    @property
    def dt(self) -> float:
        """Micro time step."""
        ...

    @property
    def n_steps(self) -> int:
        """Micro-steps of the burst."""
        ...

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes of the values, the same for all of them."""
        ...

    @property
    def coordinates(self) -> dict[str, NDArray[np.float64]]:
        """Positions along these axes, by name."""
        ...

    @property
    def told(self) -> str:
        """What a replay of this kind can show."""
        ...

    def after(self, steps: int) -> Values:
        """Values by name after some of the micro-steps, from the lift on."""
        ...

    def fault(self, values: Values) -> tuple[str, tuple[int, ...]] | None:
        """What is wrong with values: a name and where; None if they are sound."""
        ...


@dataclass(frozen=True, eq=False)
class SitesAlone:
    """One patch of sites.

    Attributes:
        kernels: the passes over a batch of this patch.
        lifting: the reconstruction of this patch.
        extended: what it is lifted from, [1, field, *patch axes + 2 on non-periodic ones]; None if
            the burst began with `micro`.
        rate: rate of change of `extended`, for moving edges.
        micro: values at the sites when the burst began, [1, field, *sites]; lifted when absent.
        plan: the burst.
    """

    kernels: Kernels
    fields: tuple[str, ...]
    coordinates: dict[str, NDArray[np.float64]]
    lifting: Lifting | None
    extended: Macro | None
    rate: Macro | None
    micro: Micro | None
    plan: BurstPlan
    time: float
    told: str = "the patch is lifted and run exactly as it was among the others"

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes of space."""
        return tuple(self.coordinates)

    @property
    def dt(self) -> float:
        """Micro time step."""
        return self.plan.dt

    @property
    def n_steps(self) -> int:
        """Micro-steps of the burst."""
        return self.plan.n_steps

    def after(self, steps: int) -> Values:
        """Fields at all sites after some micro-steps, each [*sites]."""
        kernels, moving = self.kernels, None
        if self.micro is not None:
            u = kernels.pack(self.micro)
        else:
            assert self.lifting is not None
            assert self.extended is not None
            u = kernels.lift(self.lifting, kernels.upload(self.extended))
        if self.rate is not None and self.lifting is not None:
            moving = reconstruct(self.lifting, self.rate)
        if steps:
            plan = replace(self.plan, n_steps=steps, weights=np.zeros((steps + 1, 1)))
            kernels.burst(u, plan, self.time, moving)
        return dict(zip(self.fields, kernels.unpack(u)[0], strict=True))

    def fault(self, values: Values) -> tuple[str, tuple[int, ...]] | None:
        """The first field and site whose value is not finite."""
        return _not_finite(values)


@dataclass(frozen=True, eq=False)
class ParticlesAlone:
    """One patch of particles.

    Attributes:
        kernels: the passes over a batch of this patch.
        state: the patch when the burst began.
        plan: the burst, whose observables are not read.
        cuts: steps at which it begins, is interrupted for reservoirs, and ends.
        refill: brings reservoirs back to their density, given a state and the number of the step.
        half: distance of closed ends from the centre, beyond which no particle can be, per axis.
    """

    kernels: ParticleKernels
    state: ParticleState
    plan: ParticlePlan
    time: float
    cuts: Sequence[int]
    refill: Callable[[ParticleState, int], ParticleState] | None = None
    half: tuple[float, ...] = ()
    told: str = "the patch is filled and run exactly as it was among the others"

    @property
    def axes(self) -> tuple[str, ...]:
        """Axes of positions and velocities."""
        return ("axis", "particle")

    @property
    def coordinates(self) -> dict[str, NDArray[np.float64]]:
        """Nothing: particles are numbered."""
        return {}

    @property
    def dt(self) -> float:
        """Micro time step."""
        return self.plan.dt

    @property
    def n_steps(self) -> int:
        """Micro-steps of the burst."""
        return self.plan.n_steps

    def after(self, steps: int) -> Values:
        """Positions and velocities after some micro-steps, each [axis, particle]."""
        handle, ends = self.kernels.pack(self.state), [c for c in self.cuts if c < steps]
        for begin, end in itertools.pairwise([*ends, steps]):
            if begin > 0 and self.refill is not None:
                handle = self.kernels.pack(self.refill(self.kernels.unpack(handle), begin))
            one = replace(self.plan, n_steps=end - begin, first=self.plan.first + begin)
            self.kernels.burst(handle, one)
        state = self.kernels.unpack(handle)
        n = int(state.counts[0])
        return {"positions": state.positions[0, :, :n], "velocities": state.velocities[0, :, :n]}

    def fault(self, values: Values) -> tuple[str, tuple[int, ...]] | None:
        """The first particle that is nowhere, or beyond a closed end."""
        bad = _not_finite(values)
        if bad is not None or not self.half:
            return bad
        beyond = np.abs(values["positions"]) > np.array(self.half)[:, None]
        if not beyond.any():
            return None
        axis, particle = np.argwhere(beyond)[0].tolist()
        return "positions", (axis, particle)


def first_fault(alone: Alone) -> int | None:
    """The number of micro-steps after which a patch is at fault; None if it stays sound.

    What has stopped being finite stays so, hence the step is found by bisection.
    """
    if alone.fault(alone.after(0)) is not None:
        return 0
    if alone.fault(alone.after(alone.n_steps)) is None:
        return None
    sound, broken = 0, alone.n_steps
    while broken - sound > 1:
        middle = (sound + broken) // 2
        if alone.fault(alone.after(middle)) is None:
            sound = middle
        else:
            broken = middle
    return broken


def sites_alone(
    load: Callable[[MicroModel], Kernels],
    model: MicroModel,
    lifting: Lifting,
    failed: FailedPatch,
    plan: BurstPlan,
) -> SitesAlone:
    """One patch of a batch that bursts lift from coarse values.

    Args:
        load: puts a batch on the backend.
        model: the whole batch.
        lifting: the reconstruction of the whole batch.
        failed: the patch, and what its burst began with.
        plan: the burst.

    Raises:
        InputError: if the patch does not fit the batch.
    """
    begun = failed.begun
    shape = tuple(n + 2 * (one.extension is not None) for n, one in zip(
        lifting.grid.patches, lifting.axes, strict=True
    ))  # fmt: skip
    wanted = (model.n_members, len(model.rule.fields), *shape)
    extended, rate = shaped(begun.arrays, "extended", wanted), None
    if "rate" in begun.arrays:
        rate = shaped(begun.arrays, "rate", wanted)[failed.member][None]
    micro = None
    if "micro" in begun.states:
        micro = shaped(begun.states, "micro", (1, *model.shape[1:]))
    one = lifting.alone(failed.patch)
    return SitesAlone(
        kernels=load(model.alone(failed.row)),
        fields=model.rule.fields,
        coordinates=site_places(lifting.grid, failed.patch, lifting.centres),
        lifting=one,
        extended=np.ascontiguousarray(extended[failed.member][None]),
        rate=rate,
        micro=micro,
        plan=plan,
        time=begun.time,
    )


def one_patch(arrays: Mapping[str, Any]) -> ParticleState:
    """A patch of particles from the arrays of its state.

    Raises:
        InputError: if they do not make one.
    """
    wanted = {one.name for one in fields(ParticleState)}
    if arrays.keys() != wanted:
        missing = ", ".join(sorted(wanted ^ arrays.keys()))
        raise InputError(f"the failed patch has no complete state of particles ({missing}).")
    return ParticleState(**arrays)


def site_places(
    grid: PatchGrid, patch: Sequence[int], centres: Sequence[NDArray[np.float64]] | None = None
) -> dict[str, NDArray[np.float64]]:
    """Positions of the sites of a patch, by name of the axis.

    Args:
        grid: for the offsets of the sites.
        patch: index of the patch along each axis.
        centres: positions of the patches per axis; those of the grid when absent.
    """
    places = zip("xyz", centres or grid.centres, patch, grid.site_offsets, strict=False)
    return {name: X[i] + offsets for name, X, i, offsets in places}


def shaped(arrays: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """One of several arrays, of the shape that it must have.

    Raises:
        InputError: if there is none, or it has another shape.
    """
    if name not in arrays or np.shape(arrays[name]) != shape:
        found = np.shape(arrays[name]) if name in arrays else "nothing"
        raise InputError(f"the failed patch has `{name}` of shape {found}; its case needs {shape}.")
    return np.asarray(arrays[name], dtype=np.float64)


def _not_finite(values: Values) -> tuple[str, tuple[int, ...]] | None:
    for name, array in values.items():
        bad = ~np.isfinite(array)
        if bad.any():
            return name, tuple(np.argwhere(bad)[0].tolist())
    return None
