"""A particle model in the words of LAMMPS; needs no LAMMPS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from gpupatch.engines._lepton import lepton
from gpupatch.engines.engine import Patch
from gpupatch.errors import RuleError
from gpupatch.particles import library
from gpupatch.particles.dynamics import Rescaled
from gpupatch.particles.interaction import Pair
from gpupatch.particles.model import ParticleModel
from gpupatch.particles.potential import CUTOFF, Potential

_EDGE = {"periodic": "p", "reflecting": "f", "open": "s"}
_HALF_WIDTH = 1.0
"""Half the extent along axes that LAMMPS has and the model lacks; particles stay in the middle."""


@dataclass(frozen=True)
class _Native:
    """A pair style whose energy is exactly that of a potential of the library.

    Attributes:
        styles: its name for every truncation that it has.
        coefficients: its numbers from the parameters of the potential.
        reach: distance from which on the potential is zero, from the parameters; cut off there.
    """

    styles: dict[str, str]
    coefficients: Callable[..., tuple[float, ...]]
    reach: Callable[..., float] | None = None


_ONE_STYLE = ("truncated", "shifted")
_NATIVE: dict[Potential, _Native] = {
    library.lennard_jones: _Native(
        dict.fromkeys(_ONE_STYLE, "lj/cut") | {"force-shifted": "lj/smooth/linear"},
        lambda epsilon, sigma: (epsilon, sigma),
    ),
    library.wca: _Native(
        dict.fromkeys((*_ONE_STYLE, "force-shifted"), "lj/cut"),
        lambda epsilon, sigma: (epsilon, sigma),
        lambda epsilon, sigma: 2 ** (1 / 6) * sigma,
    ),
    library.morse: _Native(
        dict.fromkeys(_ONE_STYLE, "morse"), lambda depth, alpha, r0: (depth, alpha, r0)
    ),
    library.gaussian: _Native(
        dict.fromkeys(_ONE_STYLE, "gauss"),
        lambda epsilon, sigma: (-epsilon, 1 / (2 * sigma**2)),
    ),
}


def check(model: ParticleModel) -> None:
    """Refuse what LAMMPS has no exactly equal form for.

    Raises:
        RuleError: if there is an external field, or a bending energy other than `wormlike`.
    """
    if model.field is not None:
        raise RuleError(
            f"LAMMPS cannot run the field `{model.field.energy.__name__}`: it has no external "
            "potential of a given expression. Use OpenMM or another backend."
        )
    if model.angles is not None and model.angles.energy is not library.wormlike:
        raise RuleError(
            f"LAMMPS cannot run the bending energy `{model.angles.energy.__name__}`: of energies "
            "of the cosine it has `wormlike` only. Use OpenMM or another backend."
        )


def before_particles(model: ParticleModel, patch: Patch) -> list[str]:
    """Commands that make an empty box for one patch."""
    low, high = box_of(model, patch)
    edges = [_EDGE[b] for b in model.boundary] + ["f", "p"][model.ndim - 1 :]
    sides = " ".join(f"{a!r} {b!r}" for a, b in zip(low, high, strict=True))
    bonds, angles = _topology(model, patch.n)
    room = [
        *(["bond/types 1", f"extra/bond/per/atom {bonds}"] if bonds else []),
        *(["angle/types 1", f"extra/angle/per/atom {angles}"] if angles else []),
    ]
    return [
        "units lj",
        f"dimension {_dimension(model)}",
        f"boundary {' '.join(edges)}",
        f"atom_style {'angle' if bonds or angles else 'atomic'}",
        "atom_modify map array sort 0 0.0",
        "newton on",
        f"region patch block {sides}",
        " ".join([f"create_box {model.n_types} patch", *room]),
    ]


def after_particles(model: ParticleModel, patch: Patch) -> list[str]:
    """Commands that make the particles of one patch act on each other and move."""
    masses = model.mass_of(np.arange(model.n_types, dtype=np.int32))
    return [
        *(f"mass {k + 1} {m!r}" for k, m in enumerate(masses.tolist())),
        *_pair_commands(model),
        *_chain_commands(model, patch),
        f"neighbor {_written(model.neighbours.skin)} bin",
        "neigh_modify every 1 delay 0 check yes page 20000 one 2000",
        "fix motion all nve",
        *walls(model, patch),
        *thermostat(model, patch),
        "thermo_style custom step pe",
        "thermo 0",
        "thermo_modify norm no",
    ]


def box_of(model: ParticleModel, patch: Patch) -> tuple[list[float], list[float]]:
    """Lower and upper ends of the box on three axes."""
    low, high = [-_HALF_WIDTH] * 3, [_HALF_WIDTH] * 3
    for a, boundary in enumerate(model.boundary):
        low[a], high[a] = -float(patch.box[a]) / 2, float(patch.box[a]) / 2
        if boundary == "periodic":
            low[a], high[a] = 0.0, float(patch.box[a])
        elif boundary == "open" and patch.n:
            low[a] = min(low[a], float(patch.positions[a].min()))
            high[a] = max(high[a], float(patch.positions[a].max()))
    return low, high


def _pair_commands(model: ParticleModel) -> Iterator[str]:
    pair = model.pair
    if pair is None:
        yield from ("pair_style zero 1.0 nocoeff", "pair_coeff * *")
        return
    native = _NATIVE.get(pair.potential)
    if native is not None and native.reach is not None:
        reach = max(native.reach(**numbers) for _, numbers in _rows(pair))
        native = native if reach <= pair.cutoff else None
    if native is None or pair.truncation not in native.styles:
        expression = pair.potential.truncated(pair.truncation)
        yield f"pair_style lepton {_written(pair.cutoff)}"
        for types, numbers in _rows(pair):
            yield f'pair_coeff {types} "{lepton(expression, numbers | {CUTOFF: pair.cutoff})}"'
        return
    yield f"pair_style {native.styles[pair.truncation]} {_written(pair.cutoff)}"
    if native.reach is not None or pair.truncation == "shifted":
        yield "pair_modify shift yes"
    for types, numbers in _rows(pair):
        values = [*native.coefficients(**numbers)]
        values += [native.reach(**numbers)] if native.reach is not None else []
        yield f"pair_coeff {types} {' '.join(map(_written, values))}"


def _written(value: float) -> str:
    """A number as a word; what is no plain number cannot bring words of its own."""
    return repr(float(value))


def _rows(pair: Pair) -> Iterator[tuple[str, dict[str, float]]]:
    """Pairs of types, from 1, and their parameters; all pairs at once if all are alike."""
    for a in range(pair.n_types):
        for b in range(a, pair.n_types):
            types = f"{a + 1} {b + 1}" if pair.n_types > 1 else "* *"
            yield types, {name: float(m[a, b]) for name, m in pair.matrices.items()}


def _chain_commands(model: ParticleModel, patch: Patch) -> Iterator[str]:
    bonds, angles = model.bonds, model.angles
    if bonds is None and angles is None:
        return
    yield "special_bonds lj 1.0 1.0 1.0"
    sides = [s for s, b in zip(patch.box, model.boundary, strict=True) if b == "periodic"]
    reach = 0.0 if model.pair is None else model.pair.cutoff
    reach = max([reach, *(side / 2 for side in sides)]) + model.neighbours.skin
    yield f"comm_modify cutoff {_written(reach)}"
    if bonds is not None:
        numbers = {name: float(v) for name, v in bonds.parameters.items()}
        yield "bond_style lepton no_offset"
        yield f'bond_coeff 1 0.0 "{lepton(bonds.potential.expression, numbers)}"'
        for i, j in bonds.pairs.tolist():
            yield f"create_bonds single/bond 1 {i + 1} {j + 1} special no"
    if angles is not None:
        yield "angle_style cosine"
        yield f"angle_coeff 1 {_written(angles.parameters['kappa'])}"
        for i, j, k in angles.triples.tolist():
            yield f"create_bonds single/angle 1 {i + 1} {j + 1} {k + 1} special no"


def _topology(model: ParticleModel, n: int) -> tuple[int, int]:
    """Most bonds and angles that one particle is part of."""

    def most(members):
        return int(np.bincount(members.reshape(-1), minlength=max(n, 1)).max())

    return (
        0 if model.bonds is None else most(model.bonds.pairs),
        0 if model.angles is None else most(model.angles.triples),
    )


def thermostat(model: ParticleModel, patch: Patch) -> list[str]:
    """The commands that scale velocities to the temperature of the patch, if anything does."""
    if not isinstance(model.dynamics, Rescaled):
        return []
    wanted = float(patch.controls[0])
    free = float(model.degrees_of_freedom(np.array([patch.n]))[0])
    return [
        f"fix scaling all temp/rescale {int(model.dynamics.every)} {wanted!r} {wanted!r} 0.0 1.0",
        f"compute_modify scaling_temp extra/dof {_dimension(model) * patch.n - free!r}",
    ]


def _dimension(model: ParticleModel) -> int:
    return max(model.ndim, 2)


def walls(model: ParticleModel, patch: Patch) -> list[str]:
    """The command that makes reflecting ends of the box, if there are any."""
    ends = [
        f"{axis}lo {-float(side) / 2!r} {axis}hi {float(side) / 2!r}"
        for axis, side, b in zip("xyz", patch.box, model.boundary, strict=False)
        if b == "reflecting"
    ]
    return [f"fix walls all wall/reflect {' '.join(ends)}"] if ends else []
