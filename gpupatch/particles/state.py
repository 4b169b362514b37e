"""The state of all particles of all patches, in one batch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpupatch.contract import checked
from gpupatch.errors import InputError

PARTICLE = 12
"""Numbers that are kept of a particle: position, velocity, force, type, weight and a copy."""


@checked(InputError)
@dataclass(eq=False)
class ParticleState:
    """Particles of a batch of patches: structure of arrays, particles last.

    Every patch has room for as many particles as the fullest one; the first `counts[p]` of patch p
    are there. Positions are not wrapped into the box while they move, so that displacements can be
    read off; origin is the centre of an open axis and the lower end of a periodic one.

    Attributes:
        positions: [patch, axis, particle].
        velocities: [patch, axis, particle]; relative to the flow in sheared boxes.
        types: [patch, particle], from 0.
        counts: particles of each patch, [patch].
        box: edge lengths, [patch, axis]; on open axes the distance of the walls.
        controls: what is imposed, [patch, control], in the order of the dynamics.
        weights: what one particle stands for in density and flux, [patch, particle].
        memory: what the dynamics keeps: the friction of a bath (Nose-Hoover) or the shift of the
            images (shear), [patch].
    """

    positions: NDArray[np.floating]
    velocities: NDArray[np.floating]
    types: NDArray[np.int32]
    counts: NDArray[np.int32]
    box: NDArray[np.float64]
    controls: NDArray[np.float64]
    weights: NDArray[np.float64]
    memory: NDArray[np.float64]

    def __post_init__(self):
        if self.positions.ndim != 3:
            raise InputError(
                f"positions have shape {self.positions.shape}; give [patch, axis, particle]."
            )
        n_patch, ndim, n = self.positions.shape
        wanted = {
            "velocities": (n_patch, ndim, n),
            "types": (n_patch, n),
            "counts": (n_patch,),
            "box": (n_patch, ndim),
            "weights": (n_patch, n),
            "memory": (n_patch,),
        }
        for name, shape in wanted.items():
            if getattr(self, name).shape != shape:
                raise InputError(
                    f"`{name}` has shape {getattr(self, name).shape}; positions of shape "
                    f"{self.positions.shape} need {shape}."
                )
        if self.controls.ndim != 2 or len(self.controls) != n_patch:
            raise InputError(
                f"`controls` has shape {self.controls.shape}; it needs one row for each of the "
                f"{n_patch} patches."
            )

    @property
    def n_patch(self) -> int:
        """Patches of all members."""
        return self.positions.shape[0]

    @property
    def ndim(self) -> int:
        """Dimensions of space."""
        return self.positions.shape[1]

    @property
    def capacity(self) -> int:
        """Room for particles in every patch."""
        return self.positions.shape[2]

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which entries are particles, [patch, particle]."""
        return np.arange(self.capacity) < self.counts[:, None]

    def picked(self, patches: NDArray[np.int64]) -> ParticleState:
        """Some of the patches, in the order asked for."""
        values = {f.name: getattr(self, f.name)[patches] for f in dataclasses.fields(self)}
        return ParticleState(**values)

    def copy(self) -> ParticleState:
        """An independent copy."""
        values = {f.name: getattr(self, f.name).copy() for f in dataclasses.fields(self)}
        return ParticleState(**values)


@checked(InputError)
def make_state(
    positions: ArrayLike,
    box: ArrayLike,
    *,
    velocities: ArrayLike | None = None,
    types: ArrayLike | None = None,
    counts: ArrayLike | None = None,
    controls: Mapping[str, ArrayLike] | None = None,
    names: Sequence[str] = (),
    weights: ArrayLike | None = None,
) -> ParticleState:
    """A state from arrays, with what is left out filled in.

    Args:
        positions: [patch, axis, particle].
        box: edge lengths, [axis] or [patch, axis].
        velocities: as `positions`; zero when absent.
        types: [particle] or [patch, particle]; all 0 when absent.
        counts: [patch]; all particles when absent.
        controls: imposed values by name, numbers or one per patch; others than `names` are not
            read.
        names: names of the controls, in the order of the dynamics.
        weights: as `types`; 1 when absent.

    Returns:
        The state, in float64.

    Raises:
        InputError: if shapes do not fit, values are not finite, or a control is missing.
    """
    x = np.array(positions, dtype=np.float64)
    if x.ndim != 3 or not 1 <= x.shape[1] <= 3:
        raise InputError(f"positions have shape {x.shape}; give [patch, axis, particle].")
    n_patch, ndim, n = x.shape
    v = np.zeros_like(x) if velocities is None else np.array(velocities, dtype=np.float64)
    sides = _filled("box", box, (n_patch, ndim))
    if not np.all(sides > 0):
        raise InputError("every side of a box must be positive.")
    given = dict(controls or {})
    missing = [name for name in names if name not in given]
    if missing:
        raise InputError(f"the dynamics needs a value for `{missing[0]}` in every patch.")
    rows = np.zeros((n_patch, len(names)))
    for k, name in enumerate(names):
        rows[:, k] = _filled(name, given[name], (n_patch,))
    state = ParticleState(
        positions=x,
        velocities=v,
        types=_filled("types", 0 if types is None else types, (n_patch, n)).astype(np.int32),
        counts=_filled("counts", n if counts is None else counts, (n_patch,)).astype(np.int32),
        box=sides,
        controls=rows,
        weights=_filled("weights", 1.0 if weights is None else weights, (n_patch, n)),
        memory=np.zeros(n_patch),
    )
    if not all(np.isfinite(a).all() for a in (x, v, rows, sides, state.weights)):
        raise InputError("positions, velocities, controls, boxes and weights must be finite.")
    if state.counts.min(initial=0) < 0 or state.counts.max(initial=0) > n:
        raise InputError(f"`counts` must lie between 0 and {n}, the room for particles.")
    return state


def _filled(name: str, given: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Numbers for every patch from numbers for all."""
    values = np.asarray(given, dtype=np.float64)
    if name in ("types", "counts") and not np.all(np.abs(values) <= np.iinfo(np.int32).max):
        raise InputError(f"`{name}` must be whole numbers below 2^31.")
    try:
        return np.array(np.broadcast_to(values, shape))
    except ValueError as error:
        raise InputError(f"`{name}` has shape {values.shape}; it must fit {shape}.") from error
