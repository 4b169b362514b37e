"""What is simulated with particles: a model, cells, and what is imposed on them."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.contract import checked, shown
from gpupatch.errors import GridError, SchemeError, suggestion
from gpupatch.grid import PatchGrid
from gpupatch.particles.lattice_gas import LatticeGas
from gpupatch.particles.model import ParticleModel
from gpupatch.scheme.problem import combinations


@checked(GridError)
def particle_grid(
    domain: Sequence[tuple[float, float]],
    patches: Sequence[int],
    width: Sequence[float] | float,
    boundary: Sequence | str = "periodic",
) -> PatchGrid:
    """A grid of cells for patches of particles, which are boxes `width` wide.

    Three sites along every axis carry what a patch is lifted with, its value and its slopes.

    Args:
        domain: (lo, hi) per axis.
        patches: cells per axis.
        width: of a patch, core and buffers together, per axis or for all; same units as `domain`.
        boundary: as of `PatchGrid`.

    Returns:
        The grid; a patch of n = 3 sites covers n dx.
    """
    if np.ndim(width) and np.size(width) != len(domain):
        raise GridError(
            f"`width` has {np.size(width)} entries for {len(domain)} axes; give one per axis, or "
            "one for all."
        )
    dx = [w / 3 for w in np.broadcast_to(np.asarray(width, dtype=float), len(domain))]
    return PatchGrid(domain, patches, 3, dx=dx, boundary=boundary, cells=True)


def patch_centres(axes: Sequence[NDArray[np.float64]], members: int) -> NDArray[np.float64]:
    """Where the patches of all members are.

    Args:
        axes: positions along each axis.
        members: members, whose patches follow one another.

    Returns:
        [patch, axis].
    """
    places = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
    return np.tile(places, (members, 1))


@checked(SchemeError)
@dataclass(frozen=True, eq=False)
class ParticleProblem:
    """A micro-simulator of particles on a grid of cells.

    Attributes:
        model: the particles, what acts on them and how they move: a `ParticleModel`; or, for
            schemes of a density, a `LatticeGas`.
        grid: the cells; its patches are boxes of n dx along every axis, see `particle_grid`.
        controls: what the dynamics imposes on every patch, by name, for instance `temperature`.
        names: the coarse fields.
        core: width of the part of a patch that is measured, along the axis across which the patch
            measures; a third of the patch when absent.
        members: values of swept controls, by name; every combination is a member.
        replicas: independent repetitions of every member, from which error bars are taken.
        dtype: precision inside the patches, "float64" or "float32".
        seed: seed of all random numbers; it takes the place of the model's.

    Raises:
        SchemeError: if dimensions, controls or widths do not fit.
    """

    model: Any
    grid: PatchGrid
    controls: Mapping[str, float] = field(default_factory=dict)
    names: tuple[str, ...] = ("density",)
    core: float | None = None
    members: Mapping[str, Sequence[float]] = field(default_factory=dict)
    replicas: int = 1
    dtype: str = "float64"
    seed: int = 0

    def __post_init__(self):
        self.check_numbers()
        grid, known = self.grid, self.control_names
        if self.model.ndim != grid.ndim:
            raise SchemeError(
                f"the particles live in {self.model.ndim} dimensions, but the grid has {grid.ndim} "
                "axes. Change one of them."
            )
        given = {*self.controls, *self.members}
        for name in sorted(given - set(known)):
            hint = suggestion(name, known) if known else "It has none."
            raise SchemeError(f"the dynamics has no control `{name}`. {hint}")
        for name in known:
            if name not in given:
                raise SchemeError(f"the dynamics needs a value for the control `{name}`.")
        if self.core is not None and not 0 < self.core <= min(self.width):
            raise SchemeError(
                f"the core is {self.core} wide, and the patch {min(self.width):.6g}. Give a core "
                "that is positive and not wider than the patch."
            )

    def check_numbers(self) -> None:
        """Refuse numbers that make no sense for any kind of patch.

        Raises:
            SchemeError: with the first of them.
        """
        model: object = self.model
        if not isinstance(model, ParticleModel | LatticeGas):
            raise SchemeError(
                f"`model` is {shown(model)}; it must be a `ParticleModel` or a `LatticeGas`."
            )
        if not self.grid.cells:
            raise SchemeError("particles need a grid of cells: `PatchGrid(cells=True)`.")
        if self.dtype not in ("float64", "float32"):
            raise SchemeError(f"dtype {self.dtype!r} is unknown; use 'float64' or 'float32'.")
        if self.replicas < 1:
            raise SchemeError(f"`replicas` is {self.replicas}; at least 1 is needed.")
        if getattr(self.model, "n_types", 1) > 1:
            raise SchemeError(
                f"patches are filled with particles of one type, but the model tells "
                f"{self.model.n_types} types apart. Give every mass and parameter one number."
            )
        swept = {name: np.asarray(values, dtype=float) for name, values in self.members.items()}
        for name, values in {**self.controls, **swept}.items():
            if np.size(values) == 0 or not np.isfinite(values).all():
                raise SchemeError(f"the control `{name}` is {values}: give finite numbers.")
            if name in ("density", "temperature") and np.min(values) < 0:
                raise SchemeError(f"the {name} is {np.min(values)}; it must not be negative.")

    @property
    def control_names(self) -> tuple[str, ...]:
        """What the dynamics wants to be imposed on every patch."""
        return () if isinstance(self.model, LatticeGas) else self.model.dynamics.controls

    @property
    def micro_kind(self) -> str:
        """Name of the dynamics, or of the lattice gas."""
        return getattr(self.model, "dynamics", self.model).kind

    @functools.cached_property
    def width(self) -> tuple[float, ...]:
        """Edge lengths of a patch, per axis."""
        return tuple(n * d for n, d in zip(self.grid.n_sites, self.grid.spacing, strict=True))

    @property
    def core_width(self) -> float:
        """Width of the part of a patch that is measured."""
        return min(self.width) / 3 if self.core is None else self.core

    def buffer(self, axis: int) -> float:
        """Width of the rest of a patch on each side of the core, along an axis."""
        return (self.width[axis] - self.core_width) / 2

    @functools.cached_property
    def member_values(self) -> list[dict[str, float]]:
        """Swept values of every member, replicas last."""
        return combinations(self.members, self.replicas)

    def micro_model(self, **changes: Any) -> ParticleModel:
        """The particles with the seed of the problem, and with other changes."""
        return replace(self.model, seed=self.seed, **changes)

    def control_rows(self, patches_per_member: int, repeats: int = 1) -> NDArray[np.float64]:
        """What is imposed on the patches of a batch.

        Args:
            patches_per_member: patches of one member in one repetition.
            repeats: repetitions of all members, the slowest index of the batch.

        Returns:
            [patch, control], in the order of the dynamics.
        """
        rows = np.array(
            [
                [{**self.controls, **values}[name] for name in self.control_names]
                for values in self.member_values
            ],
            dtype=float,
        ).reshape(len(self.member_values), len(self.control_names))
        return np.tile(np.repeat(rows, patches_per_member, axis=0), (repeats, 1))
