"""A micro-rule: what happens at one site, written once and understood everywhere."""

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FunctionType, ModuleType

import numpy as np
import sympy as sp

from gpupatch.contract import checked
from gpupatch.errors import RuleError
from gpupatch.micro.trace import COORDINATES, RESERVED, Access, Trace, flatten, trace

_SCALARS = (int, float, bool, str, type(None), np.number, np.ufunc)


@checked(RuleError)
@dataclass(frozen=True, eq=False)
class Rule:
    """The rate of change at one site as a function of the site and its neighbours.

    Made by the decorators `rule` and `flux_rule`, not directly.

    Attributes:
        function: the rule as its author wrote it; the NumPy reference calls it unchanged.
        fields: names of the fields that evolve.
        coefficients: names of the fields that do not change.
        parameters: names of the scalar parameters.
        defaults: default values of parameters that have one.
        second_order: pairs (position, velocity); d(position)/dt = velocity is implied.
        noise: Ito amplitude per field, a function of the rule's own arguments.
        parity: for staggered lattices, 0 or 1 per field; empty otherwise.
        is_flux: whether the function returns fluxes at the faces +1/2 instead of rates.
    """

    function: Callable
    fields: tuple[str, ...]
    coefficients: tuple[str, ...] = ()
    second_order: tuple[tuple[str, str], ...] = ()
    noise: Mapping[str, Callable] = field(default_factory=dict)
    parity: Mapping[str, int] = field(default_factory=dict)
    is_flux: bool = False
    parameters: tuple[str, ...] = ()
    defaults: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the function that defines the rule."""
        return self.function.__name__

    @property
    def arguments(self) -> tuple[str, ...]:
        """Names of all arguments of the function, in its order."""
        return tuple(inspect.signature(self.function).parameters)

    @functools.cached_property
    def recorded(self) -> Trace:
        """The function run once on symbols, outputs as it returned them."""
        scalars = [name for name in self.arguments if name not in self.fields + self.coefficients]
        result = trace(self.function, self.fields, self.coefficients, scalars)
        self._check_outputs(result)
        return result

    @functools.cached_property
    def rates(self) -> tuple[sp.Expr, ...]:
        """d(field)/dt of every field, as expressions in `Access.symbol`s and scalars."""
        outputs = self.recorded.outputs
        if self.is_flux:
            from gpupatch.micro.conservation import divergence

            computed = divergence(self)
        else:
            computed = outputs
        positions = dict(self.second_order)
        values = iter(computed)
        zero = (0,) * self.ndim
        rates = []
        for name in self.fields:
            if name in positions:
                rates.append(Access("field", positions[name], -1, zero).symbol)
            else:
                rates.append(next(values))
        if self.parity:
            rates = [
                rate * Access("coefficient", mask_name(name), -1, zero).symbol
                for name, rate in zip(self.fields, rates, strict=True)
            ]
        return tuple(rates)

    @functools.cached_property
    def accesses(self) -> tuple[Access, ...]:
        """Everything that the rates read, sorted."""
        found = set().union(*(expression.free_symbols for expression in self.rates))
        known: dict[sp.Basic, Access] = {a.symbol: a for a in self._candidates()}
        return tuple(sorted(known[symbol] for symbol in found if symbol in known))

    @property
    def ndim(self) -> int:
        """Number of space dimensions."""
        return self.recorded.ndim

    @functools.cached_property
    def reach(self) -> tuple[int, ...]:
        """How many sites away the rule reads, per axis."""
        offsets = [access.offset for access in self.accesses]
        return tuple(max((abs(o[axis]) for o in offsets), default=0) for axis in range(self.ndim))

    @functools.cached_property
    def coefficient_arrays(self) -> tuple[tuple[str, int], ...]:
        """(name, face axis or -1) of each array of coefficients that the function reads."""
        read = (*self.accesses, *self.recorded.accesses)
        pairs = {(a.name, a.face) for a in read if a.kind == "coefficient"}
        return tuple(sorted(pairs))

    @functools.cached_property
    def time_dependent(self) -> bool:
        """Whether the rates depend explicitly on time."""
        return self._uses("t")

    @functools.cached_property
    def space_dependent(self) -> bool:
        """Whether the rates depend explicitly on the coordinates."""
        return any(self._uses(name) for name in COORDINATES)

    @functools.cached_property
    def linear(self) -> bool:
        """Whether the rates are linear (or affine) in the fields."""
        symbols = [a.symbol for a in self.accesses if a.kind == "field"]
        slopes = [sp.diff(rate, s) for rate in self.rates for s in symbols]
        return not any(slope.has(*symbols) for slope in slopes)

    def parameter_values(self, given: Mapping[str, float]) -> dict[str, float]:
        """Complete and check a set of parameter values.

        Args:
            given: values by name.

        Returns:
            One value for every parameter of the rule.

        Raises:
            RuleError: on a name the rule does not have, or a parameter without a value.
        """
        unknown = sorted(set(given) - set(self.parameters))
        missing = sorted(set(self.parameters) - set(given) - set(self.defaults))
        if unknown or missing:
            found = f"unknown: {', '.join(unknown)}" if unknown else f"not given: {missing[0]}"
            names = ", ".join(self.parameters) or "none"
            raise RuleError(f"rule `{self.name}` has the parameters {names}; {found}.")
        complete = {**self.defaults, **given}
        return {name: float(complete[name]) for name in self.parameters}

    def source(self, target: str = "numba", dtype: str = "float64") -> str:
        """The generated source of the rule for one target.

        Args:
            target: "numba" for the point function that the CPU backend compiles, "cuda" for that of
                the GPU backend, "numpy" for the lowered expression as one unfused NumPy function.
            dtype: "float64", or "float32" for the perturbation form.

        Returns:
            Python source, or CUDA C++.

        Raises:
            RuleError: for an unknown target, or if the rule has no form in that dtype.
        """
        from gpupatch.micro.source import rule_source

        return rule_source(self, target, dtype)

    def __repr__(self) -> str:
        return f"<rule {self.name}({', '.join(self.arguments)}), fields {' '.join(self.fields)}>"

    def _uses(self, name: str) -> bool:
        symbol = self.recorded.scalars.get(name)
        return symbol is not None and any(rate.has(symbol) for rate in self.rates)

    def _candidates(self) -> list[Access]:
        zero = (0,) * self.ndim
        known = list(self.recorded.accesses)
        if self.is_flux:
            axes = np.eye(self.ndim, dtype=int)
            known += [a.shifted(tuple(-axis)) for a in self.recorded.accesses for axis in axes]
        known += [Access("field", velocity, -1, zero) for _, velocity in self.second_order]
        known += [Access("coefficient", mask_name(name), -1, zero) for name in self.parity]
        return known

    def _check_outputs(self, recorded: Trace) -> None:
        n_out, n_rates = len(recorded.outputs), len(self.fields) - len(self.second_order)
        allowed = [n_rates]
        if self.is_flux:
            allowed = [n_rates * recorded.ndim, n_rates * (recorded.ndim + 1)]
        if n_out not in allowed:
            kind = "fluxes (one per axis, then optionally a source)" if self.is_flux else "rates"
            raise RuleError(
                f"rule `{self.name}` returns {n_out} values, but its fields "
                f"`{' '.join(self.fields)}` need {' or '.join(map(str, allowed))} {kind}."
            )


def mask_name(name: str) -> str:
    """Name of the coefficient that is 1 where a staggered field lives and 0 elsewhere."""
    return f"{name}_sites"


@checked(RuleError)
def rule(
    fields: str,
    coefficients: str | tuple[str, ...] = (),
    second_order: tuple = (),
    noise: Mapping[str, Callable] | None = None,
    at: Mapping[str, str] | None = None,
) -> Callable[[Callable], Rule]:
    """Declare a micro-rule from a function of one site and its neighbours.

    The function receives each field as an object whose index is the neighbour (``u[1]`` to the
    right, ``u[0, -1]`` below), each coefficient likewise (half-integer offsets read faces,
    ``kappa[0.5]``), parameters as numbers, and the reserved arguments ``dx dy dz x y z t`` from
    the grid. It returns one rate per field:

        d(field)/dt = function(neighbours, coefficients, parameters, dx, ..., t)

    Args:
        fields: names of the evolving fields, separated by spaces.
        coefficients: names of fields that do not change.
        second_order: one pair or several pairs (position, velocity). The function then returns
            no rate for positions: d(position)/dt = velocity is implied.
        noise: Ito amplitude of white noise per field, each a function of (some of) the rule's
            own arguments.
        at: for staggered lattices, "even" or "odd" per field: the field lives only on the sites
            whose index plus patch index has that parity.

    Returns:
        A decorator that makes a `Rule`.

    Raises:
        RuleError: if names clash, or closures hold anything but numbers and strings.
    """
    return functools.partial(
        _declare, fields, coefficients, second_order, dict(noise or {}), dict(at or {}), False
    )


@checked(RuleError)
def flux_rule(fields: str, coefficients: str | tuple[str, ...] = ()) -> Callable[..., Rule]:
    """Declare a conservation law by its fluxes at the faces +1/2 of a site.

    The function returns one flux per axis (each a tuple over the fields if there are several),
    then optionally the source of each field. The rate is generated:

        d(field)/dt = - sum_a (J_a[+1/2] - J_a[-1/2]) / dx_a + source

    Args:
        fields: names of the evolving fields, separated by spaces.
        coefficients: names of fields that do not change.

    Returns:
        A decorator that makes a `Rule`.

    Raises:
        RuleError: as `rule`.
    """
    return functools.partial(_declare, fields, coefficients, (), {}, {}, True)


def _declare(fields, coefficients, second_order, noise, at, is_flux, function) -> Rule:
    fields = _names(fields)
    coefficients = _names(coefficients)
    if second_order and isinstance(second_order[0], str):
        second_order = (tuple(second_order),)
    arguments = tuple(inspect.signature(function).parameters.values())
    names = tuple(argument.name for argument in arguments)
    taken = fields + coefficients
    clash = sorted(set(taken) & set(RESERVED))
    missing = [name for name in taken if name not in names]
    declared = {name for pair in second_order for name in pair} | set(noise) | set(at)
    stray = sorted(declared - set(fields))
    if clash:
        raise RuleError(f"rule `{function.__name__}`: `{clash[0]}` is reserved for the grid.")
    if not fields or len(set(taken)) != len(taken):
        raise RuleError(f"rule `{function.__name__}`: fields and coefficients need distinct names.")
    hidden = [name for name in missing if name not in dict(second_order).values()]
    if hidden:
        raise RuleError(
            f"rule `{function.__name__}` declares `{hidden[0]}`, but the function has the "
            f"arguments {', '.join(names)}."
        )
    if missing:
        raise RuleError(
            f"rule `{function.__name__}`: add the velocity `{missing[0]}` to the arguments, "
            "even if the force does not read it."
        )
    if stray:
        raise RuleError(f"rule `{function.__name__}`: `{stray[0]}` is not one of its fields.")
    if at and (set(at) != set(fields) or not set(at.values()) <= {"even", "odd"}):
        raise RuleError(
            f"rule `{function.__name__}`: `at` gives 'even' or 'odd' for every field, not {at}."
        )
    for part in (function, *noise.values()):
        _check_closure(function.__name__, part)
    scalars = [a for a in arguments if a.name not in taken and a.name not in RESERVED]
    defaults = {a.name: float(a.default) for a in scalars if a.default is not a.empty}
    return Rule(
        function=function,
        fields=fields,
        coefficients=coefficients,
        second_order=tuple(second_order),
        noise=noise,
        parity={name: int(place == "odd") for name, place in at.items()},
        is_flux=is_flux,
        parameters=tuple(a.name for a in scalars),
        defaults=defaults,
    )


def _names(text) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split()) if isinstance(text, str) else tuple(text)


def _check_closure(rule_name: str, function: Callable) -> None:
    for name, value in inspect.getclosurevars(function).nonlocals.items():
        if isinstance(value, FunctionType) and value is not function:
            _check_closure(rule_name, value)
        elif not isinstance(value, (*_SCALARS, FunctionType, ModuleType)):
            raise RuleError(
                f"rule `{rule_name}` closes over `{name}`, a {type(value).__name__}: "
                "make it a parameter or a coefficient, or close over plain numbers."
            )


Window = tuple[slice, ...]


def evaluate(rule: Rule, u: np.ndarray, environment: Mapping[str, object], inside: Window):
    """Rates of all interior sites by calling the rule's own function on shifted slices.

    This is the reference to which generated code is compared; nothing here is generated.

    Args:
        rule: the micro-rule.
        u: state, [patch, field, *sites].
        environment: values of coefficients (dicts face -> [patch, *sites]), parameters and
            reserved arguments, each broadcastable to [patch, *interior sites].
        inside: slices that select the interior sites.

    Returns:
        du/dt, same shape as `u`, zero on the edge sites.
    """
    arguments = _arguments(rule, rule.function, u, environment, inside)
    if rule.is_flux:
        values = _flux_divergence(rule, arguments, environment)
    else:
        values = flatten(rule.function(**arguments))
    positions = dict(rule.second_order)
    du = np.zeros_like(u)
    remaining = iter(values)
    for index, name in enumerate(rule.fields):
        if name in positions:
            rate = u[(slice(None), rule.fields.index(positions[name]), *inside)]
        else:
            rate = next(remaining)
        if rule.parity:
            rate = rate * environment[mask_name(name)][(slice(None), *inside)]  # type: ignore
        du[(slice(None), index, *inside)] = rate
    return du


def evaluate_noise(rule: Rule, u: np.ndarray, environment: Mapping[str, object], inside: Window):
    """Ito amplitudes of all interior sites, same shape as `u`, zero where there is no noise."""
    amplitude = np.zeros_like(u)
    for index, name in enumerate(rule.fields):
        if name in rule.noise:
            function = rule.noise[name]
            values = function(**_arguments(rule, function, u, environment, inside))
            amplitude[(slice(None), index, *inside)] = values
    return amplitude


def evaluate_fluxes(rule: Rule, u: np.ndarray, environment: Mapping[str, object], window: Window):
    """What a flux rule returns on a window of sites: fluxes axis by axis, then sources."""
    return flatten(rule.function(**_arguments(rule, rule.function, u, environment, window)))


def _arguments(rule: Rule, function, u, environment, window: Window) -> dict[str, object]:
    arguments: dict[str, object] = {}
    for name in inspect.signature(function).parameters:
        if name in rule.fields:
            arrays = {-1: u[:, rule.fields.index(name)]}
            arguments[name] = ShiftedSlices(arrays, window)
        elif name in rule.coefficients:
            arrays = environment.get(name, {})
            arguments[name] = ShiftedSlices(arrays, window)  # type: ignore[arg-type]
        else:
            arguments[name] = environment[name]
    return arguments


def _flux_divergence(rule: Rule, arguments, environment) -> list:
    n_fields, ndim = len(rule.fields), rule.ndim
    here = flatten(rule.function(**arguments))
    rates = [0.0] * n_fields
    for axis in range(ndim):
        moved = {
            name: value.moved(axis, -1) if isinstance(value, ShiftedSlices) else value
            for name, value in arguments.items()
        }
        name, spacing = COORDINATES[axis], environment["d" + COORDINATES[axis]]
        if name in moved:
            moved[name] = moved[name] - spacing
        behind = flatten(rule.function(**moved))
        for index in range(n_fields):
            place = axis * n_fields + index
            rates[index] = rates[index] - (here[place] - behind[place]) / spacing
    if len(here) > ndim * n_fields:
        rates = [r + s for r, s in zip(rates, here[ndim * n_fields :], strict=True)]
    return rates


class ShiftedSlices:
    """A field or coefficient on all patches, read at a neighbour by indexing.

    Args:
        arrays: values by face axis (-1 for sites), each [patch, *sites].
        window: slices of the sites at which the rule is evaluated.
    """

    def __init__(self, arrays: Mapping[int, np.ndarray], window: Window):
        self.arrays, self.window = arrays, window

    def moved(self, axis: int, step: int) -> "ShiftedSlices":
        """The same values, every index moved by `step` sites along an axis."""
        window = list(self.window)
        window[axis] = slice(window[axis].start + step, window[axis].stop + step)
        return ShiftedSlices(self.arrays, tuple(window))

    def __getitem__(self, offset) -> np.ndarray:
        steps = offset if isinstance(offset, tuple) else (offset,)
        face = next((axis for axis, s in enumerate(steps) if not float(s).is_integer()), -1)
        array = self.arrays[face]
        starts = [w.start + math.floor(s) for w, s in zip(self.window, steps, strict=True)]
        stops = [b + w.stop - w.start for b, w in zip(starts, self.window, strict=True)]
        beyond = any(b < 0 for b in starts) or any(map(int.__gt__, stops, array.shape[1:]))
        return self._padded(array, starts, stops) if beyond else _between(array, starts, stops)

    def _padded(self, array: np.ndarray, starts, stops) -> np.ndarray:
        """Values with NaN beyond the patch, where only fluxes that are not asked for read."""
        low = [max(0, -b) for b in starts]
        high = [max(0, e - n) for e, n in zip(stops, array.shape[1:], strict=True)]
        wide = np.pad(array, [(0, 0), *zip(low, high, strict=True)], constant_values=np.nan)
        return _between(wide, np.add(starts, low), np.add(stops, low))


def _between(array: np.ndarray, starts, stops) -> np.ndarray:
    return array[(slice(None), *map(slice, starts, stops))]
