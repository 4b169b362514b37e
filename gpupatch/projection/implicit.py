"""Implicit leaps: SciPy's stiff solvers on the slope oracle."""

from collections.abc import Iterator

import numpy as np

from gpupatch.arrays import Handle
from gpupatch.errors import SchemeError
from gpupatch.projection.system import System

SOLVERS = ("BDF", "Radau")


def implicit_solver(
    system: System,
    solver: str,
    t: float,
    U: Handle,
    t_end: float,
    *,
    tol: float,
    first: float | None,
    max_step: float,
) -> Iterator[tuple[float, Handle]]:
    """Leap from `t` to `t_end` with an implicit method of SciPy, for stiff macroscopic dynamics.

    Every slope passes through the host (`unpack`, `pack`), and the Jacobian is found by finite
    differences: one slope per unknown. The solver starts anew at each call and stops exactly at
    `t_end`.

    Args:
        system: offers `slope`, `pack` and `unpack`.
        solver: "BDF" or "Radau".
        t: base time.
        U: state at `t`.
        t_end: time to stop at, on either side of `t`.
        tol: tolerance of the error, relative and absolute.
        first: length of the first leap; chosen by SciPy where `None`.
        max_step: longest leap.

    Yields:
        Time and state after every leap.

    Raises:
        SchemeError: if the solver gives up.
    """
    from scipy import integrate

    values = np.asarray(system.unpack(U), dtype=float)
    shape = values.shape

    def rate(time: float, flat: np.ndarray) -> np.ndarray:
        slope = system.slope(float(time), system.pack(flat.reshape(shape)))
        return np.asarray(system.unpack(slope), dtype=float).ravel()

    stepper = getattr(integrate, solver)(
        rate,
        t,
        values.ravel(),
        t_end,
        rtol=tol,
        atol=tol,
        max_step=max_step,
        first_step=None if first is None else min(first, abs(t_end - t)),
    )
    while stepper.status == "running":
        message = stepper.step()
        if stepper.status == "failed":
            raise SchemeError(
                f"SciPy's {solver} gave up at t = {stepper.t:.6g}: {message} Use a larger `tol`, "
                "or more replicas if the slope is noisy."
            )
        yield float(stepper.t), system.pack(stepper.y.reshape(shape))
