"""Compare the lowered form of a rule with the function its author wrote."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from gpupatch.errors import RuleError
from gpupatch.micro.model import MicroModel
from gpupatch.micro.rule import Rule, ShiftedSlices
from gpupatch.micro.source import rule_source
from gpupatch.micro.trace import location

AGREEMENT = {"float64": 1e-8, "float32": 1e-2}
"""Largest difference between the two, relative to one plus the size of the rate."""

_PATCHES, _SEED = 3, 20250


def verify(rule: Rule, dtype: str) -> None:
    """Refuse a rule whose lowered form differs from its function on random data.

    This finds what tracing cannot see: globals that have changed since, and functions whose
    result does not follow from their arguments.

    Args:
        rule: the micro-rule.
        dtype: "float64" or "float32".

    Raises:
        RuleError: if the two differ, with both values.
    """
    generator = np.random.default_rng(_SEED)
    model = _random_model(rule, generator)
    base = generator.uniform(0.5, 1.5, model.shape)
    change = generator.uniform(-0.1, 0.1, model.shape).astype(dtype)
    time = float(generator.uniform(0.5, 1.5))
    with np.errstate(all="ignore"):
        expected = model.rate(base + change.astype(np.float64), time)
        found = lowered_rate(model, base, change, time)
    inside = (slice(None), slice(None), *model.inside)
    expected, found = expected[inside], found[inside]
    known = np.isfinite(expected)
    error = np.abs(found - expected)[known] / (1 + np.abs(expected[known]))
    if error.size == 0 or np.all(error <= AGREEMENT[dtype]):
        return
    worst = int(np.argmax(np.nan_to_num(error, nan=np.inf)))
    raise RuleError(
        f"rule `{rule.name}` gives {expected[known][worst]:.17g} on random data, but its lowered "
        f"form in {dtype} gives {found[known][worst]:.17g}: since it was traced, something that "
        "the function reads has changed. Declare such numbers as parameters, or declare the rule "
        f"again.{location(rule.function)}"
    )


def lowered_rate(model: MicroModel, base, change, t: float) -> np.ndarray:
    """Rates by the NumPy form of the lowered rule.

    Args:
        model: the rule with everything it reads.
        base: state, [patch, field, *sites], in float64.
        change: what is added to it, same shape, in the dtype of the form wanted.
        t: time.

    Returns:
        du/dt at base + change in float64, same shape, zero on the edge sites.
    """
    rule, dtype = model.rule, change.dtype.name
    space: dict = {"np": np}
    exec(rule_source(rule, "numpy", dtype), space)
    if dtype == "float64":
        values = space[rule.name](**_arguments(model, space[rule.name], base + change, base, t))
    else:
        exact, fast = space[f"{rule.name}_base"], space[f"{rule.name}_change"]
        frozen = exact(**_arguments(model, exact, base, base, t))
        changes = fast(**_arguments(model, fast, change, base.astype(np.float32), t))
        values = [np.float32(f) + c for f, c in zip(frozen, changes, strict=True)]
    rate = np.zeros(model.shape)
    for index, value in enumerate(values):
        rate[(slice(None), index, *model.inside)] = value
    return rate


def _arguments(model: MicroModel, function, state, base, t: float) -> dict[str, object]:
    rule, environment = model.rule, model.environment(t)
    arguments: dict[str, object] = {}
    by_name = {access.symbol.name: access for access in rule.accesses}
    for name in inspect.signature(function).parameters:
        access = by_name.get(f"f{name[1:]}") or by_name.get(name)
        if access is None:
            arguments[name] = environment[name]
            continue
        offset = tuple(o + 0.5 * (a == access.face) for a, o in enumerate(access.offset))
        if access.kind == "field":
            values = state if name.startswith("f_") else base
            arrays = {-1: values[:, rule.fields.index(access.name)]}
        else:
            given: Any = environment[access.name]
            arrays = given if isinstance(given, dict) else {-1: given}
        arguments[name] = ShiftedSlices(arrays, model.inside)[offset]
    return arguments


def _random_model(rule: Rule, generator: np.random.Generator) -> MicroModel:
    edges = tuple(max(1, reach) for reach in rule.reach)
    sites = tuple(2 * e + 3 for e in edges)
    return MicroModel(
        rule=rule,
        sites=sites,
        spacing=tuple(generator.uniform(0.5, 1.5, rule.ndim)),
        edges=edges,
        origin=generator.uniform(-1, 1, (_PATCHES, rule.ndim)),
        parameters=generator.uniform(0.5, 1.5, (1, len(rule.parameters))),
        coefficients=generator.uniform(0.5, 1.5, (1, len(rule.coefficient_arrays), *sites)),
    )
