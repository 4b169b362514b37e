"""The lowered form of a rule as text, and the check that it still is what the rule computes."""

from __future__ import annotations

import functools

import sympy as sp

from gpupatch.errors import RuleError, suggestion
from gpupatch.micro.lower import STEP, Block, Lowering
from gpupatch.micro.perturb import perturbed
from gpupatch.micro.printers import ArrayPrinter, CudaPrinter, ScalarPrinter
from gpupatch.micro.rule import Rule

TARGETS = ("numba", "numpy", "cuda")
_TYPES = {"float64": "double", "float32": "float"}
DTYPES = ("float64", "float32")


@functools.lru_cache(maxsize=64)
def rule_source(rule: Rule, target: str = "numba", dtype: str = "float64") -> str:
    """The generated source of a rule.

    Args:
        rule: the micro-rule.
        target: "numba" for the operations at one site that the CPU backend splices into its
            loops, "cuda" for those that the GPU backend splices into its kernels, "numpy" for the
            same expressions on arrays.
        dtype: "float64", or "float32" for the perturbation form, which comes as two functions:
            ``..._base``, to be evaluated in float64 on the frozen state b, and ``..._change``.

    Returns:
        Python source, or CUDA C++. Values are named ``f_u_p1`` for u[1] (in ``..._change``: for its
        change v), ``b_u_p1`` for b there, ``c_kappa_f0_m1`` for kappa[-0.5].

    Raises:
        RuleError: for an unknown target or dtype, or if the rule has no form in that dtype.
    """
    for given, allowed in ((target, TARGETS), (dtype, DTYPES)):
        if given not in allowed:
            raise RuleError(
                f"rule `{rule.name}` has no source for `{given}`. {suggestion(given, allowed)}"
            )
    lowering = Lowering(rule.fields, rule.accesses, rule.ndim)
    if dtype == "float64":
        return _function(rule.name, lowering, rule.rates, target, dtype)
    base = _function(f"{rule.name}_base", lowering, rule.rates, target, "float64")
    form = perturbed(rule)
    lowering = Lowering(rule.fields, rule.accesses, rule.ndim)
    for symbol, access in form.read.items():
        lowering.declare(symbol, "base", access)
    name, known = f"{rule.name}_change", form.definitions
    return f"{base}\n\n{_function(name, lowering, form.rates, target, dtype, known)}"


def _function(name: str, lowering: Lowering, rates, target: str, dtype: str, known=()) -> str:
    if target == "numpy":
        return _array_function(name, lowering, lowering.block(rates, known), dtype)
    block = lowering.block([STEP * rate for rate in rates], known)
    if target == "cuda":
        return _device_function(name, lowering, block, _TYPES[dtype])
    return _point_function(name, lowering, block)


def _device_function(name: str, lowering: Lowering, block: Block, kind: str) -> str:
    """The operations at one site in CUDA C++; scalars and statics are explained in comments."""
    printer, exact = CudaPrinter(kind), CudaPrinter("double")
    values = [load.symbol for load in block.loads] + [scalar for scalar, _ in block.scalars]
    arguments = [f"{kind} {value}" for value in values] + ["double t"] * bool(block.stage)
    arguments += [f"{kind}& d{k}" for k in range(len(block.outputs))]
    lines = [f"__device__ void {name}({', '.join(arguments)}) {{"]
    lines += [f"  // {text}" for text in _explained(lowering)]
    lines += [f"  const {kind} {symbol} = {exact(e)};" for symbol, e in block.stage]
    lines += [f"  const {kind} {symbol} = {printer(e)};" for symbol, e in block.statements]
    lines += [f"  d{k} = {printer(e)};" for k, e in enumerate(block.outputs)]
    return "\n".join([*lines, "}"]) + "\n"


def _explained(lowering: Lowering) -> list[str]:
    """What the scalars and statics stand for."""
    known = {symbol: f"{symbol} = {e}" for e, symbol in _named(lowering.scalars)}
    known |= {f"_s{index}": f"_s{index}[0] = {e}" for e, index in lowering.statics.items()}
    return list(known.values())


def _point_function(name: str, lowering: Lowering, block: Block) -> str:
    """The operations at one site; scalars and statics are arguments, defined in the docstring."""
    printer, exact = ScalarPrinter("T"), ScalarPrinter("float64")
    arguments = [load.symbol for load in block.loads] + [scalar for scalar, _ in block.scalars]
    arguments += ["t"] if block.stage else []
    lines = [f"def {name}({', '.join(arguments)}):"]
    lines += [f"    # {text}" for text in _explained(lowering)]
    lines += [f"    {symbol} = T({exact(e)})" for symbol, e in block.stage]
    lines += [f"    {symbol} = {printer(e)}" for symbol, e in block.statements]
    lines.append(f"    return {_tuple(printer(e) for e in block.outputs)}")
    return "\n".join(lines) + "\n"


def _array_function(name: str, lowering: Lowering, block: Block, dtype: str) -> str:
    """The same on arrays that broadcast; scalars and statics are computed on the way."""
    printer, cast = ArrayPrinter(), f"np.{dtype}"
    statics = {load.symbol: lowering.static(load) for load in block.loads if load.array == "static"}
    scalars = {symbol: e for e, symbol in _named(lowering.scalars)}
    early = [(s, scalars[s]) for s, _ in block.scalars] + list(statics.items()) + list(block.stage)
    defined = {symbol for symbol, _ in (*early, *block.statements)}
    read = [e for _, e in (*early, *block.statements)] + list(block.outputs)
    names = {str(symbol) for e in read for symbol in e.free_symbols} - defined
    lines = [f"def {name}({', '.join(sorted(names))}):"]
    lines += [f"    {symbol} = {cast}({printer(e)})" for symbol, e in early]
    lines += [f"    {symbol} = {printer(e)}" for symbol, e in block.statements]
    lines.append(f"    return {_tuple(printer(e) for e in block.outputs)}")
    return "\n".join(lines) + "\n"


def _named(scalars) -> list[tuple[sp.Expr, str]]:
    return [(expression, symbol.name) for expression, symbol in scalars.items()]


def _tuple(values) -> str:
    return "(" + "".join(f"{value}, " for value in values).rstrip() + ")"
