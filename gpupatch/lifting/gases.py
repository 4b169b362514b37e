"""Lift patches of lattice gases from a density and its slope."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpupatch.errors import SchemeError, suggestion
from gpupatch.particles.lattice_gas import LatticeGas
from gpupatch.particles.noise import LIFTING, uniforms, words

METHODS = ("low_noise", "stochastic")
_SITES, _PATCHES = range(2)
_MOST_WALKERS = 500


def lift_gas(
    gas: LatticeGas,
    method: str,
    profile: NDArray[np.float64],
    n_site: int,
    seed: int,
    stream: int,
) -> NDArray[np.int32]:
    """Fill the sites of patches with particles.

    ============  =================================================================================
    method        particles at site i, whose mean is to be n_i = spacing rho(x_i)
    ============  =================================================================================
    low_noise     floor(M_i + theta) - floor(M_(i-1) + theta), M_i = n_1 + ... + n_i, with one
                  random phase theta in (0, 1) per patch
    stochastic    independent, from the equilibrium of that mean: Poisson, Bernoulli or geometric
    ============  =================================================================================

    Args:
        gas: the gas.
        method: see the table.
        profile: coefficients of the density c0 + c1 x + c2 x^2, nowhere negative, [patch, 3].
        n_site: sites of a patch.
        seed: seed of the run.
        stream: number that sets this burst apart from all others.

    Returns:
        [patch, site].

    Raises:
        SchemeError: for another method, or if sites would hold more than they can.
    """
    if method not in METHODS:
        raise SchemeError(f"a lattice gas has no lift `{method}`. {suggestion(method, METHODS)}")
    x = gas.sites(n_site)
    mean = gas.spacing * (profile @ [np.ones(n_site), x, x**2])
    _check_mean(gas, mean)
    label = stream | LIFTING
    if method == "low_noise":
        theta = uniforms(words(seed, label, _PATCHES, len(mean), 1)[0])
        reached = np.floor(np.cumsum(mean, axis=1) + theta)
        return np.diff(reached, axis=1, prepend=0.0).astype(np.int32)
    u = uniforms(words(seed, label, _SITES, len(mean), n_site)[0])
    if gas.kind == "ssep":
        return (u < mean).astype(np.int32)
    if gas.kind == "zero_range":
        fugacity = np.maximum(mean / (1 + mean), 1e-300)
        return np.floor(np.log(u) / np.log(fugacity)).astype(np.int32)
    from scipy.stats import poisson

    return np.where(mean > 0, poisson.ppf(u, np.maximum(mean, 1e-300)), 0).astype(np.int32)


def _check_mean(gas: LatticeGas, mean: NDArray[np.float64]) -> None:
    most = {"ssep": 1.0, "independent": _MOST_WALKERS, "zero_range": np.inf}[gas.kind]
    if mean.max(initial=0.0) > most:
        raise SchemeError(
            f"a site of the lattice gas `{gas.kind}` would hold {mean.max():.4g} particles, but it "
            f"has room for {most:g}. Use a lower density or a smaller spacing."
        )
