"""Which oracle belongs to which scheme."""

from __future__ import annotations

from typing import Any

from gpupatch.contract import checked
from gpupatch.errors import InputError, SchemeError
from gpupatch.scheme.base import MeasuringScheme
from gpupatch.scheme.coupled import CoupledScheme
from gpupatch.scheme.particle_density import DensityScheme
from gpupatch.tasks.fields import CoupledOracle, LiftedOracle
from gpupatch.tasks.measured import MeasuredOracle, NoisyLatticeOracle, SampledOracle
from gpupatch.tasks.oracle import BLOCK, Oracle


@checked(InputError)
def make_oracle(
    scheme: Any,
    parameter: str | None = None,
    *,
    coarse: bool = False,
    t: float = 0.0,
    block: int = BLOCK,
) -> Oracle:
    """A scheme as a function from states to slopes.

    ==========================  ==========================  ======================================
    scheme                      unknowns                    F
    ==========================  ==========================  ======================================
    `coupled`                   values at interior sites    their rate with coupled edges
    `coupled`, `coarse`         coarse values               healed slope of a burst after a lift
    `burst`, `flux`             coarse values               slope measured in a burst
    the same, random            coarse values               mean of replicas, with its error
    ==========================  ==========================  ======================================

    Args:
        scheme: a scheme of one member that has slopes.
        parameter: name of a parameter (particles: a control) that is going to be varied.
        coarse: let coarse values be the unknowns of coupled patches, too.
        t: time at which rules and boundary values are read.
        block: most vectors in one batch.

    Returns:
        The oracle.

    Raises:
        SchemeError: if the scheme has no slopes or several members, or needs replicas.
        InputError: if there is no such parameter.
    """
    if isinstance(scheme, CoupledScheme):
        kind = LiftedOracle if coarse else CoupledOracle
    elif isinstance(scheme, MeasuringScheme):
        kind = NoisyLatticeOracle if scheme.problem.rule.noise else MeasuredOracle
    elif isinstance(scheme, DensityScheme):
        kind = SampledOracle
    else:
        raise SchemeError(
            f"`scheme`: the `{getattr(scheme, 'kind', type(scheme).__name__)}` scheme offers no "
            "slopes dU/dt of given coarse values. Use `coupled`, `burst` or `flux`."
        )
    return kind(scheme, parameter, t, block)
