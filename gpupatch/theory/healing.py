"""How long a burst may last before the edges of its patch are felt in the core.

Edges frozen during a burst send an artefact inwards. In a diffusive medium it reaches depth L_b,
the buffer, with strength set by z = L_b / sqrt(4 D tau) alone; in a hyperbolic one it arrives
sharply at tau = L_b / c. Lifting leaves artefacts too, which decay at the rate of the fast modes.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpupatch.errors import InputError

Estimator: TypeAlias = Literal["average", "slope"]


def average_rate_error(depth: ArrayLike) -> NDArray[np.float64]:
    """Relative error that one frozen edge puts on the rate averaged over the burst.

        4 i2erfc(z) = (1 + 2 z^2) erfc(z) - 2 z exp(-z^2) / sqrt(pi)

    The error is that of the rate (U(tau) - U(0)) / tau of a point at the edge of the core.

    Args:
        depth: z = L_b / sqrt(4 D tau) >= 0, any shape.

    Returns:
        The error, 1 at z = 0, same shape as `depth`.

    Source: the iterated error functions of Carslaw and Jaeger (1959), appendix II
    [CarslawJaeger1959].
    """
    from scipy.special import erfc

    z = np.asarray(depth, dtype=np.float64)
    return (1 + 2 * z**2) * erfc(z) - 2 * z * np.exp(-(z**2)) / np.sqrt(np.pi)


def end_slope_error(depth: ArrayLike) -> NDArray[np.float64]:
    """Relative error that one frozen edge puts on the slope at the end of the burst: erfc(z).

    Args:
        depth: z = L_b / sqrt(4 D tau) >= 0, any shape.

    Returns:
        The error, 1 at z = 0, same shape as `depth`.

    Source: Carslaw and Jaeger (1959), appendix II [CarslawJaeger1959].
    """
    from scipy.special import erfc

    return erfc(np.asarray(depth, dtype=np.float64))


def healing_depth(
    tolerance: float, *, estimator: Estimator = "average", amplification: float = 0.0
) -> float:
    """Depth z = L_b / sqrt(4 D tau) at which the edge artefact falls to a tolerance.

    Solves error(z) (1 + A) = tolerance. In a medium of period eps with frozen edges the mismatch
    of the gradient G amplifies the artefact by A = chi eps G / (C L_b^2), C the curvature.

    Args:
        tolerance: relative error of the rate, in (0, 1).
        estimator: "average" over the whole burst or "slope" at its end.
        amplification: A >= 0.

    Returns:
        z > 0.

    Raises:
        InputError: a number is out of range or the estimator unknown.
    """
    from scipy.optimize import root_scalar

    errors = {"average": average_rate_error, "slope": end_slope_error}
    if estimator not in errors:
        raise InputError(f"`estimator` must be 'average' or 'slope'; found {estimator!r}.")
    if not 0 < tolerance < 1:
        raise InputError(f"`tolerance` must lie in (0, 1); found {tolerance}.")
    if amplification < 0:
        raise InputError(f"`amplification` must not be negative; found {amplification}.")

    def excess(z: float) -> float:
        return float(errors[estimator](z)) - tolerance / (1 + amplification)

    # erfc underflows beyond 26, so the bracket holds every tolerance a float can express
    return float(root_scalar(excess, bracket=(0.0, 26.0), xtol=1e-14).root)


def longest_burst(
    tolerance: float,
    buffer: float,
    diffusivity: float,
    *,
    estimator: Estimator = "average",
    amplification: float = 0.0,
) -> float:
    """Longest burst whose edge artefact stays below a tolerance in a diffusive medium.

        tau = L_b^2 / (4 D z^2),        z = healing_depth(tolerance, ...)

    At 1e-3 this is 0.066 L_b^2 / D for the averaged rate and 0.046 L_b^2 / D for the end slope.

    Args:
        tolerance: relative error of the rate, in (0, 1).
        buffer: L_b, distance from the core to the edge of the patch.
        diffusivity: D, the largest in the medium.
        estimator: "average" over the whole burst or "slope" at its end.
        amplification: see `healing_depth`.

    Returns:
        tau, same unit of time as in `diffusivity`.

    Raises:
        InputError: a number is out of range or the estimator unknown.
    """
    if not (buffer >= 0 and diffusivity > 0):
        raise InputError(
            f"`buffer` must not be negative and `diffusivity` must be positive; found "
            f"buffer={buffer} and diffusivity={diffusivity}."
        )
    z = healing_depth(tolerance, estimator=estimator, amplification=amplification)
    return buffer**2 / (4 * diffusivity * z**2)


def causal_burst(buffer: float, speed: float) -> float:
    """Longest burst that no signal from the edge survives in a hyperbolic medium: L_b / c.

    The bound is sharp: an artefact is absent before it and of order one soon after.

    Args:
        buffer: L_b, distance from the core to the edge of the patch.
        speed: c > 0, the fastest signal.

    Returns:
        tau, same unit of time as in `speed`.

    Raises:
        InputError: a number is out of range.
    """
    if not (buffer >= 0 and speed > 0):
        raise InputError(
            f"`buffer` must not be negative and `speed` must be positive; found "
            f"buffer={buffer} and speed={speed}."
        )
    return buffer / speed


def shortest_heal(tolerance: float, gap: float) -> float:
    """Time that lifting artefacts need to decay to a tolerance: ln(1 / tolerance) / beta.

    Args:
        tolerance: relative size of what remains, in (0, 1).
        gap: beta > 0, decay rate of the slowest mode that should heal; about
            4 pi^2 a / eps^2 for diffusion in a medium of period eps.

    Returns:
        The healing time, same unit of time as in `gap`.

    Raises:
        InputError: a number is out of range.
    """
    if not (0 < tolerance < 1 and gap > 0):
        raise InputError(
            f"`tolerance` must lie in (0, 1) and `gap` must be positive; found "
            f"tolerance={tolerance} and gap={gap}."
        )
    return float(-np.log(tolerance) / gap)
