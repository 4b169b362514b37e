"""Which kernel advances a burst: the fastest class whose compiled form is sound."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from gpupatch.backends._cuda_cells import Tile
from gpupatch.backends._cuda_source import (
    ACTS,
    KERNELS,
    Program,
    Teams,
    generate,
    generate_acts,
)
from gpupatch.backends._cuda_tile import tiles_for
from gpupatch.backends._device import Device, Module
from gpupatch.backends._site_loops import Geometry
from gpupatch.errors import BackendError
from gpupatch.micro.rule import Rule

ACT_THREADS = 128
"""Threads of a block of the acts that do not depend on the rule."""

CLASSES = ("auto", "plain", "tile")
"""What may be asked for: the best that compiles, sites in shared memory, sites in registers."""

_BLOCK = 128
"""Threads of a block that holds several teams."""

_SITES_PER_THREAD = 4
_LARGEST_TEAM = 256

_COMPILED_TILES = 3
"""Tiles that are compiled at most before the plain kernel is taken."""


@dataclass(frozen=True, eq=False)
class Compiled:
    """Kernels for one rule.

    Attributes:
        module: the kernels.
        program: what they were generated from.
        teams: how threads are shared out.
        name: what they are.
        reason: why they were chosen.
        tile: lanes and cells, if the state is held in registers.
        static: bytes of shared memory that a burst takes beside what it is given at launch.
    """

    module: Module
    program: Program
    teams: Teams
    name: str
    reason: str
    tile: Tile | None = None
    static: int = 0


@functools.lru_cache(maxsize=256)
def plain(
    device: Device, rule: Rule, geometry: Geometry, dtype: str, stepper: str, measured: int
) -> Compiled:
    """All passes, with the sites of a patch in shared memory, or in device memory if it is large.

    Args:
        device: where they run.
        rule: the micro-rule.
        geometry: sizes.
        dtype: "float64" or "float32".
        stepper: name of the micro-stepper.
        measured: axis of the flux that bursts measure, `SOURCE` or `STATE`.
    """
    teams = plain_teams(geometry)
    program = generate(rule, geometry, dtype, stepper, measured, teams)
    module = device.compile(program.text, KERNELS)
    return Compiled(module, program, teams, f"plain, {teams.team} threads per patch", "")


@functools.lru_cache(maxsize=256)
def for_bursts(
    device: Device,
    rule: Rule,
    geometry: Geometry,
    dtype: str,
    stepper: str,
    measured: int,
    same_slope: bool,
    wanted: str,
) -> Compiled:
    """The kernel for bursts: in registers if it can be, and if the compiler keeps it there.

    A kernel for which the compiler takes local memory is passed over, the next best tile is tried,
    and at last the plain kernel is taken.

    Args:
        device: where it runs.
        rule: the micro-rule.
        geometry: sizes.
        dtype: "float64" or "float32".
        stepper: name of the micro-stepper.
        measured: axis of the flux that bursts measure, `SOURCE` or `STATE`.
        same_slope: whether edges keep their difference to the interior.
        wanted: one of `CLASSES`.
    """
    obstacle = _obstacle(rule, dtype, stepper, same_slope, wanted)
    passed_over: list[str] = []
    for tile in [] if obstacle else tiles_for(rule, geometry, dtype)[:_COMPILED_TILES]:
        teams = _teams(tile.team)
        program = generate(rule, geometry, dtype, stepper, measured, teams, tile)
        try:
            module = device.compile(program.text, ("burst",))
        except BackendError as error:
            passed_over.append(f"{_name(tile)}: {error}")
            continue
        found = module.resources("burst")
        if found.local == 0:
            reason = "the best by count of operations"
            if passed_over:
                reason = f"{reason} that stays in registers, after {'; '.join(passed_over)}"
            return Compiled(module, program, teams, _name(tile), reason, tile, found.shared)
        passed_over.append(f"{_name(tile)} took {found.local} B of local memory")
    found = plain(device, rule, geometry, dtype, stepper, measured)
    reason = obstacle or "; ".join(passed_over) or "the patch does not fit the registers of a team"
    return Compiled(found.module, found.program, found.teams, found.name, reason)


@functools.lru_cache
def acts(device: Device, dtype: str) -> Module:
    """The acts that do not depend on the rule; see `generate_acts`."""
    return device.compile(generate_acts(dtype, ACT_THREADS), ACTS)


def plain_teams(geometry: Geometry) -> Teams:
    """Threads per patch of the plain kernels: about four sites for each.

    Args:
        geometry: sizes.
    """
    low, high = geometry.inside
    count = int(np.prod([b - a for a, b in zip(low, high, strict=True)]))
    wanted, team = -(-count // _SITES_PER_THREAD), 1
    while team < min(wanted, 32):
        team *= 2
    if wanted > 32:
        team = min(_LARGEST_TEAM, 32 * -(-wanted // 32))
    return _teams(team)


def _teams(team: int) -> Teams:
    """Several teams to a block as long as they are groups of lanes of one warp."""
    return Teams(team, _BLOCK if team <= 32 else team)


def _obstacle(rule: Rule, dtype: str, stepper: str, same_slope: bool, wanted: str) -> str:
    """Why no tile can take these steps, or ""."""
    if wanted == "plain":
        return "it was asked for"
    if stepper != "euler":
        return f"tiles take Euler steps, not {stepper}"
    if rule.noise:
        return "tiles take no noise"
    if same_slope:
        return "the edges keep their slope"
    if dtype == "float32" and rule.time_dependent:
        return "the rate of the frozen base changes in time"
    return ""


def _name(tile: Tile) -> str:
    lanes, cells = ("x".join(map(str, sizes)) for sizes in (tile.lanes, tile.cells))
    return f"tile, {lanes} lanes of {cells} cells"
