"""What the three schemes have in common: counting, checking, comparing."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from gpupatch.arrays import (
    Backend,
    Handle,
    Kernels,
    Macro,
    Micro,
    Plain,
    linear_combination,
)
from gpupatch.burst import TABLEAUX, VERLET, Burst, canonical_stepper
from gpupatch.errors import NonFiniteError, SchemeError
from gpupatch.grid import PatchGrid
from gpupatch.micro import analysis
from gpupatch.micro.model import MicroModel
from gpupatch.projection import Projection
from gpupatch.scheme.memory import Remembering
from gpupatch.scheme.problem import Function, Initial, Problem
from gpupatch.scheme.quarantine import Quarantine
from gpupatch.scheme.systems import MeasuredSystem
from gpupatch.scheme.variant import Variable

HEALED = 0.046
"""Largest burst length in units of buffer^2 / D for which frozen edges spoil less than 1e-3."""
SPOILT = 0.359
"""The same for 1e-1: beyond it a burst measures its edges."""


class PatchScheme(Variable, Remembering):
    """The parts shared by `CoupledScheme`, `BurstScheme` and `FluxScheme`.

    Attributes:
        problem: rule, grid, parameters, medium.
        micro: name of the micro-stepper.
        dt: micro time step given by the user, or None.
        micro_steps: micro-steps taken so far by one patch.
    """

    kind: str
    functional: str
    remembered = ("micro_steps",)

    @property
    def lookahead(self) -> int:
        """Leaps after which it is worth waiting for the device, to see whether all is finite."""
        return 1

    def __init__(self, problem: Problem, backend: Backend, micro: str, dt: float | None):
        self.problem, self.backend = problem, backend
        self.micro = canonical_stepper(micro)
        self.dt = dt
        self.micro_steps = 0
        self._simulated = Fraction(0)
        self._fixed_dt: dict[MicroModel, float] = {}
        self._check_stepper()

    @property
    def names(self) -> tuple[str, ...]:
        """The coarse fields: those of the rule."""
        return self.problem.rule.fields

    @property
    def grid(self) -> PatchGrid:
        """The patch grid."""
        return self.problem.grid

    @property
    def dtype(self) -> str:
        """Precision inside the patches."""
        return self.problem.dtype

    @property
    def members(self) -> Mapping[str, Sequence[float]]:
        """Values of swept parameters, by name."""
        return self.problem.members

    @property
    def member_values(self) -> list[dict[str, float]]:
        """Swept values of every member, replicas last."""
        return self.problem.member_values

    @property
    def replicas(self) -> int:
        """Independent repetitions of every member."""
        return self.problem.replicas

    @property
    def backend_name(self) -> str:
        """Name of the backend that runs the patches."""
        return self.backend.name

    @property
    def n_members(self) -> int:
        """Members whose coarse values are reported."""
        return len(self.problem.member_values)

    @property
    def models(self) -> list[MicroModel]:
        """The batches of patches."""
        raise SchemeError(f"scheme {type(self).__name__} defines no batch of patches.")

    @property
    def batches(self) -> list[Kernels]:
        """The passes over each batch of patches."""
        raise SchemeError(f"scheme {type(self).__name__} defines no batch of patches.")

    def describe(self) -> list[str]:
        """What will be run, in lines: the patches, and what the backend does with them.

        Raises:
            BackendError: if the device cannot hold them.
        """
        grid, coupled = self.grid, self.kind == "coupled"
        memory = sum(
            8 * model.n_patches * model.coefficients[0].size + 64 * math.prod(model.shape)
            for model in self.models
        )
        patches = (
            f"{' x '.join(map(str, grid.patches))} patches of {' x '.join(map(str, grid.n_sites))} "
            f"sites, {self.n_members} member(s), {100 * grid.fraction():.3g} % of space, "
            f"about {memory / 1e6:.3g} MB"
        )
        return [
            patches,
            *(line for one in self.batches for line in one.describe(self.micro, coupled)),
        ]

    def facts(self) -> list[dict[str, Any]]:
        """What happened on the device, a record for each batch that has something to tell."""
        return [facts for one in self.batches if (facts := one.facts())]

    def uncertainty(self, state: Handle) -> Macro | None:
        """None: the coarse values of lattices carry no standard errors."""
        return None

    def result_facts(self) -> dict[str, Any]:
        """Attributes of the result: the rule, and where its patches are."""
        grid = self.grid
        return {
            "model": self.problem.rule.name,
            "patches": list(grid.patches),
            "sites": list(grid.n_sites),
            "spacing": list(grid.spacing),
            "half_width": list(grid.half_width),
        }

    def work(self, reached: float) -> dict[str, Any]:
        """Entries of a report about the sites that were updated, and those of the full lattice.

        Args:
            reached: model time that the run has covered.
        """
        grid, steps = self.grid, self.micro_steps
        lattice = math.prod(
            (hi - lo) / d for (lo, hi), d in zip(grid.domain, grid.spacing, strict=True)
        )
        stages = self.cell_updates / max(1.0, steps * self.cells)
        full = self.n_members * lattice * stages * reached * steps / self.micro_time if steps else 0
        return {
            "cell_updates": self.cell_updates,
            "cell_updates_of_the_full_lattice": float(full),
            "gain": full / max(self.cell_updates, 1),
            "fraction_of_space": grid.fraction(),
        }

    @property
    def cells(self) -> int:
        """Interior sites of all patches of all members."""
        return sum(
            model.n_patches * int(np.prod([s.stop - s.start for s in model.inside]))
            for model in self.models
        )

    @property
    def stages(self) -> int:
        """Rate evaluations per micro-step."""
        return 2 if self.micro == VERLET else len(TABLEAUX[self.micro].b)

    @property
    def cell_updates(self) -> int:
        """Evaluations of the rule at one site so far."""
        return self.micro_steps * self.stages * self.cells

    @property
    def updates(self) -> int:
        """Evaluations of the rule at one site so far."""
        return self.cell_updates

    @property
    def micro_time(self) -> float:
        """Model time simulated so far by one patch: a sum that blocks of steps do not round."""
        return float(self._simulated)

    def count(self, n_steps: int, dt: float) -> None:
        """Note that every patch has taken micro-steps."""
        self.micro_steps += n_steps
        self._simulated += n_steps * Fraction(dt)

    def memory(self) -> dict[str, Plain]:
        """A copy of counters and time steps chosen so far, in plain numbers and host arrays."""
        chosen = [self._fixed_dt.get(model) for model in self.models]
        simulated = list(self._simulated.as_integer_ratio())
        return super().memory() | {"chosen_dt": chosen, "simulated": simulated}

    def remember(self, memory: Mapping[str, Plain]) -> None:
        """Take back what `memory` told."""
        super().remember(memory)
        chosen = zip(self.models, memory["chosen_dt"], strict=True)
        self._fixed_dt = {model: dt for model, dt in chosen if dt is not None}
        self._simulated = Fraction(*memory["simulated"])

    def choose_dt(self, model: MicroModel, values: np.ndarray, t: float) -> float:
        """Micro time step: the one given, or the one chosen from the rule at these values.

        It is chosen once for a linear rule that does not change in time.

        Args:
            model: a batch of patches.
            values: values whose range is taken, [*, field, *].
            t: time.
        """
        if self.dt is not None:
            return self.dt
        if model in self._fixed_dt:
            return self._fixed_dt[model]
        stability = None if self.micro == VERLET else TABLEAUX[self.micro].stability
        extremes = self.problem.extremes(self.download(values))
        dt = analysis.stable_step(model, extremes, stability, self.micro, t)
        if self.problem.rule.linear and not self.problem.rule.time_dependent:
            self._fixed_dt[model] = dt
        return dt

    def download(self, values: Handle) -> np.ndarray:
        """Values on the host."""
        return values

    def nonfinite(self, values: np.ndarray, t: float, n_members: int) -> NonFiniteError:
        """Describe where a state [patch, field, *sites] stopped being finite.

        The patch is the one with the most values lost, edges not counted: they belong to others.
        """
        e = self.problem.grid.edges
        sites = tuple(slice(e, n - e) for n in values.shape[2:])
        bad = ~np.isfinite(values[(slice(None), slice(None), *sites)])
        lost = bad.reshape(*bad.shape[:2], -1).sum(axis=2)
        patch = int(np.argmax(lost.sum(axis=1)))
        name = self.names[int(np.argmax(lost[patch]))]
        member, flat = divmod(patch, len(values) // n_members)
        where = np.unravel_index(flat, self.problem.grid.patches)
        return NonFiniteError(t, member, tuple(int(i) for i in where), name)

    def _check_stepper(self) -> None:
        rule = self.problem.rule
        if self.micro == VERLET and not rule.second_order:
            raise SchemeError(
                f"velocity Verlet needs a second-order rule; `{rule.name}` is not one. "
                "Use `rk4`, or declare `second_order=(position, velocity)`."
            )
        if rule.noise and self.micro != "euler":
            raise SchemeError(f"rule `{rule.name}` has noise: use the micro-stepper `euler`.")


class MeasuringScheme(PatchScheme):
    """A scheme whose state is the coarse field itself and whose slopes are measured in bursts.

    Attributes:
        burst_spec: length, healing and estimator of the bursts.
        resident: whether coarse values stay where the patches are; else they stay on the host.
        guarded: whether the next burst is first compared with what its buffers allow.
        quarantine: what becomes of patches that fail in a burst.
    """

    burst_spec: Burst
    quarantine: Quarantine
    resident: bool = True
    guarded: bool = True

    @property
    def lookahead(self) -> int:
        """Leaps after which it is worth waiting for the device that holds the coarse values."""
        return self.batches[0].lookahead if self.resident else 1

    def system(self, projection: Projection, t: float, U: Macro) -> MeasuredSystem:
        """This scheme as the system that a projective method leaps over."""
        return MeasuredSystem(self)

    def slope(self, t: float, U: Macro) -> Macro:
        """dU/dt at the base time, from one burst."""
        raise SchemeError(f"scheme {type(self).__name__} measures no slope.")

    def burst(self, t: float, U: Macro) -> tuple[Macro, Macro]:
        """Coarse values after one burst, and the slope at its end."""
        raise SchemeError(f"scheme {type(self).__name__} runs no bursts.")

    def upload(self, U: Macro) -> Handle:
        """Coarse values where the scheme keeps them: beside the patches, if it is `resident`."""
        return self.batches[0].upload(U) if self.resident else U

    def download(self, values: Handle) -> np.ndarray:
        """Values on the host."""
        return self.batches[0].download(values)

    def combine(self, terms: Sequence[tuple[float, Handle]]) -> Handle:
        """The linear combination sum of weight * U, as new coarse values."""
        return self.batches[0].combine(terms) if self.resident else linear_combination(terms)

    def copy(self, U: Handle) -> Handle:
        """An independent copy of a state."""
        return U.copy()

    def dump(self, U: Handle, slope: bool = False) -> dict[str, Plain]:
        """A copy of coarse values, or of a slope, as host arrays by name."""
        return {"U": np.array(self.download(U))}

    def restore(self, arrays: Mapping[str, Plain], slope: bool = False) -> Handle:
        """The coarse values, or the slope, that `dump` showed."""
        return self.upload(np.array(arrays["U"]))

    def memory(self) -> dict[str, Plain]:
        """A copy of counters, and of what has been quarantined."""
        return super().memory() | {"quarantine": self.quarantine.dump()}

    def remember(self, memory: Mapping[str, Plain]) -> None:
        """Take back what `memory` told."""
        super().remember(memory)
        self.quarantine.restore(memory["quarantine"])

    def work(self, reached: float) -> dict[str, Any]:
        """Entries of a report about the sites that were updated and the patches that failed."""
        return super().work(reached) | self.quarantine.entries()

    def finite(self, U: Handle) -> bool:
        """Whether every coarse value is finite."""
        return bool(np.isfinite(U).all())

    def locate_failure(self, U: Handle, t: float) -> NonFiniteError:
        """Where the state stopped being finite."""
        self.quarantine.examine()
        values = self.download(U)
        flat = np.moveaxis(values, 1, -1).reshape(-1, values.shape[1])
        return self.nonfinite(flat, t, self.n_members)

    def coarse(self, U: Handle) -> Macro:
        """Coarse values, which are the state, on the host."""
        return self.download(U)

    def initial(self, initial: Initial, t: float = 0.0) -> Handle:
        """Coarse values of functions of position through the functional of the scheme.

        Args:
            initial: functions of position by field, for all members or one mapping per member.
            t: time of the state; it does not enter.

        Returns:
            [member, field, *patch axes].
        """
        members = self.problem.initial_of_members(initial)
        return self.upload(np.stack([self.averages(one, None)[m] for m, one in enumerate(members)]))

    def exact(self, functions: Mapping[str, Function], t: float) -> Macro:
        """Functions of position and time through the functional of the scheme."""
        return self.averages(functions, t)

    def averages(self, functions: Mapping[str, Function], t: float | None) -> Macro:
        """The functional that defines U, applied to functions of position (and time)."""
        raise SchemeError(f"scheme {type(self).__name__} defines no functional.")

    def fields(self, U: Macro, t: float) -> Micro:
        """Values at all sites when a burst begins, [patch, field, *sites].

        Raises:
            SchemeError: if the patches of the scheme do not belong to its coarse values.
        """
        raise SchemeError(
            f"the `{self.kind}` scheme has no patch at its coarse values, so there are no sites to "
            "keep. Leave out `output.patches`."
        )

    def completed(self, U: Handle) -> Handle:
        """Coarse values of all fields that a lift needs; the same unless some are hidden."""
        return U

    def protected_burst(self, t: float, U: Handle) -> tuple[float, float]:
        """Longest bursts for which the buffers protect the core from the edges.

        Diffusive: 0.046 buffer^2 / D keeps the error of frozen edges below 1e-3, and 0.359 below
        1e-1. Hyperbolic: buffer / speed keeps it at zero, beyond it there is no bound. What decays
        within a burst of the length in use is left out.

        Args:
            t: base time.
            U: coarse values, from whose range diffusivities and speeds are taken.

        Returns:
            Lengths of bursts of which the edges spoil less than 1e-3 and less than 1e-1.

        Source: closed form 4 i2erfc(buffer / sqrt(4 D length)) of a frozen-edge half-space, Carslaw
        and Jaeger (1959), section 2.5 [CarslawJaeger1959].
        """
        extremes = self.problem.extremes(self.download(self.completed(self.upload(U))))
        buffer = min(self.problem.grid.buffer_width)
        longest = []
        for model in self.models:
            axes = tuple(a for a in range(model.coefficients.ndim) if a != 1)
            averaged = _with_coefficients(model, model.coefficients.mean(axis=axes))
            D = analysis.diffusivity(averaged, extremes, t, self.burst_spec.length)
            if D > 0:
                longest.append((HEALED * buffer**2 / D, SPOILT * buffer**2 / D))
                continue
            speed = analysis.signal_speed(averaged, extremes, t)
            longest.append((buffer / speed if speed else math.inf,) * 2)
        return min(longest)

    def check_healing(self, t: float, U: Handle) -> None:
        """Compare the burst with those that the buffers protect.

        Args:
            t: base time.
            U: coarse values.

        Raises:
            SchemeError: if the burst would measure its own edges.
        """
        length, buffer = self.burst_spec.length, min(self.problem.grid.buffer_width)
        sound, longest = self.protected_burst(t, U)
        told = (
            f"a burst of length {length:.3g} with buffers {buffer:.3g} wide: disturbances from the "
            f"edges reach the core"
        )
        if length > longest and self.kind == "burst":
            raise SchemeError(
                f"{told}. Use a wider `buffer`, or a burst shorter than {longest:.3g}."
            )
        if length > sound:
            warnings.warn(
                f"{told} with more than 1e-3 of the slope. For less, shorten the burst below "
                f"{sound:.3g} or widen the buffers.",
                stacklevel=2,
            )


def _with_coefficients(model: MicroModel, mean: np.ndarray) -> MicroModel:
    import dataclasses

    shape = (1, len(mean), *(1,) * len(model.sites))
    return dataclasses.replace(model, coefficients=mean.reshape(shape))
