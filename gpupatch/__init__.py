"""Patch dynamics: run a trusted micro-simulator only in small patches, in short bursts, and leap.

Every public name is imported on first use, so that ``import gpupatch`` stays light.
"""

from importlib import import_module as _import_module

from gpupatch._version import __version__

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

__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str):
    if name in _HOME:
        return getattr(_import_module(_HOME[name]), name)
    raise AttributeError(f"module 'gpupatch' has no attribute {name!r}")


def __dir__():
    return __all__
