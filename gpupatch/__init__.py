"""Patch dynamics: run a trusted micro-simulator only in small patches, in short bursts, and leap.

Every public name is imported on first use, so that ``import gpupatch`` stays light.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

from gpupatch._version import __version__

if TYPE_CHECKING:
    from gpupatch.backends.select import get_backend
    from gpupatch.burst import Burst
    from gpupatch.coupling import Coupling
    from gpupatch.errors import (
        BackendError,
        CaseError,
        GpupatchError,
        GridError,
        InputError,
        NonFiniteError,
        RuleError,
        SchemeError,
    )
    from gpupatch.grid import Face, PatchGrid, dirichlet, neumann, robin
    from gpupatch.homogenisation import effective
    from gpupatch.micro.coefficients import Cell, Lognormal
    from gpupatch.micro.functions import (
        cos,
        cosh,
        equal,
        exp,
        log,
        maximum,
        minimum,
        sign,
        sin,
        sinh,
        sqrt,
        tan,
        tanh,
        where,
    )
    from gpupatch.micro.rule import Rule, flux_rule, rule
    from gpupatch.projection import Projection, project
    from gpupatch.run import run_case
    from gpupatch.scheme import BurstScheme, CoupledScheme, FluxScheme, Problem
    from gpupatch.simulation import Solution, simulate

_HOMES = {
    "gpupatch.backends.select": "get_backend",
    "gpupatch.burst": "Burst",
    "gpupatch.coupling": "Coupling",
    "gpupatch.homogenisation": "effective",
    "gpupatch.errors": "BackendError CaseError GpupatchError GridError InputError NonFiniteError "
    "RuleError SchemeError",
    "gpupatch.grid": "Face PatchGrid dirichlet neumann robin",
    "gpupatch.micro.coefficients": "Cell Lognormal",
    "gpupatch.micro.functions": "cos cosh equal exp log maximum minimum sign sin sinh sqrt tan "
    "tanh where",
    "gpupatch.micro.rule": "Rule flux_rule rule",
    "gpupatch.projection": "Projection project",
    "gpupatch.run": "run_case",
    "gpupatch.scheme": "BurstScheme CoupledScheme FluxScheme Problem",
    "gpupatch.simulation": "Solution simulate",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [
    "BackendError",
    "Burst",
    "BurstScheme",
    "CaseError",
    "Cell",
    "CoupledScheme",
    "Coupling",
    "Face",
    "FluxScheme",
    "GpupatchError",
    "GridError",
    "InputError",
    "Lognormal",
    "NonFiniteError",
    "PatchGrid",
    "Problem",
    "Projection",
    "Rule",
    "RuleError",
    "SchemeError",
    "Solution",
    "__version__",
    "cos",
    "cosh",
    "dirichlet",
    "effective",
    "equal",
    "exp",
    "flux_rule",
    "get_backend",
    "log",
    "maximum",
    "minimum",
    "neumann",
    "project",
    "robin",
    "rule",
    "run_case",
    "sign",
    "simulate",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
    "where",
]


def __getattr__(name: str):
    if name in _HOME:
        return getattr(_import_module(_HOME[name]), name)
    raise AttributeError(f"module 'gpupatch' has no attribute {name!r}")


def __dir__():
    return __all__
