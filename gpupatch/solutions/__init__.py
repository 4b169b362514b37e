"""Exact solutions by name, each tested by insertion into its equation.

>>> from gpupatch import solutions
>>> wave = solutions.get("fisher_wave")
>>> wave.equation
'u_t = D u_xx + r u (1 - u)'
>>> float(wave.evaluate((0.0,), 0.0)["u"])
0.25
"""

from gpupatch.solutions.fronts import bistable_wave, cole_hopf, fisher_wave
from gpupatch.solutions.limits import chafee_infante, slow_fast_mean
from gpupatch.solutions.modes import (
    advected_heat_mode,
    exp_sin_cos_lattice,
    heat_mode,
    homogenised_mode,
)
from gpupatch.solutions.registry import REQUIRED, ExactSolution, exact_solution, get, names
from gpupatch.solutions.rods import hard_rods
from gpupatch.solutions.spreading import barenblatt, couette_start, gaussian_heat
from gpupatch.solutions.waves import standing_wave, travelling_wave

__all__ = [
    "REQUIRED",
    "ExactSolution",
    "advected_heat_mode",
    "barenblatt",
    "bistable_wave",
    "chafee_infante",
    "cole_hopf",
    "couette_start",
    "exact_solution",
    "exp_sin_cos_lattice",
    "fisher_wave",
    "gaussian_heat",
    "get",
    "hard_rods",
    "heat_mode",
    "homogenised_mode",
    "names",
    "slow_fast_mean",
    "standing_wave",
    "travelling_wave",
]
