"""The act "lift" for periodic boxes of particles: crystals, velocities, rescaled templates.

A box is lifted to a density, a mean velocity and a temperature. Positions come from a crystal at
first, and from then on from a template: a configuration that has been run already and is stretched
to the new density, so that its structure has little left to heal. Velocities are drawn, or kept,
and then shifted and scaled so that momentum and temperature are met to round-off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpupatch.arrays import ParticleKernels
from gpupatch.errors import InputError, suggestion
from gpupatch.memory import numbers, require
from gpupatch.particles.model import ParticleModel
from gpupatch.particles.noise import LIFTING, normals
from gpupatch.particles.observe import ParticlePlan
from gpupatch.particles.state import PARTICLE, ParticleState, make_state


@dataclass(frozen=True)
class Lattice:
    """A crystal as a cell that is repeated.

    Attributes:
        sides: edges of the cell, in units of its first edge.
        basis: sites of the cell, in units of its edges.
    """

    sides: tuple[float, ...]
    basis: tuple[tuple[float, ...], ...]


LATTICES = {
    "chain": Lattice((1.0,), ((0.0,),)),
    "square": Lattice((1.0, 1.0), ((0.0, 0.0),)),
    "hexagonal": Lattice((1.0, 3**0.5), ((0.0, 0.0), (0.5, 0.5))),
    "cubic": Lattice((1.0, 1.0, 1.0), ((0.0, 0.0, 0.0),)),
    "fcc": Lattice(
        (1.0, 1.0, 1.0), ((0.0, 0.0, 0.0), (0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0))
    ),
}
DENSEST = {1: "chain", 2: "hexagonal", 3: "fcc"}
"""The crystal that a box is begun from, by dimension."""


def crystal(
    n: int, density: float, lattice: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Particles on the sites of a crystal that fills a periodic box.

    The box is as nearly a cube as whole cells allow. Where the number of particles does not fill
    the cells, sites are left empty at equal intervals.

    Args:
        n: particles.
        density: particles per volume (length, area).
        lattice: "chain", "square", "hexagonal", "cubic" or "fcc".

    Returns:
        Positions [axis, particle], from 0 on, and the edges of the box [axis]; their product is
        n/density.

    Raises:
        InputError: for an unknown crystal, or numbers that are not positive.
    """
    if lattice not in LATTICES:
        raise InputError(f"there is no crystal `{lattice}`. {suggestion(lattice, LATTICES)}")
    if n < 1 or not 0 < density < np.inf:
        raise InputError(f"{n} particles at density {density}: both must be positive.")
    cell = LATTICES[lattice]
    sides, basis = np.array(cell.sides), np.array(cell.basis)
    counts = _cells(n, sides, len(basis))
    index = np.stack(np.meshgrid(*(np.arange(m) for m in counts), indexing="ij"), axis=-1)
    sites = (index.reshape(-1, 1, len(sides)) + basis).reshape(-1, len(sides))
    taken = sites[(np.arange(n) * len(sites)) // n]
    edge = (n / density / np.prod(counts * sides)) ** (1 / len(sides))
    return (taken * sides * edge).T.copy(), counts * sides * edge


def _cells(n: int, sides: NDArray[np.float64], per_cell: int) -> NDArray[np.int64]:
    """Cells per axis: the fewest that hold n particles in a box that is nearly a cube."""
    first = 1
    while True:
        counts = np.maximum(1, np.rint(first * sides[0] / sides).astype(np.int64))
        if np.prod(counts) * per_cell >= n:
            return counts
        first += 1


def maxwell(
    model: ParticleModel, state: ParticleState, *, stream: int = 0, antithetic: bool = False
) -> NDArray[np.float64]:
    """Velocities from Maxwell's distribution at temperature 1.

    Args:
        model: the micro-simulator, for masses and its seed.
        state: the particles.
        stream: number that sets these random numbers apart from others.
        antithetic: let particles 2k and 2k + 1 move oppositely, m_a v_a = -m_b v_b, so that every
            pair is at rest as a whole.

    Returns:
        [patch, axis, particle], same units as the square root of energy per mass.
    """
    xi = normals(model.seed, stream | LIFTING, 0, state.n_patch, state.capacity)
    v = np.moveaxis(xi[: state.ndim], 0, 1) / np.sqrt(model.mass_of(state.types))[:, None]
    if antithetic:
        mass = model.mass_of(state.types)[:, None]
        pairs = state.capacity // 2
        even, odd = v[..., 0 : 2 * pairs : 2], v[..., 1 : 2 * pairs : 2]
        odd[:] = -even * mass[..., 0 : 2 * pairs : 2] / mass[..., 1 : 2 * pairs : 2]
    return v


def set_moments(
    model: ParticleModel,
    state: ParticleState,
    temperature: ArrayLike,
    velocity: ArrayLike = 0.0,
) -> ParticleState:
    """Shift and scale velocities so that momentum and temperature are met to round-off.

        v <- u + (v - mean v) sqrt(T/T_sample)

    with means weighted by mass, and T_sample counted with the degrees of freedom with which
    temperatures are measured.

    Args:
        model: the micro-simulator.
        state: the particles; it is not changed.
        temperature: T, a number or one per patch.
        velocity: u, a number, [axis] or [patch, axis].

    Returns:
        The state with new velocities.

    Raises:
        InputError: if T is negative, or T is positive where no particle moves against the others.
    """
    there = state.present[:, None]
    mass = np.where(there, model.mass_of(state.types)[:, None], 0.0)
    T = np.broadcast_to(np.asarray(temperature, dtype=float), (state.n_patch,))
    u = np.broadcast_to(np.asarray(velocity, dtype=float), (state.n_patch, state.ndim))
    if not np.all(T >= 0):
        raise InputError(f"a temperature is {T.min()}; it must not be negative.")
    total = np.maximum(mass.sum(axis=2, keepdims=True), np.finfo(float).tiny)
    relative = state.velocities - (mass * state.velocities).sum(axis=2, keepdims=True) / total
    twice = (mass * relative**2).sum(axis=(1, 2))
    if np.any((twice == 0) & (T > 0)):
        raise InputError("particles at rest cannot be scaled to a temperature: draw velocities.")
    wanted = model.degrees_of_freedom(state.counts) * T
    factor = np.sqrt(wanted / np.where(twice > 0, twice, 1.0))
    lifted = state.copy()
    lifted.velocities = np.where(there, u[:, :, None] + relative * factor[:, None, None], 0.0)
    return lifted


def crystal_boxes(
    model: ParticleModel,
    n: int,
    density: ArrayLike,
    temperature: ArrayLike,
    *,
    lattice: str | None = None,
    controls: Mapping[str, ArrayLike] | None = None,
    stream: int = 0,
    antithetic: bool = True,
) -> ParticleState:
    """Periodic boxes at given densities and temperatures, each begun from a crystal.

    Args:
        model: the micro-simulator; its random numbers make every box differ.
        n: particles per box.
        density: particles per volume, [box] or a number.
        temperature: [box] or a number.
        lattice: the crystal; the densest one of the dimension when absent.
        controls: what else the dynamics imposes, by name.
        stream: number that sets the velocities apart from others.
        antithetic: see `maxwell`.

    Returns:
        One patch per box; momentum zero, the temperature exact.

    Raises:
        InputError: if numbers are not positive, the crystal is of another dimension, or a control
            is missing.
    """
    lattice = lattice or DENSEST[model.ndim]
    rho, T = np.broadcast_arrays(np.atleast_1d(density), np.atleast_1d(temperature))
    require(
        numbers(PARTICLE, len(rho), n), f"{len(rho)} boxes of {n} particles", "Use fewer of them."
    )
    made = [crystal(n, float(one), lattice) for one in rho]
    if made[0][0].shape[0] != model.ndim:
        raise InputError(
            f"the crystal `{lattice}` has {made[0][0].shape[0]} dimensions, the particles live in "
            f"{model.ndim}."
        )
    names = model.dynamics.controls
    imposed = {**({"temperature": T} if "temperature" in names else {}), **(controls or {})}
    state = make_state(
        np.stack([x for x, _ in made]), np.stack([box for _, box in made]),
        controls=imposed, names=names,
    )  # fmt: skip
    state.velocities = maxwell(model, state, stream=stream, antithetic=antithetic)
    return set_moments(model, state, T)


def retuned(
    model: ParticleModel,
    template: ParticleState,
    *,
    density: ArrayLike | None = None,
    temperature: ArrayLike | None = None,
    velocity: ArrayLike = 0.0,
    controls: Mapping[str, ArrayLike] | None = None,
) -> ParticleState:
    """Boxes lifted from a template: configurations that have been run, moved to another state.

    Positions, edges and the shift of sheared images are stretched by the factor that gives the
    density; velocities are shifted and scaled to their moments. What is absent stays as it is.

    Args:
        model: the micro-simulator.
        template: the configurations; they are not changed.
        density: particles per volume, [box] or a number.
        temperature: [box] or a number; imposed by the dynamics from now on, if it imposes one.
        velocity: mean velocity, a number, [axis] or [box, axis]; read with `temperature`.
        controls: what else the dynamics imposes from now on, by name.

    Returns:
        The lifted state.

    Raises:
        InputError: if a control is unknown or numbers are out of range.
    """
    state = wrapped(model, template)
    if density is not None:
        rho = np.broadcast_to(np.asarray(density, dtype=float), (state.n_patch,))
        if not np.all(rho > 0):
            raise InputError(f"a density is {rho.min()}; it must be positive.")
        volume = np.prod(state.box, axis=1)
        stretch = (state.counts / rho / volume) ** (1 / state.ndim)
        state.positions *= stretch[:, None, None]
        state.box *= stretch[:, None]
        if model.dynamics.kind == "sheared":
            state.memory *= stretch
    names = model.dynamics.controls
    imposed = dict(controls or {})
    if temperature is not None and "temperature" in names:
        imposed["temperature"] = temperature
    for name, value in imposed.items():
        if name not in names:
            raise InputError(
                f"`{model.dynamics.kind}` dynamics imposes no `{name}`. {suggestion(name, names)}"
            )
        state.controls[:, names.index(name)] = value
    return state if temperature is None else set_moments(model, state, temperature, velocity)


def wrapped(model: ParticleModel, state: ParticleState) -> ParticleState:
    """The same boxes with every particle back in its periodic box.

    A particle that returns across the sheared axis is shifted with the images there.

    Args:
        model: the micro-simulator.
        state: the particles; it is not changed.
    """
    lifted = state.copy()
    for a in reversed(range(state.ndim)):
        if model.boundary[a] != "periodic":
            continue
        turns = np.floor(lifted.positions[:, a] / lifted.box[:, a, None])
        lifted.positions[:, a] -= turns * lifted.box[:, a, None]
        if a == 1 and model.dynamics.kind == "sheared":
            lifted.positions[:, 0] -= turns * lifted.memory[:, None]
    return lifted


_MOST_STEPS = 10**9
"""Micro-steps beyond which nobody waits for patches to settle."""

_PIECE = 100
"""Micro-steps after which patches that settle can be interrupted."""


def settled(
    model: ParticleModel,
    kernels: ParticleKernels,
    state: ParticleState,
    temperature: ArrayLike,
    n_steps: int,
    dt: float,
) -> ParticleState:
    """Crystals turned into a fluid: melted at four times the temperature, then cooled to it.

    A crystal does not melt by itself where it is stable, or nearly so, while the fluid is wanted.

    Args:
        model: the micro-simulator.
        kernels: the passes over the particles.
        state: the crystals; they are not changed.
        temperature: [box] or a number.
        n_steps: micro-steps, of which a third are spent hot.
        dt: micro time step of the cool part; the hot part takes half of it.

    Returns:
        The settled boxes; they have taken `n_steps` micro-steps.
    """
    T = np.broadcast_to(np.asarray(temperature, dtype=float), (state.n_patch,))
    hot = n_steps // 3
    state = left_alone(kernels, retuned(model, state, temperature=4 * T), hot, dt / 2)
    return left_alone(kernels, retuned(model, state, temperature=T), n_steps - hot, dt, hot)


def left_alone(
    kernels: ParticleKernels, state: ParticleState, n_steps: int, dt: float, first: int = 0
) -> ParticleState:
    """What becomes of patches of which nothing is measured, by pieces that can be interrupted.

    Args:
        kernels: the passes over the particles.
        state: the patches; they are not changed.
        n_steps: micro-steps.
        dt: micro time step.
        first: number of the first micro-step, by which noise is numbered.

    Raises:
        InputError: if the steps are too many to wait for.
    """
    if n_steps > _MOST_STEPS:
        raise InputError(
            f"to settle would take {n_steps:.3g} micro-steps of {dt:.3g}; more than "
            f"{_MOST_STEPS:.0g} are not taken. Use a shorter `settle`, or a longer micro time step."
        )
    handle = kernels.pack(state)
    for done in range(0, n_steps, _PIECE):
        steps = min(_PIECE, n_steps - done)
        kernels.burst(handle, ParticlePlan(steps, dt, first=first + done))
    return kernels.unpack(handle)
