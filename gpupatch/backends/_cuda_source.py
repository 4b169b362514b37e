"""The CUDA text for one rule: generated functions between the hand-written kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import sympy as sp

from gpupatch.backends._cuda_cells import Tile
from gpupatch.backends._cuda_tile import write_tile_run
from gpupatch.backends._site_loops import Assignment, Geometry, SiteLoop, store_in
from gpupatch.backends._steps import STATE, Steps, lower_passes
from gpupatch.micro.conservation import flux_form
from gpupatch.micro.lower import STEP, Load, Lowering
from gpupatch.micro.model import SOURCE
from gpupatch.micro.printers import CudaPrinter
from gpupatch.micro.rule import Rule

KERNELS = ("burst", "rate_all", "begin_all", "pass_all", "kick_all", "tick", "end_all")
ACTS = ("couple", "lift_all", "restrict_all", "combine_states", "combine_coarse")

_RESIDENT, _RESIDENT_FEW = 384, 256
"""Threads that share a multiprocessor at least: 168 registers for each, or all 255 where needed."""

_MANY_FIELDS = 5
"""Fields from which a thread may need more than 168 registers; those of a tile always may."""

_TYPES = {"float64": "double", "float32": "float"}

_SIZES = """
typedef {type} T;
constexpr int N_FIELD = {n_field}, N_SITE = {n_site}, SIZE = N_FIELD * N_SITE;
constexpr int N_SLOT = {n_slot}, BASE = N_SLOT * SIZE, ROW = {row};
constexpr bool SINGLE = {single}, NOISY = {noisy}, MEASURES = {measures}, REFRESHED = {refreshed};
constexpr int TEAM = {team}, THREADS = {threads}, BLOCKS = {blocks};
"""

_GIVEN = [
    "[[maybe_unused]] const T* s = given.s;",
    "[[maybe_unused]] const double *q = given.q, *e = given.e, *r = given.r;",
    "[[maybe_unused]] const double* base = given.base;",
]


@dataclass(frozen=True)
class Teams:
    """How threads are shared out.

    Attributes:
        team: threads that advance one patch: a power of two up to 32, or a multiple of 32.
        threads: threads of a block; equal to `team` if that is more than 32.
    """

    team: int
    threads: int


@dataclass(frozen=True, eq=False)
class Program:
    """Generated source and the tables that must be handed to it.

    Attributes:
        text: CUDA C++.
        point: scalars and statics of the rates, in the working precision.
        exact: scalars and statics of what is evaluated in float64.
        steps: the micro-stepper.
        row: entries of the row of a patch.
    """

    text: str
    point: Lowering
    exact: Lowering
    steps: Steps
    row: int


def generate(
    rule: Rule,
    geometry: Geometry,
    dtype: str,
    stepper: str,
    measured: int,
    teams: Teams,
    tile: Tile | None = None,
) -> Program:
    """Write the source of all passes for one rule, or of bursts in registers.

    Args:
        rule: the micro-rule.
        geometry: sizes, which become constants of the source.
        dtype: "float64" or "float32".
        stepper: name of the micro-stepper.
        measured: axis of the flux that bursts measure, `SOURCE` or `STATE`.
        teams: how threads are shared out.
        tile: lanes and cells of a team that holds its patch in registers; there is only the kernel
            `burst` then.

    Returns:
        The program.

    Raises:
        RuleError: if the rule has no form in that dtype, or no flux.
        SchemeError: if the stepper does not exist or does not fit the rule.
    """
    single = dtype == "float32"
    amplitudes, point, exact, steps = lower_passes(rule, geometry, stepper, measured, single)
    size = len(rule.fields) * geometry.n_site
    base = steps.n_slot * size
    row = base + 2 * size * single
    refreshed = single and rule.time_dependent
    roomy = tile is not None or len(rule.fields) >= _MANY_FIELDS
    resident = _RESIDENT_FEW if roomy else _RESIDENT
    sizes = _SIZES.format(
        type=_TYPES[dtype],
        n_field=len(rule.fields),
        n_site=geometry.n_site,
        n_slot=steps.n_slot,
        row=row,
        single=_truth(single),
        noisy=_truth(bool(rule.noise)),
        measures=_truth(measured != STATE),
        refreshed=_truth(refreshed),
        team=teams.team,
        threads=teams.threads,
        blocks=max(1, resident // teams.threads),
    )
    generated = [
        _rates(rule, geometry, point, exact, single),
        _freeze(rule, geometry, exact, base + size, single),
        _amplitudes(amplitudes, geometry, exact, single),
        _measure(rule, geometry, exact, measured, single),
        _run(steps, geometry)
        if tile is None
        else write_tile_run(rule, geometry, point, tile, single),
        _run_pass(steps, geometry),
    ]
    kernels = ["burst.cu"] if tile else ["burst.cu", "coupled.cu"]
    text = "\n".join(
        [
            kernel_text("prologue.cuh"),
            sizes,
            kernel_text("philox.cuh"),
            kernel_text("patch.cuh"),
            kernel_text("lifting.cuh"),
            *generated,
            *map(kernel_text, kernels),
        ]
    )
    return Program(text, point, exact, steps, row)


def generate_acts(dtype: str, threads: int) -> str:
    """Write the source of the acts that do not depend on the rule: couple, lift, restrict.

    Args:
        dtype: "float64" or "float32".
        threads: threads of a block.
    """
    sizes = f"typedef {_TYPES[dtype]} T;\nconstexpr int TEAM = {threads}, THREADS = {threads};\n"
    names = ("philox.cuh", "patch.cuh", "lifting.cuh", "acts.cu")
    return "\n".join([kernel_text("prologue.cuh"), sizes, *(kernel_text(name) for name in names)])


@cache
def kernel_text(name: str) -> str:
    """The text of a file of kernels, in the wheel or beside the package in a checkout.

    Args:
        name: name of the file.
    """
    package = Path(__file__).parents[1]
    shipped = package / "_kernels" / name
    path = shipped if shipped.exists() else package.parent / "kernels" / name
    return f'#line 1 "{name}"\n{path.read_text(encoding="utf-8")}'


def _rates(rule: Rule, geometry: Geometry, point: Lowering, exact: Lowering, single: bool) -> str:
    """Rates times the step; in float32 they are evaluated in float64 and rounded once."""
    rates = [STEP * rate for rate in rule.rates]
    head = "rate_sites(T* out, const T* w, {})"
    store = store_in("out", geometry)
    if single:
        return _exact(head, rates, geometry, exact, single, store, "out")
    loop = SiteLoop(point.block(rates), _read_whole(single), store)
    return _loop_function(head, loop, geometry, "out")


def _freeze(rule: Rule, geometry: Geometry, exact: Lowering, start: int, single: bool) -> str:
    """In float32, the increment of the base, evaluated in float64 and rounded once."""
    head = "freeze(T* w, {})"
    if not single:
        return _function(head, [])
    rates, store = [STEP * rate for rate in rule.rates], store_in("w", geometry, start)
    loop = SiteLoop(
        exact.block(rates), lambda load, place: f"base[{place} + i]", store, "float64",
        "e[{} + i]", "r[{}]",
    )  # fmt: skip
    return _loop_function(head, loop, geometry)


def _measure(rule: Rule, geometry: Geometry, exact: Lowering, measured: int, single: bool) -> str:
    """The flux through the faces across an axis, the source, or nothing."""
    head = "measure_sites(double* z, const T* w, {})"
    if measured == STATE:
        return _function(head, [])
    low, high = geometry.inside
    fluxes, sources = flux_form(rule)
    values = sources if measured == SOURCE else fluxes[measured]
    if measured >= 0:
        low[measured] -= 1
    window = (low, high)
    return _exact(head, values, geometry, exact, single, store_in("z", geometry), "z", window)


def _amplitudes(values, geometry: Geometry, exact: Lowering, single: bool) -> str:
    """Ito amplitudes of the noise."""
    head = "amplitude_sites(double* z, const T* w, {})"
    if not any(values):
        return _function(head, [])
    return _exact(head, values, geometry, exact, single, store_in("z", geometry), "z")


def _exact(
    head: str, values: Sequence[sp.Expr], geometry: Geometry, exact: Lowering, single: bool,
    store, cleared: str, window=None,
) -> str:  # fmt: skip
    """A function that evaluates something in float64."""
    read = _read_whole(single)
    loop = SiteLoop(exact.block(values), read, store, "float64", "e[{} + i]", "r[{}]")
    return _loop_function(head, loop, geometry, cleared, window)


def _read_whole(single: bool) -> Callable[[Load, int], str]:
    if single:
        return lambda load, place: f"(base[{place} + i] + w[{place} + i])"
    return lambda load, place: f"w[{place} + i]"


def _run(steps: Steps, geometry: Geometry) -> str:
    """Steps of one patch on its own."""
    turns, fetched = [], {}
    for passes in steps.turns:
        lines = []
        for k, one in enumerate(passes):
            fetched |= {line.target: line for line in one.loop.scalars()}
            body = [f"const double now = begin + {one.time!r} * dt;"]
            if k and one.slot is not None:
                body.append(
                    f"if (edge.mode != FROZEN) settle(w + {one.slot} * SIZE, edge, now, team);"
                )
            body.append("if (REFRESHED) { freeze(w, given, now, team); team.sync(); }")
            body += _assignments(one.loop.moment(CudaPrinter))
            body += [*_site_lines(one.loop, geometry), "team.sync();"]
            lines += _braced(body)
        turns.append(lines)
    if len(turns) == 2:
        chosen = [
            "if (turn == 0)",
            *_braced(turns[0]),
            "else",
            *_braced(turns[1]),
            "turn = 1 - turn;",
        ]
    else:
        chosen = turns[0]
    settled = "settle(w + turn * SIZE, edge, begin + dt, team);"
    step = [
        "const double begin = t + step * dt;",
        *chosen,
        f"if (edge.mode != FROZEN && !NOISY) {settled}",
    ]
    lines = [
        *_assignments(list(fetched.values())),
        "for (int64_t step = first; step < first + count; ++step)",
        *_braced(step),
        "return turn;",
    ]
    arguments = (
        "T* w, int turn, const Given& given, const Edge& edge, int64_t first, int count, double t, "
        "double dt, const Team& team"
    )
    return _text(f"__device__ int run({arguments})", [*_GIVEN, *lines])


def _run_pass(steps: Steps, geometry: Geometry) -> str:
    """One pass of a step of one patch."""
    lines = []
    for number, one in enumerate(one for passes in steps.turns for one in passes):
        body = _assignments([*one.loop.scalars(), *one.loop.moment(CudaPrinter)])
        lines += [f"if (number == {number})", *_braced(body + _site_lines(one.loop, geometry))]
    return _function("run_pass(int number, T* w, {})", lines)


def _loop_function(
    head: str, loop: SiteLoop, geometry: Geometry, cleared: str = "", window=None
) -> str:
    lines = _assignments([*loop.scalars(), *loop.moment(CudaPrinter)])
    if cleared:
        zero = f"for (int i = team.rank; i < SIZE; i += TEAM) {cleared}[i] = 0;"
        lines = [zero, "team.sync();", *lines]
    return _function(head, lines + _site_lines(loop, geometry, window))


def _function(head: str, lines: Sequence[str]) -> str:
    signature = head.format("const Given& given, double now, const Team& team")
    return _text(f"__device__ void {signature}", [*_GIVEN, *lines] if lines else [])


def _site_lines(loop: SiteLoop, geometry: Geometry, window=None) -> list[str]:
    """The loop over the sites of a window, shared between the threads of a team."""
    low, high = window or geometry.inside
    lengths = [end - first for first, end in zip(low, high, strict=True)]
    terms, inner, count = [], 1, 1
    for axis in reversed(range(len(lengths))):
        stride = geometry.place([int(k == axis) for k in range(len(lengths))])
        index = "k" if inner == 1 else f"k / {inner}"
        index = index if axis == 0 else f"{index} % {lengths[axis]}"
        terms.append(f"{index}" if stride == 1 else f"({index}) * {stride}")
        inner *= lengths[axis]
        count *= lengths[axis]
    body = [f"const int i = {' + '.join(reversed(terms))};"]
    body += _assignments(loop.site(geometry, low, CudaPrinter))
    return [f"for (int k = team.rank; k < {count}; k += TEAM)", *_braced(body)]


def _assignments(lines: Sequence[Assignment]) -> list[str]:
    return [
        f"const {line.type} {line.target} = {line.value};" if line.type
        else f"{line.target} = {line.value};"
        for line in lines
    ]  # fmt: skip


def _braced(lines: Sequence[str]) -> list[str]:
    return ["{", *(f"  {line}" for line in lines), "}"]


def _text(head: str, lines: Sequence[str]) -> str:
    return "\n".join([head, *_braced(lines)]) + "\n"


def _truth(value: bool) -> str:
    return "true" if value else "false"
