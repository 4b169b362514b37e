"""The steps of a burst in registers: a team of lanes covers the sites of one patch."""

from __future__ import annotations

from dataclasses import replace

from gpupatch.backends._cuda_cells import Known, Tile, cell_name
from gpupatch.backends._cuda_choice import candidates, choose, programs
from gpupatch.backends._cuda_schedule import Schedule
from gpupatch.backends._site_loops import Geometry, SiteLoop
from gpupatch.backends._steps import write_steps
from gpupatch.micro.lower import Lowering
from gpupatch.micro.printers import CudaPrinter
from gpupatch.micro.rule import Rule

_BODY, _UNROLLED = 100, 4
"""Operations, and steps, of an unrolled loop at most; a longer one would need more registers."""

_RUN = """\
__device__ int run(T* w, int turn, const Given& given, const Edge& edge, int64_t first, int count,
                   double t, double dt, const Team& team) {{
  const T* from = w + turn * SIZE;
  T* to = w + (1 - turn) * SIZE;
{known}
{load}
  if (edge.mode == MOVING) {{
    for (int i = team.rank; i < SIZE; i += TEAM) to[i] = T(0.0);
    team.sync();
    for (int i = team.rank; i < edge.n_ring; i += TEAM)
      to[edge.ring[i]] = T(dt * edge.scale * edge.speed[i]);
    team.sync();
{moving}
    team.sync();
  }} else {{
{still}
  }}
{store}
  const double since = (t + (first + count) * dt - edge.start) * edge.scale;
  for (int i = team.rank; i < edge.n_ring; i += TEAM) {{
    const int k = edge.ring[i];
    to[k] = edge.mode == MOVING ? T(edge.first[i] + since * edge.speed[i]) : from[k];
  }}
  return 1 - turn;
}}
"""


def tiles_for(rule: Rule, geometry: Geometry, dtype: str) -> list[Tile]:
    """Tiles in which the steps of a rule fit the registers, best first.

    Args:
        rule: the micro-rule.
        geometry: sites of a patch.
        dtype: "float64" or "float32".

    Returns:
        The tiles; none if patches are too large, or if the rate of a frozen base, on which float32
        is built, changes in time.
    """
    single = dtype == "float32"
    if single and rule.time_dependent:
        return []
    lowering = Lowering(rule.fields, rule.accesses, rule.ndim, dict(geometry.alike))
    block = _increments(rule, geometry, lowering, single).block
    return [choice.tile for choice in candidates(block, geometry, single)]


def write_tile_run(
    rule: Rule, geometry: Geometry, lowering: Lowering, tile: Tile, single: bool
) -> str:
    """Write the function `run`, which takes Euler steps of one patch with its state in registers.

    All lanes of a warp must come to it together: values pass between them.

    Args:
        rule: the micro-rule.
        geometry: sites of a patch.
        lowering: tables in the working precision; what is missing is added.
        tile: lanes and cells, of `tiles_for`.
        single: whether the state is a float32 perturbation of a frozen base.

    Returns:
        CUDA C++; edges are frozen or move.
    """
    loop = _increments(rule, geometry, lowering, single)
    choice = choose(programs(loop.block), geometry, tile, single)
    known = Known(choice.program, geometry, tile)
    still, moving = (choice.steps(known, single, moves) for moves in (False, True))
    load, store = [], []
    for cell in tile.box:
        kind = known.kind(cell)
        for f in range(len(rule.fields)):
            name = cell_name("u", f, cell)
            load.append(f"T {name} = {known.site('from', f, cell)};")
            if kind is not None:
                guard = f"if ({known.live(kind)}) " if any(kind) else ""
                store.append(f"{guard}{known.site('to', f, cell)} = {name};")
    for name, (f, at) in still.lane.edges.items():
        load.append(f"T {name} = {known.site('from', f, at)};")
    if still.lane.exchanged:
        load.insert(0, f"GP_SHARED(T, around, [2][{len(still.lane.exchanged)}][{tile.team}]);")
    return _RUN.format(
        known=_text(known.lines),
        load=_text(load),
        moving=_text([*moving.lane.before, *_steps(moving, loop)], 4),
        still=_text([*still.lane.before, *_steps(still, loop)], 4),
        store=_text(store),
    )


def counted(
    rule: Rule, geometry: Geometry, lowering: Lowering, tile: Tile, single: bool
) -> dict[str, float]:
    """Count the operations of a step with frozen edges as they are written.

    Args:
        rule: the micro-rule.
        geometry: sites of a patch.
        lowering: tables in the working precision; what is missing is added.
        tile: lanes and cells.
        single: whether the state is a float32 perturbation of a frozen base.

    Returns:
        Operations per cell by kind, see `_cuda_lane`.
    """
    block = _increments(rule, geometry, lowering, single).block
    choice = choose(programs(block), geometry, tile, single)
    count = choice.steps(Known(choice.program, geometry, tile), single, moving=False).count
    return {kind: n / len(tile.box) for kind, n in count.items() if kind}


def _steps(schedule: Schedule, loop: SiteLoop) -> list[str]:
    times = min(_UNROLLED, max(1, _BODY // schedule.count.total()))
    lines = [f"#pragma unroll {times}", "for (int step = 0; step < count; ++step) {"]
    moment = loop.moment(CudaPrinter)
    if moment:
        lines.append("  const double now = t + (first + step) * dt;")
        lines += [f"  const {m.type} {m.target} = {m.value};" for m in moment]
    return [*lines, *(f"  {line}" for line in schedule.lines), "}"]


def _increments(rule: Rule, geometry: Geometry, lowering: Lowering, single: bool) -> SiteLoop:
    loop = write_steps(rule, geometry, lowering, "euler", single).turns[0][0].loop
    return replace(loop, scalar="given.q[{}]")


def _text(lines: list[str], indent: int = 2) -> str:
    return "\n".join(" " * indent * (not line.startswith("#")) + line for line in lines)
