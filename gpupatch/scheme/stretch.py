"""Chains pulled at their ends: extension against force."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Backend, ParticleKernels, Plain
from gpupatch.burst import Burst
from gpupatch.contract import checked
from gpupatch.errors import SchemeError, suggestion
from gpupatch.particles.interaction import Field, chain
from gpupatch.particles.lattice_gas import LatticeGas
from gpupatch.particles.library import pull
from gpupatch.particles.model import ParticleModel
from gpupatch.particles.potential import Potential
from gpupatch.particles.prepare import left_alone
from gpupatch.particles.state import ParticleState, make_state
from gpupatch.scheme.boxes import SAMPLE, BoxRun, BoxScheme, check_held, check_settling
from gpupatch.scheme.particle_problem import ParticleProblem
from gpupatch.scheme.particles import ParticleScheme
from gpupatch.scheme.problem import Initial, call, one_per_member
from gpupatch.steps import count_steps

STATE = ("force", "temperature")
"""What every chain is held at."""

QUANTITIES = {
    "extension": lambda end, bonds: end[..., 0] / bonds,
    "square_end": lambda end, bonds: (end**2).sum(axis=-1) / bonds**2,
}
"""What can be measured of a chain, from the vector between its ends.

==========  ==============================================================================
extension   along the force, over the number of bonds: x/L where bonds have the length 1
square_end  R^2 over the squared number of bonds: R^2/L^2 where bonds have the length 1
==========  ==============================================================================
"""


@checked(SchemeError)
@dataclass(frozen=True, eq=False)
class StretchProblem(ParticleProblem):
    """Chains that stand for the state of a polymer at places of a grid, each in a patch of its own.

    The grid belongs to the macroscopic scale; what its coordinates mean is free, a position or a
    force.

    Attributes:
        controls: `force` and `temperature`; `members` may sweep them.
        names: coarse fields, from `QUANTITIES`.

    Raises:
        SchemeError: if names, controls or the model do not fit.
    """

    names: tuple[str, ...] = ("extension",)

    def __post_init__(self):
        model, known = self.model, (*STATE,)
        if isinstance(model, LatticeGas):
            raise SchemeError("what is pulled is a chain: a lattice gas has no bonds.")
        self.check_numbers()
        bonds = model.bonds
        if (
            bonds is None
            or not len(bonds.pairs)
            or not np.array_equal(bonds.pairs, chain(len(bonds.pairs) + 1))
        ):
            raise SchemeError("what is pulled is a chain: give bonds between successive particles.")
        if set(model.boundary) != {"open"}:
            raise SchemeError("chains are pulled in open space: all boundaries must be `open`.")
        if model.field is not None:
            raise SchemeError("chains are pulled by `force`: leave out the external field.")
        if model.dynamics.controls != ("temperature",):
            raise SchemeError(
                f"`{model.dynamics.kind}` dynamics imposes no temperature. Use `langevin` or "
                "`brownian`."
            )
        for name in sorted({*self.controls, *self.members} - set(known)):
            raise SchemeError(f"chains have no control `{name}`. {suggestion(name, known)}")
        for name in self.names:
            if name not in QUANTITIES:
                raise SchemeError(
                    f"nothing measures `{name}` of a chain. {suggestion(name, QUANTITIES)}"
                )

    @property
    def particles(self) -> int:
        """Particles of a chain."""
        assert self.model.bonds is not None
        return len(self.model.bonds.pairs) + 1


@checked(SchemeError)
class StretchScheme(BoxScheme):
    """Chains in a bath, each pulled by a constant force, measured for as long as they run.

        -force x_first + force x_last  is what the pull adds to minus the energy

    Coarse values are averages over time and over all chains of the same state, with standard errors
    from blocks and chains. The ends are particles of types of their own, on which an external field
    acts. A run takes micro-steps throughout, without leaps.

    Args:
        problem: the chain, states, what is measured.
        backend: where the chains live.
        dt: micro time step.
        chains: chains of the same state that are averaged.
        settle: model time that a chain is given to coil up before anything is measured.

    Raises:
        SchemeError: if a number is out of range.
    """

    kind = "stretch"
    functional = "average over the chains and over the time since they settled"

    def __init__(
        self,
        problem: StretchProblem,
        backend: Backend,
        dt: float,
        chains: int = 1,
        settle: float = 10.0,
    ):
        ParticleScheme.__init__(self, problem, backend, Burst(SAMPLE * dt, dt=dt, replicas=chains))
        self.chain, self.dt, self.settle = problem, dt, settle
        check_settling(settle)
        self._observables = ("extension",)

    @property
    def batches(self) -> list[ParticleKernels]:
        """The passes over all chains."""
        return [self.kernels]

    def initial(self, initial: Initial, t: float = 0.0) -> BoxRun:
        """Chains that have settled under their forces.

        Args:
            initial: `force` and `temperature`, numbers or functions of position at the centres of
                cells, for all members or one mapping per member; what is absent is taken from the
                controls.
            t: time of the state; it does not enter.

        Raises:
            SchemeError: if one of them has no value.
        """
        imposed = {name: self._imposed(name, initial) for name in STATE}
        which, n_forces = self._pull(imposed["force"])
        state = self._straight(which, n_forces, imposed["temperature"])
        steps = count_steps(self.settle, self.dt)
        state = left_alone(self.kernels, state, steps, self.dt)
        self.count(steps, self.dt, int(state.counts.sum()))
        seen = self.kernels.measure(self.kernels.pack(state), self._observables)[None]
        return BoxRun(state, imposed, self._quantities(state, imposed, seen), (), steps)

    def restore(self, arrays: Mapping[str, Plain], slope: bool = False) -> BoxRun:
        """The chains and samples that `dump` showed."""
        self._pull(arrays["imposed"]["force"])
        return super().restore(arrays)

    def _pull(self, force: NDArray[np.float64]) -> tuple[NDArray[np.int64], int]:
        """Prepare the passes for these forces; which of how many pulls each chain."""
        forces, which = np.unique(force, return_inverse=True)
        self._model = pulled(self.chain.micro_model(), forces)
        self.kernels = self.backend.load_particles(self._model, self.chain.dtype)
        return which, len(forces)

    def describe(self) -> list[str]:
        """What will be run, in lines."""
        chains = self._copies * self.n_members * int(np.prod(self.grid.patches))
        return [f"{chains} chains of {self.chain.particles} particles"]

    def work(self, reached: float) -> dict[str, int]:
        """Entries of a report: there is no larger domain that could be compared with."""
        return {"particle_steps": self.particle_steps, "chains_per_state": self._copies}

    def _imposed(self, name: str, initial: Initial) -> NDArray[np.float64]:
        """A control of every patch, [patch]."""
        x = np.meshgrid(*self.grid.centres, indexing="ij")
        rows = []
        given = one_per_member(initial, self.n_members)
        check_held(given, STATE)
        for one, values in zip(given, self.member_values, strict=True):
            known = {**self.chain.controls, **values, **one}
            if name not in known:
                raise SchemeError(f"chains need a value for `{name}`. Give it in `controls`.")
            rows.append(np.broadcast_to(call(known[name], x, None), self.grid.patches).ravel())
        return np.tile(np.concatenate(rows), self._copies)

    def _straight(self, which, n_forces: int, temperature) -> ParticleState:
        """Straight chains along the force, their bonds as long as they like to be."""
        model, n = self._model, self.chain.particles
        assert model.bonds is not None
        length = likely_length(
            model.bonds.potential, dict(model.bonds.parameters), float(np.mean(temperature))
        )
        positions = np.zeros((len(which), model.ndim, n))
        positions[:, 0] = (np.arange(n) - (n - 1) / 2) * length
        types = np.zeros((len(which), n), dtype=np.int32)
        types[:, 0], types[:, -1] = 1 + which, 1 + n_forces + which
        return make_state(
            positions, np.full(model.ndim, n * length), types=types,
            controls={"temperature": temperature}, names=model.dynamics.controls,
        )  # fmt: skip

    def _quantities(self, boxes, imposed, seen) -> NDArray[np.float64]:
        bonds = self.chain.particles - 1
        return np.stack([QUANTITIES[name](seen, bonds) for name in self.names], axis=-1)


def pulled(model: ParticleModel, forces: NDArray[np.float64]) -> ParticleModel:
    """A chain whose ends may be pulled along x.

    Args:
        model: a chain of one type of particles.
        forces: f, [force].

    Returns:
        The model, in which particles of type 1 + k are pulled by -f_k and those of type
        1 + len(forces) + k by f_k.
    """
    field = Field(pull, {"force": np.concatenate([[0.0], -forces, forces])})
    return dataclasses.replace(model, field=field)


def likely_length(potential: Potential, parameters: dict, temperature: float) -> float:
    """The most likely length of a free bond in space, where r^2 exp(-V/T) is largest.

    Args:
        potential: V(r).
        parameters: its numbers.
        temperature: T.

    Returns:
        r, same units as positions.
    """
    r = np.geomspace(1e-3, 1e3, 20001)
    with np.errstate(all="ignore"):
        weight = 2 * np.log(r) - np.asarray(potential(r, **parameters)) / max(temperature, 1e-12)
    return float(r[np.argmax(np.where(np.isfinite(weight), weight, -np.inf))])
