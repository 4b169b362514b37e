"""What the traced expression tells for free: symbol, stable step, diffusivity, speed, Jacobian."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from gpupatch.arrays import Micro, Sparse
from gpupatch.errors import SchemeError
from gpupatch.micro.expressions import evaluate_expressions
from gpupatch.micro.model import MicroModel
from gpupatch.micro.rule import Rule, mask_name
from gpupatch.micro.trace import COORDINATES, SPACINGS, differentiate

MARGIN = 0.8
"""Share of the stability limit that is used."""
USELESS = 5e-3
"""Limit, in units of 1/max|lambda|, below which a stepper counts as unstable."""


@dataclass(frozen=True, eq=False)
class Derivatives:
    """Partial derivatives of the rates with respect to everything they read.

    Attributes:
        entries: (rate, field read, offset) of each derivative that is not zero.
        expressions: the derivatives, in the same order.
    """

    entries: tuple[tuple[int, int, tuple[int, ...]], ...]
    expressions: tuple[sp.Expr, ...]


@functools.lru_cache(maxsize=256)
def derivatives(rule: Rule) -> Derivatives:
    """D rate_f / d u_g[offset] of a rule, as expressions."""
    entries, expressions = [], []
    for f, rate in enumerate(rule.rates):
        for access in rule.accesses:
            if access.kind == "field" and rate.has(access.symbol):
                slope = differentiate(rate, access.symbol)
                if slope != 0:
                    entries.append((f, rule.fields.index(access.name), access.offset))
                    expressions.append(slope)
    return Derivatives(tuple(entries), tuple(expressions))


@functools.lru_cache(maxsize=256)
def _uniform_symbol(rule: Rule):
    """The derivatives on a uniform state, compiled as functions of scalars."""
    fields = [sp.Symbol(f"uniform_{name}") for name in rule.fields]
    arrays = [sp.Symbol(f"coefficient_{k}") for k in range(len(rule.coefficient_arrays))]
    flat = {}
    for access in rule.accesses:
        if access.kind == "field":
            flat[access.symbol] = fields[rule.fields.index(access.name)]
        else:
            flat[access.symbol] = arrays[rule.coefficient_arrays.index((access.name, access.face))]
    known = derivatives(rule)
    scalars = sorted({s for e in known.expressions for s in e.free_symbols} - set(flat), key=str)
    uniform = [expression.subs(flat) for expression in known.expressions]
    compiled = sp.lambdify([*fields, *arrays, *scalars], uniform, "numpy")
    return compiled, [str(s) for s in scalars]


def symbol(
    model: MicroModel, state: Sequence[float], coefficients: Sequence[float], theta, member=0, t=0.0
) -> NDArray[np.complex128]:
    """Fourier symbol of the rule linearised about a uniform state.

    A(theta)[f, g] = sum_offset  d rate_f / d u_g[offset]  exp(i theta . offset)

    Args:
        model: the micro-model, for parameters and spacings.
        state: value of each field.
        coefficients: value of each coefficient array.
        theta: phase per site along each axis, [point, axis].
        member: which member's parameters.
        t: time.

    Returns:
        [point, field, field], in units of 1/time; not finite where the rates have no slope.
    """
    compiled, names = _uniform_symbol(model.rule)
    scalars = _scalars(model, member, t)
    given = (*state, *coefficients, *(scalars[name] for name in names))
    with np.errstate(all="ignore"):
        values = compiled(*map(np.float64, given))
    n_fields = len(model.rule.fields)
    A = np.zeros((len(theta), n_fields, n_fields), dtype=complex)
    for (f, g, offset), value in zip(derivatives(model.rule).entries, values, strict=True):
        A[:, f, g] += value * np.exp(1j * theta @ np.array(offset))
    return A


def _scalars(model: MicroModel, member: int, t: float) -> dict[str, float]:
    values = dict(zip(model.rule.parameters, model.parameters[member].tolist(), strict=True))
    values |= dict(zip(SPACINGS, model.spacing, strict=False)) | {"t": t}
    middle = model.origin.mean(axis=0)
    return values | {name: float(x) for name, x in zip(COORDINATES, middle, strict=False)}


def spectrum(
    model: MicroModel, extremes: NDArray[np.float64], theta, t: float = 0.0
) -> NDArray[np.complexfloating]:
    """Eigenvalues of the symbol at all corners of the range of states and coefficients.

    Args:
        model: the micro-model.
        extremes: least and largest value of each field, [field, 2].
        theta: phases, [point, axis].
        t: time.

    Returns:
        Eigenvalues, [corner, point, field], in units of 1/time; not-a-number at corners where the
        rates have no slope.
    """
    arrays = [model.coefficients[:, k] for k in range(len(model.rule.coefficient_arrays))]
    ranges = [sorted(set(pair)) for pair in extremes.tolist()]
    for (name, _), array in zip(model.rule.coefficient_arrays, arrays, strict=True):
        is_mask = any(name == mask_name(field) for field in model.rule.parity)
        ranges.append([1.0] if is_mask else sorted({float(array.min()), float(array.max())}))
    found = []
    for member in range(model.n_members):
        for corner in itertools.product(*ranges):
            state, coefficients = corner[: len(extremes)], corner[len(extremes) :]
            with np.errstate(invalid="ignore"):
                A = symbol(model, state, coefficients, theta, member, t)
            finite = bool(np.isfinite(A).all())
            found.append(np.linalg.eigvals(A) if finite else np.full(A.shape[:2], np.nan + 0j))
    return np.array(found)


def _phases(ndim: int) -> NDArray[np.float64]:
    line = np.concatenate([[1e-3, 0.05], np.linspace(0.0, np.pi, 9 if ndim < 3 else 5)])
    signed = np.concatenate([line, -line[1:-1]]) if ndim > 1 else line
    return np.array(list(itertools.product(line, *(signed,) * (ndim - 1))))


def stable_step(
    model: MicroModel, extremes: NDArray[np.float64], stability, stepper: str, t: float = 0.0
) -> float:
    """The micro time step: 0.8 of the stability limit, rounded down to two digits.

    The limit is the largest dt for which |R(dt lambda)| <= 1 for every eigenvalue lambda of the
    linearised symbol (growing modes are taken as neutral), R being the stability function of the
    micro-stepper; for velocity Verlet dt |lambda| <= 2.

    Args:
        model: the micro-model.
        extremes: least and largest value of each field, [field, 2].
        stability: the function R, or None for velocity Verlet.
        stepper: name of the micro-stepper, for messages.
        t: time.

    Returns:
        Time step, same units as the time of the rule; infinite for rules whose rates do not
        depend on the state.

    Raises:
        SchemeError: if no step is stable (for instance Euler on waves).
    """
    eigenvalues = spectrum(model, extremes, _phases(len(model.sites)), t).ravel()
    largest = float(np.abs(eigenvalues).max())
    if not np.isfinite(largest):
        raise SchemeError(
            f"rule `{model.rule.name}`: the linearised rates are not finite at the initial state, "
            "so no stable time step can be found. Give `time.dt`, or change the initial state."
        )
    if largest == 0:
        return float("inf")
    z = (np.minimum(eigenvalues.real, 0.0) + 1j * eigenvalues.imag) / largest
    if stability is None:
        limit = 2.0
    else:
        low, high = 0.0, 20.0
        for _ in range(60):
            middle = (low + high) / 2
            stable = bool(np.all(np.abs(stability(middle * z)) <= 1 + 1e-12))
            low, high = (middle, high) if stable else (low, middle)
        limit = low
    if limit < USELESS:
        raise SchemeError(
            f"micro-stepper `{stepper}` is unstable for rule `{model.rule.name}` at any step: it "
            "does not damp oscillations. Use `rk4`, or `verlet` for a second-order rule."
        )
    return round_down(MARGIN * limit / largest)


def round_down(value: float) -> float:
    """Round a positive number down to two significant digits."""
    if not np.isfinite(value) or value <= 0:
        return value
    unit = 10.0 ** (np.floor(np.log10(value)) - 1)
    return float(np.floor(value / unit * (1 + 1e-12)) * unit)


def diffusivity(
    model: MicroModel, extremes: NDArray[np.float64], t: float = 0.0, lasting: float = 0.0
) -> float:
    """Largest diffusivity of the linearised rule, from -d^2 Re(lambda)/d(theta)^2 dx^2 / 2.

    Args:
        model: the micro-model.
        extremes: least and largest value of each field, [field, 2].
        t: time.
        lasting: time over which a uniform disturbance must not have decayed to count: what
            relaxes faster than that does not get far.

    Returns:
        Diffusivity, length^2/time.
    """
    largest = 0.0
    for axis, dx in enumerate(model.spacing):
        theta = np.zeros((2, len(model.sites)))
        theta[1, axis] = 0.05
        real = np.sort(spectrum(model, extremes, theta, t).real, axis=-1)
        curvature = (real[:, 0] - real[:, 1]) / 0.05**2
        counted = np.where(real[:, 0] * lasting > -1, curvature, 0.0)
        largest = max(largest, float(counted.max()) * dx**2)
    return largest


def signal_speed(model: MicroModel, extremes: NDArray[np.float64], t: float = 0.0) -> float:
    """Largest phase speed |Im(lambda)| dx / theta of the linearised rule.

    Args:
        model: the micro-model.
        extremes: least and largest value of each field, [field, 2].
        t: time.

    Returns:
        Speed, length/time.
    """
    fastest = 0.0
    for axis, dx in enumerate(model.spacing):
        phases = np.linspace(0.05, np.pi, 16)
        theta = np.zeros((len(phases), len(model.sites)))
        theta[:, axis] = phases
        imaginary = np.abs(spectrum(model, extremes, theta, t).imag).max(axis=(0, 2))
        fastest = max(fastest, float((imaginary / phases).max()) * dx)
    return fastest


def jacobian(model: MicroModel, u: Micro, t: float = 0.0) -> Sparse:
    """Sparse matrix of d(rate)/d(state) over all sites of all patches.

    Args:
        model: the micro-model.
        u: state about which the rule is linearised, [patch, field, *sites].
        t: time.

    Returns:
        scipy.sparse CSR array, [u.size, u.size]; rows of edge sites are zero.
    """
    from scipy import sparse

    known = derivatives(model.rule)
    values = evaluate_expressions(
        model.rule, known.expressions, model.rule.accesses, u, model.environment(t), model.inside
    )
    index = np.arange(u.size).reshape(u.shape)
    shape = (len(u), *(s.stop - s.start for s in model.inside))
    rows, columns, data = [], [], []
    for (f, g, offset), value in zip(known.entries, values, strict=True):
        moved = tuple(
            slice(s.start + o, s.stop + o) for s, o in zip(model.inside, offset, strict=True)
        )
        rows.append(index[(slice(None), f, *model.inside)].ravel())
        columns.append(index[(slice(None), g, *moved)].ravel())
        data.append(np.broadcast_to(value, shape).ravel())
    if not rows:
        return sparse.csr_array((u.size, u.size))
    entries = (np.concatenate(data), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.coo_array(entries, shape=(u.size, u.size)).tocsr()
