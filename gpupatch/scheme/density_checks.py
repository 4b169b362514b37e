"""What the schemes for a density ask of particles, bursts and sampling."""

from __future__ import annotations

from gpupatch.burst import Burst
from gpupatch.errors import SchemeError, suggestion
from gpupatch.lifting.gases import METHODS
from gpupatch.lifting.particles import ParticleLifting
from gpupatch.particles.dynamics import Brownian, HardRods, Langevin
from gpupatch.particles.lattice_gas import LatticeGas
from gpupatch.particles.model import ParticleModel
from gpupatch.scheme.sampling import Sampling


def acts(model: ParticleModel) -> bool:
    """Whether anything but noise moves the particles."""
    parts = (model.pair, model.bonds, model.angles, model.field)
    return any(part is not None for part in parts)


def check_burst(burst: Burst, sampling: Sampling) -> None:
    """Refuse a tolerance for noise that nothing shows.

    Raises:
        SchemeError: with what is needed.
    """
    if sampling.tolerance is not None and burst.replicas < 2:
        raise SchemeError(
            "`tolerance` needs two replicas of a burst or more, from which its noise is known; "
            f"found {burst.replicas}."
        )


def check_model(model: ParticleModel, burst: Burst, sampling: Sampling, edges: str) -> None:
    """Refuse particles whose density does not tell what happens next, or that cannot be lifted.

    Args:
        model: the particles.
        burst: how they are run.
        sampling: how patches are filled.
        edges: ends of the patches.

    Raises:
        SchemeError: with what to use instead.
    """
    dynamics = model.dynamics
    if not isinstance(dynamics, Brownian | HardRods | Langevin):
        raise SchemeError(
            f"a density alone does not tell what particles of `{dynamics.kind}` dynamics do next. "
            "Use `brownian`, `langevin` or `hard_rods`, or another scheme."
        )
    rods = isinstance(dynamics, HardRods)
    if edges == "reservoir" and (rods or sampling.weight != 1 or sampling.lift == "weighted"):
        raise SchemeError(
            "reservoirs put in and take out single particles without volume; hard rods and "
            "particles that stand for many have none. Use edges `reflecting`."
        )
    if edges == "reservoir" and dynamics.moves_velocities:
        raise SchemeError("reservoirs put in particles without a velocity: use `brownian`.")
    if sampling.drift and not isinstance(dynamics, Langevin):
        raise SchemeError(
            f"`drift` is a velocity, which particles of `{dynamics.kind}` dynamics do not have."
        )
    if acts(model):
        _check_interacting(model, sampling)
    if (acts(model) or dynamics.moves_velocities) and burst.dt is None:
        raise SchemeError(
            "particles that interact, or have velocities, need a micro time step: give `burst.dt`."
        )


def _check_interacting(model: ParticleModel, sampling: Sampling) -> None:
    if sampling.weight != 1:
        raise SchemeError("particles that interact stand for themselves: leave out `weight`.")
    if sampling.lift == "weighted":
        raise SchemeError(
            "particles that interact cannot be given weights. Use the lift `low_noise` or "
            "`stochastic`."
        )
    if model.field is None:
        return
    if sampling.common:
        raise SchemeError(
            "`common` subtracts a burst in which nothing changes, but the external field moves "
            "particles even where the density has no slope. Leave out `common`."
        )
    if not model.field.uniform:
        raise SchemeError(
            "a patch does not know where it is, so that an external field has to push all "
            "particles alike: use an energy that is linear in the coordinates."
        )


def check_gas(gas: LatticeGas, width: float, lifting: ParticleLifting, edges: str) -> None:
    """Refuse patches that a lattice gas does not fill, and what it does not read.

    Args:
        gas: the gas.
        width: of a patch.
        lifting: how patches are filled.
        edges: ends of the patches.

    Raises:
        SchemeError: with what to change.
    """
    if edges != "reflecting":
        raise SchemeError("patches of a lattice gas are closed: leave out `edges`.")
    if lifting.number is not None or lifting.weight != 1:
        raise SchemeError("a lattice gas reads no `number` and no `weight`: leave them out.")
    if lifting.method not in METHODS:
        raise SchemeError(
            f"a lattice gas has no lift `{lifting.method}`. {suggestion(lifting.method, METHODS)}"
        )
    if abs(width / gas.spacing - round(width / gas.spacing)) > 1e-6:
        raise SchemeError(
            f"a patch is {width:.6g} wide, which is no whole number of sites at a distance of "
            f"{gas.spacing:.6g}. Change one of them."
        )
