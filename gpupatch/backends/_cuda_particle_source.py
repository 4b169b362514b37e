"""The CUDA text for the particles of one model: printed potentials between hand-written kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp

from gpupatch.backends._cuda_source import kernel_text
from gpupatch.micro.printers import CudaPrinter
from gpupatch.particles.dynamics import DYNAMICS
from gpupatch.particles.interaction import ScalarForm
from gpupatch.particles.model import ParticleModel
from gpupatch.particles.observe import COMPONENTS
from gpupatch.particles.potential import SQUARE, RadialForm

KERNEL = "particle_burst"
CLASSES = ("auto", "warp", "block", "list")
"""What may be asked for: the best for the model, a warp per patch with its particles in registers,
a block per patch that looks at all pairs, a block per patch with a list of neighbours."""

_TYPES = {"float64": "double", "float32": "float"}
_SIZES = """
typedef {type} T;
constexpr int D = {ndim}, N_CONTROL = {n_control}, DYNAMICS = {dynamics};
constexpr int PAIR_TYPES = {pair_types}, FIELD_TYPES = {field_types}, MASS_TYPES = {mass_types};
constexpr int PAIR_NUMBERS = {pair_numbers}, FIELD_NUMBERS = {field_numbers};
constexpr bool PAIR = {pair}, BONDS = {bonds}, ANGLES = {angles}, FIELD = {field};
constexpr int PERIODIC = {periodic}, REFLECTING = {reflecting};
constexpr bool FULL = {full}, SITES_SHARED = {sites_shared}, LIST_SHARED = {list_shared};
constexpr int CAPACITY = {capacity}, ROWS = {rows};
constexpr int TEAM = {team}, THREADS = {threads}, BLOCKS = {blocks};
"""
_EXTRA = {"hard_rods": "particles_rods.cuh", "heat_driven": "particles_driven.cuh"}


@dataclass(frozen=True)
class Shape:
    """How the particles of a patch are given to threads.

    Attributes:
        kind: "warp", "block" or "list".
        capacity: room for particles in every patch, if that is a constant of the kernel; else 0.
        rows: particles of one thread that are held in registers; 1 where they are not.
        team: threads of a patch.
        threads: threads of a block.
        blocks: blocks that share a multiprocessor at least.
        full: whether every thread has all its rows in every patch.
        sites_shared: whether positions are held in shared memory.
        list_shared: whether the list of neighbours is.
    """

    kind: str
    capacity: int
    rows: int
    team: int
    threads: int
    blocks: int
    full: bool = False
    sites_shared: bool = True
    list_shared: bool = True


class _Printer(CudaPrinter):
    """1/s by a reciprocal without the checks of a division: squared distances are positive."""

    def _Pow(self, expr) -> str:
        base, exponent = expr.as_base_exp()
        if base.is_Symbol and base.name == SQUARE and exponent == -1:
            return f"reciprocal({SQUARE})"
        return super()._Pow(expr)


def particle_text(model: ParticleModel, dtype: str, shape: Shape) -> str:
    """Write the source of the burst.

    Args:
        model: the micro-simulator.
        dtype: "float64" or "float32".
        shape: how threads are given particles.

    Returns:
        CUDA C++ that defines the kernel `KERNEL`.
    """
    pair, field = model.pair, model.field
    sizes = _SIZES.format(
        type=_TYPES[dtype],
        ndim=model.ndim,
        n_control=len(model.dynamics.controls),
        dynamics=model.dynamics.kind.upper(),
        pair_types=1 if pair is None else pair.n_types,
        field_types=1 if field is None else field.n_types,
        mass_types=len(model.masses),
        pair_numbers=0 if pair is None else len(pair.form.scalars),
        field_numbers=0 if field is None else len(field.form.scalars),
        pair=_truth(pair is not None),
        bonds=_truth(model.bonds is not None),
        angles=_truth(model.angles is not None),
        field=_truth(field is not None),
        periodic=_mask(model, "periodic"),
        reflecting=_mask(model, "reflecting"),
        full=_truth(shape.full),
        sites_shared=_truth(shape.sites_shared),
        list_shared=_truth(shape.list_shared),
        capacity=shape.capacity,
        rows=shape.rows,
        team=shape.team,
        threads=shape.threads,
        blocks=shape.blocks,
    )
    extra = _EXTRA.get(model.dynamics.kind)
    return "\n".join(
        [
            kernel_text("prologue.cuh"),
            _enumeration("KINDS", DYNAMICS),
            _enumeration("OBSERVABLES", COMPONENTS),
            sizes,
            _site(model),
            kernel_text("philox.cuh"),
            kernel_text("particles.cuh"),
            _radial("pair", None if pair is None else pair.form),
            _radial("bond", None if model.bonds is None else model.bonds.form),
            _angle(None if model.angles is None else model.angles.form),
            _field(None if field is None else field.form, model.ndim),
            kernel_text("particles_bonded.cuh"),
            *map(kernel_text, _CROWDS[shape.kind]),
            kernel_text("particles_steps.cuh"),
            *([kernel_text(extra)] if extra else []),
            kernel_text("particles_observe.cuh"),
            kernel_text("particles.cu"),
        ]
    )


_CROWDS = {
    "warp": ("particles_warp.cuh",),
    "block": ("particles_all.cuh", "particles_block.cuh"),
    "list": ("particles_list.cuh", "particles_block.cuh"),
}


def site_bytes(model: ParticleModel, itemsize: int) -> int:
    """Bytes of what neighbours see of a particle.

    Args:
        model: the micro-simulator.
        itemsize: bytes of a value in the working precision.
    """
    wanted = model.ndim * itemsize + 4 * _told_apart(model)
    return next(size for size in (4, 8, 16, 32) if size >= wanted)


def _told_apart(model: ParticleModel) -> bool:
    return model.pair is not None and model.pair.n_types > 1


def _site(model: ParticleModel) -> str:
    """What neighbours see of a particle: its position, and its type if there are several."""
    kind, given, kept = "", "0", ""
    if _told_apart(model):
        kind, given, kept = "  int kind;\n", "site.kind", "site.kind = kind;"
    words = model.ndim + bool(kind)
    aligned = {1: "sizeof(T)", 2: "2 * sizeof(T)"}.get(words, "16")
    return (
        f"struct __align__({aligned}) Site {{\n  T x[D];\n{kind}}};\n"
        f"__device__ int kind_of(const Site& site) {{ return {given}; }}\n"
        f"__device__ void set_kind(Site& site, int kind) {{ {kept} }}\n"
    )


def _radial(name: str, form: RadialForm | None) -> str:
    """Functions of s = r^2: g = -V'/r, alone and with the energy V."""
    force = f"{_HEAD} T {name}_force(T {SQUARE}, const T* q)"
    both = f"{_HEAD} void {name}_both(T {SQUARE}, const T* q, T& energy, T& g)"
    if form is None:
        return f"{force} {{ return T(0); }}\n{both} {{ energy = g = T(0); }}\n"
    alone, g = form.force
    statements, energy, g_too = form.both
    return _function(force, form.scalars, alone, [f"return {_print(g)};"]) + _function(
        both, form.scalars, statements, [f"energy = {_print(energy)};", f"g = {_print(g_too)};"]
    )


def _angle(form: ScalarForm | None) -> str:
    """The bending energy V of c, and dV/dc."""
    if form is None:
        return f"{_HEAD} void angle_both(T, const T*, T& e, T& slope) {{ e = slope = T(0); }}\n"
    head = f"{_HEAD} void angle_both(T {form.arguments[0]}, const T* q, T& energy, T& slope)"
    results = [f"energy = {_print(form.energy)};", f"slope = {_print(form.gradient[0])};"]
    return _function(head, form.scalars, form.statements, results)


def _field(form: ScalarForm | None, ndim: int) -> str:
    """The external energy V of a position, and its gradient."""
    head = f"{_HEAD} void field_both(const T* x, const T* q, T& energy, T* slope)"
    if form is None:
        return f"{head} {{ energy = T(0); }}\n"
    given = [f"[[maybe_unused]] const T {name} = {f'x[{a}]' if a < ndim else 'T(0)'};"
             for a, name in enumerate(form.arguments)]  # fmt: skip
    results = [f"energy = {_print(form.energy)};"]
    results += [f"slope[{a}] = {_print(form.gradient[a])};" for a in range(ndim)]
    return _function(head, form.scalars, form.statements, results, given)


_HEAD = "__device__ __forceinline__"


def _function(
    head: str, scalars: Sequence[str], statements: Sequence[tuple[str, sp.Basic]],
    results: Sequence[str], given: Sequence[str] = (),
) -> str:  # fmt: skip
    numbers = [f"[[maybe_unused]] const T {name} = q[{k}];" for k, name in enumerate(scalars)]
    lines = [f"const auto {name} = {_print(expression)};" for name, expression in statements]
    body = [*numbers, *given, *lines, *results]
    return "\n".join([f"{head} {{", *(f"  {line}" for line in body), "}"]) + "\n"


def _print(expression) -> str:
    return _Printer()(sp.sympify(expression))


def _enumeration(count: str, names) -> str:
    return f"enum {{ {', '.join(name.upper() for name in names)}, {count} }};\n"


def _mask(model: ParticleModel, boundary: str) -> int:
    return sum(1 << a for a, one in enumerate(model.boundary) if one == boundary)


def _truth(value: bool) -> str:
    return "true" if value else "false"
