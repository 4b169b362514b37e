"""Patch dynamics: run a trusted micro-simulator only in small patches, in short bursts, and leap.

Every public name is imported on first use, so that ``import gpupatch`` stays light.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

from gpupatch._version import __version__

if TYPE_CHECKING:
    from gpupatch.backends.select import get_backend
    from gpupatch.burst import Burst
    from gpupatch.checkpoints import Checkpoints
    from gpupatch.coupling import Coupling
    from gpupatch.design import Controlled, Ensemble, Wall, control, ensemble
    from gpupatch.diagnostics import Diagnosis, Finding, diagnose
    from gpupatch.engines.select import get_engine
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
        arccos,
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
    from gpupatch.particles.dynamics import (
        Brownian,
        HardRods,
        HeatDriven,
        Langevin,
        Newton,
        NoseHoover,
        Rescaled,
        Sheared,
        VelocityFlips,
    )
    from gpupatch.particles.interaction import Angles, Bonds, Field, Pair, chain, chain_angles
    from gpupatch.particles.lattice_gas import LatticeGas
    from gpupatch.particles.model import Neighbours, ParticleModel
    from gpupatch.particles.observe import Core, ParticlePlan
    from gpupatch.particles.potential import Potential, potential
    from gpupatch.particles.state import ParticleState, make_state
    from gpupatch.projection import Projection, project
    from gpupatch.run import resume, run_case
    from gpupatch.scheme import (
        BoxFluxScheme,
        BoxProblem,
        BoxScheme,
        BurstScheme,
        ChainFluxScheme,
        CoupledScheme,
        FluxScheme,
        ParticleBurstScheme,
        ParticleFluxScheme,
        ParticleProblem,
        Problem,
        Sampling,
        StretchProblem,
        StretchScheme,
        particle_grid,
    )
    from gpupatch.simulation import simulate
    from gpupatch.solution import Solution
    from gpupatch.studies.study import Study, study
    from gpupatch.tasks.backward import Past, backward
    from gpupatch.tasks.branch import Branch
    from gpupatch.tasks.choose import make_oracle
    from gpupatch.tasks.continuation import continue_
    from gpupatch.tasks.found_law import Law
    from gpupatch.tasks.law import law
    from gpupatch.tasks.ranking import SlowVariables
    from gpupatch.tasks.slow_manifold import (
        HealedState,
        SlowState,
        constrained_run,
        implicit_lift,
    )
    from gpupatch.tasks.slow_variables import slow_variables
    from gpupatch.tasks.spectrum import Spectrum, eigenvalues
    from gpupatch.tasks.steady import steady, steady_states
    from gpupatch.tasks.steady_state import SteadyState

_HOMES = {
    "gpupatch.backends.select": "get_backend",
    "gpupatch.burst": "Burst",
    "gpupatch.checkpoints": "Checkpoints",
    "gpupatch.coupling": "Coupling",
    "gpupatch.design": "Controlled Ensemble Wall control ensemble",
    "gpupatch.diagnostics": "Diagnosis Finding diagnose",
    "gpupatch.engines.select": "get_engine",
    "gpupatch.homogenisation": "effective",
    "gpupatch.errors": "BackendError CaseError GpupatchError GridError InputError NonFiniteError "
    "RuleError SchemeError",
    "gpupatch.grid": "Face PatchGrid dirichlet neumann robin",
    "gpupatch.micro.coefficients": "Cell Lognormal",
    "gpupatch.micro.functions": "arccos cos cosh equal exp log maximum minimum sign sin sinh sqrt "
    "tan tanh where",
    "gpupatch.micro.rule": "Rule flux_rule rule",
    "gpupatch.particles.dynamics": "Brownian HardRods HeatDriven Langevin Newton NoseHoover "
    "Rescaled Sheared VelocityFlips",
    "gpupatch.particles.interaction": "Angles Bonds Field Pair chain chain_angles",
    "gpupatch.particles.lattice_gas": "LatticeGas",
    "gpupatch.particles.model": "Neighbours ParticleModel",
    "gpupatch.particles.observe": "Core ParticlePlan",
    "gpupatch.particles.potential": "Potential potential",
    "gpupatch.particles.state": "ParticleState make_state",
    "gpupatch.projection": "Projection project",
    "gpupatch.run": "resume run_case",
    "gpupatch.studies.study": "Study study",
    "gpupatch.scheme": "BoxFluxScheme BoxProblem BoxScheme BurstScheme ChainFluxScheme "
    "CoupledScheme FluxScheme ParticleBurstScheme ParticleFluxScheme ParticleProblem Problem "
    "Sampling StretchProblem StretchScheme particle_grid",
    "gpupatch.simulation": "simulate",
    "gpupatch.tasks.backward": "Past backward",
    "gpupatch.tasks.branch": "Branch",
    "gpupatch.tasks.choose": "make_oracle",
    "gpupatch.tasks.continuation": "continue_",
    "gpupatch.tasks.ranking": "SlowVariables",
    "gpupatch.tasks.slow_manifold": "HealedState SlowState constrained_run implicit_lift",
    "gpupatch.tasks.found_law": "Law",
    "gpupatch.tasks.law": "law",
    "gpupatch.tasks.slow_variables": "slow_variables",
    "gpupatch.tasks.spectrum": "Spectrum eigenvalues",
    "gpupatch.tasks.steady": "steady steady_states",
    "gpupatch.tasks.steady_state": "SteadyState",
    "gpupatch.solution": "Solution",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [
    "Angles",
    "BackendError",
    "Bonds",
    "BoxFluxScheme",
    "BoxProblem",
    "BoxScheme",
    "Branch",
    "Brownian",
    "Burst",
    "BurstScheme",
    "CaseError",
    "Cell",
    "ChainFluxScheme",
    "Checkpoints",
    "Controlled",
    "Core",
    "CoupledScheme",
    "Coupling",
    "Diagnosis",
    "Ensemble",
    "Face",
    "Field",
    "Finding",
    "FluxScheme",
    "GpupatchError",
    "GridError",
    "HardRods",
    "HealedState",
    "HeatDriven",
    "InputError",
    "Langevin",
    "LatticeGas",
    "Law",
    "Lognormal",
    "Neighbours",
    "Newton",
    "NonFiniteError",
    "NoseHoover",
    "Pair",
    "ParticleBurstScheme",
    "ParticleFluxScheme",
    "ParticleModel",
    "ParticlePlan",
    "ParticleProblem",
    "ParticleState",
    "Past",
    "PatchGrid",
    "Potential",
    "Problem",
    "Projection",
    "Rescaled",
    "Rule",
    "RuleError",
    "Sampling",
    "SchemeError",
    "Sheared",
    "SlowState",
    "SlowVariables",
    "Solution",
    "Spectrum",
    "SteadyState",
    "StretchProblem",
    "StretchScheme",
    "Study",
    "VelocityFlips",
    "Wall",
    "__version__",
    "arccos",
    "backward",
    "chain",
    "chain_angles",
    "constrained_run",
    "continue_",
    "control",
    "cos",
    "cosh",
    "diagnose",
    "dirichlet",
    "effective",
    "eigenvalues",
    "ensemble",
    "equal",
    "exp",
    "flux_rule",
    "get_backend",
    "get_engine",
    "implicit_lift",
    "law",
    "log",
    "make_oracle",
    "make_state",
    "maximum",
    "minimum",
    "neumann",
    "particle_grid",
    "potential",
    "project",
    "resume",
    "robin",
    "rule",
    "run_case",
    "sign",
    "simulate",
    "sin",
    "sinh",
    "slow_variables",
    "sqrt",
    "steady",
    "steady_states",
    "study",
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
