"""Fields that do not change: how a heterogeneous medium is sampled on the patches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpupatch.contract import checked
from gpupatch.errors import RuleError
from gpupatch.micro.noise import philox


@dataclass(frozen=True, eq=False)
class Places:
    """Where one coefficient array is wanted.

    Attributes:
        origin: coordinates of the first site of every patch, [patch, axis].
        sites: sites per patch and axis.
        spacing: distance between sites per axis.
        face: axis whose faces are sampled, or -1 for sites.
        phase: shift of the microstructure in sites, per axis (ensembles of phase shifts).
        parameters: values of the parameters of one member, by name.
    """

    origin: NDArray[np.float64]
    sites: tuple[int, ...]
    spacing: tuple[float, ...]
    face: int
    phase: tuple[int, ...]
    parameters: Mapping[str, float] = field(default_factory=dict)

    def coordinates(self) -> list[NDArray[np.float64]]:
        """Coordinates of the sampled points, each broadcastable to [patch, *sites]."""
        found = []
        for axis, (n, d) in enumerate(zip(self.sites, self.spacing, strict=True)):
            index = np.arange(n) + self.phase[axis] + 0.5 * (axis == self.face)
            shape = [len(self.origin), *(1,) * len(self.sites)]
            shape[1 + axis] = n
            found.append(np.add.outer(self.origin[:, axis], index * d).reshape(shape))
        return found

    @property
    def shape(self) -> tuple[int, ...]:
        """[patch, *sites]."""
        return (len(self.origin), *self.sites)


@dataclass(frozen=True, eq=False)
class Profile:
    """A coefficient given as a function of position.

    Attributes:
        function: called with one coordinate array per axis and the named parameters.
        parameters: names of parameters that the function takes as keywords.
    """

    function: Callable[..., ArrayLike]
    parameters: tuple[str, ...] = ()

    def sample(self, places: Places) -> NDArray[np.float64]:
        """Values at the sampled points, [patch, *sites]."""
        given = {name: places.parameters[name] for name in self.parameters}
        values = self.function(*places.coordinates(), **given)
        return np.broadcast_to(np.asarray(values, dtype=float), places.shape)


@checked(RuleError)
@dataclass(frozen=True, eq=False)
class Cell:
    """A periodic cell of lattice values, tiled from the first site of every patch.

    Attributes:
        values: one period, [*period], or a mapping face axis -> one period each.
        axis: axis along which a one-dimensional cell varies; all axes when absent.
    """

    values: ArrayLike | Mapping[int, ArrayLike]
    axis: int | None = None

    def period(self, ndim: int) -> tuple[int, ...]:
        """Sites in one period per axis (1 where the cell does not vary)."""
        one = next(iter(self.values.values())) if isinstance(self.values, Mapping) else self.values
        return self._array(one, ndim).shape

    def sample(self, places: Places) -> NDArray[np.float64]:
        """Values at the sampled points, [1, *sites]: every patch holds the same."""
        values = self.values
        if isinstance(values, Mapping):
            if places.face not in values:
                raise RuleError(
                    f"a cell was given for the faces of axes {sorted(values)}, but the rule reads "
                    f"the faces of axis {places.face}. Add an entry for that axis."
                )
            values = values[places.face]
        tile = self._array(values, len(places.sites))
        index = [
            (np.arange(n) + shift) % period
            for n, shift, period in zip(places.sites, places.phase, tile.shape, strict=True)
        ]
        return tile[np.ix_(*index)][None]

    def _array(self, values, ndim: int) -> NDArray[np.float64]:
        array = np.asarray(values, dtype=float)
        if self.axis is not None:
            shape = [1] * ndim
            shape[self.axis] = array.size
            array = array.reshape(shape)
        if array.ndim != ndim:
            raise RuleError(
                f"a cell of shape {array.shape} was given for {ndim} axes. Give one value per "
                "site of a period on every axis, or say along which `axis` it varies."
            )
        return array


@checked(RuleError)
@dataclass(frozen=True)
class Lognormal:
    """A random medium: independent log-normal values, the same wherever patches are put.

    The value depends only on the position in the global lattice and the seed, so that any two
    patches (or the full domain) that cover the same site see the same medium.

    Attributes:
        sigma: standard deviation of the logarithm.
        seed: seed of the medium.
        median: median of the values.
    """

    sigma: float
    seed: int = 0
    median: float = 1.0

    def sample(self, places: Places) -> NDArray[np.float64]:
        """Values at the sampled points, [patch, *sites]."""
        words = [np.zeros(places.shape, dtype=np.int64)] * 3
        for axis, (x, d) in enumerate(zip(places.coordinates(), places.spacing, strict=True)):
            words[axis] = np.broadcast_to(np.floor(x / d + 0.25).astype(np.int64), places.shape)
        key = (self.seed & 0xFFFFFFFF, places.face + 1)
        a, b, c, d = philox([w & 0xFFFFFFFF for w in words] + [0], key)
        u1 = (a.astype(float) * 2.0**32 + b.astype(float) + 0.5) * 2.0**-64
        u2 = (c.astype(float) * 2.0**32 + d.astype(float)) * 2.0**-64
        normal = np.sqrt(-2 * np.log(u1)) * np.cos(2 * np.pi * u2)
        return self.median * np.exp(self.sigma * normal)


Coefficient = Profile | Cell | Lognormal
CoefficientLike = Coefficient | Callable[..., ArrayLike] | Mapping[int, ArrayLike] | ArrayLike


def as_coefficient(given: CoefficientLike) -> Coefficient:
    """A coefficient from what users write: a function, an array, a number or one of the classes.

    Raises:
        RuleError: if it is none of these.
    """
    if isinstance(given, (Profile, Cell, Lognormal)):
        return given
    if callable(given):
        return Profile(given)
    if isinstance(given, Real):
        return Profile(lambda *x: np.array(float(given)))
    if isinstance(given, (Sequence, np.ndarray, Mapping)):
        return Cell(given)
    raise RuleError(
        f"a coefficient was given as {given!r}; use a function of position, an array holding one "
        "period, a number, `gp.Cell` or `gp.Lognormal`."
    )
