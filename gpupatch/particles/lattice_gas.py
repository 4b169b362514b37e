"""Walkers on a line of sites: independent ones, exclusion, zero range.

Time is split: every step of length dt first runs all even bonds (0, 1), (2, 3), ... and then all
odd ones (1, 2), (3, 4), ..., each bond on its own and exactly, as the two-site process that it is.
Since every bond keeps the product measure of equilibrium, so does the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gpupatch.contract import checked
from gpupatch.errors import RuleError, SchemeError, suggestion
from gpupatch.particles.observe import Core

KINDS = ("independent", "ssep", "zero_range")
OBSERVABLES = ("crossing", "core_mass")
"""What can be read off a lattice gas, as off particles at its sites."""
MOST_EVENTS = 64
"""Events of one bond in one step that there are random numbers for."""


@checked(RuleError)
@dataclass(frozen=True)
class LatticeGas:
    """Particles that hop to the next site on either side.

    ============  ===============================  ===============  ============================
    kind          a particle hops to one side      equilibrium      diffusivity, in rate a^2
    ============  ===============================  ===============  ============================
    independent   at `rate`                        Poisson          1
    ssep          at `rate` if the site is empty   Bernoulli        1
    zero_range    at `rate`/(particles there)      geometric        1/(1 + n)^2, n per site
    ============  ===============================  ===============  ============================

    Attributes:
        kind: see the table.
        spacing: a, distance of sites.
        rate: hops to one side per time.
        seed: seed of all random numbers.
        first_patch: number of the first patch, from which the random numbers of a batch follow.

    Raises:
        RuleError: for another kind, or numbers that are not positive.

    Source: Spitzer (1970), sections 2 and 3 [Spitzer1970].
    """

    kind: str
    spacing: float = 1.0
    rate: float = 1.0
    seed: int = 0
    first_patch: int = 0

    ndim: ClassVar[int] = 1

    def __post_init__(self):
        if self.kind not in KINDS:
            raise RuleError(
                f"there is no lattice gas `{self.kind}`. {suggestion(self.kind, KINDS)}"
            )
        for name, value in (("spacing", self.spacing), ("rate", self.rate)):
            if not 0 < value < float("inf"):
                raise RuleError(f"`{name}` of a lattice gas is {value}; it must be positive.")

    def hop_probability(self, dt: float) -> float:
        """Chance that a particle on one site of a bond is on the other after dt: (1 - e^-2rt)/2."""
        return -float(np.expm1(-2 * self.rate * dt)) / 2

    def diffusivity(self, dt: float) -> float:
        """Diffusivity of one particle under steps of length dt.

        A walker that has hopped goes on in the same direction at the next half-step, one that has
        not turns around. With p the chance of a hop its mean square grows by p/(1 - p) a^2 in each
        half-step, so that

            D = p/(1 - p) a^2/dt = tanh(rate dt) a^2/dt,

        which exclusion does not change.

        Args:
            dt: length of a step, two half-steps.
        """
        return float(np.tanh(self.rate * dt)) * self.spacing**2 / dt

    def sites(self, n_site: int) -> NDArray[np.float64]:
        """Places of the sites of a patch, from its centre."""
        return (np.arange(n_site, dtype=float) - (n_site - 1) / 2) * self.spacing

    def check_step(self, dt: float) -> None:
        """Refuse steps with more events at a bond than there are random numbers for.

        Raises:
            SchemeError: if a step of `zero_range` is longer than 4/rate.
        """
        if self.kind == "zero_range" and self.rate * dt > 4:
            raise SchemeError(
                f"a step of {dt:.3g} is {self.rate * dt:.3g} times as long as a particle waits for "
                "a hop to one side. Use a `burst.dt` below four times that."
            )


def gas_row(
    gas: LatticeGas, n_site: int, observables: Sequence[str], core: Core
) -> NDArray[np.float64]:
    """Weights of the sites in observables, which are sums over the particles at them.

    Args:
        gas: the gas.
        n_site: sites of a patch.
        observables: "crossing" or "core_mass", see `particles.observe.COMPONENTS`.
        core: the part of the patch that is measured.

    Returns:
        [observable, site].

    Raises:
        SchemeError: for another observable.
    """
    x, rows = gas.sites(n_site) / core.width, []
    for name in observables:
        if name not in OBSERVABLES:
            raise SchemeError(
                f"a lattice gas has no observable `{name}`. {suggestion(name, OBSERVABLES)}"
            )
        if name == "crossing":
            rows.append(np.clip(x, -0.5, 0.5))
            continue
        height = 1.0 if core.kernel == "box" else 1 + np.cos(2 * np.pi * x)
        rows.append(np.where(np.abs(x) < 0.5, height, 0.0) / core.width)
    return np.array(rows).reshape(len(observables), n_site)
