"""Which tile is the cheapest, by counting the operations that it would take."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from gpupatch.backends._cuda_cells import WARP, Known, Tile
from gpupatch.backends._cuda_lane import ADD, CHOICE, FMA, FUNCTION, MULTIPLY, SHARED, SHUFFLE, Lane
from gpupatch.backends._cuda_nodes import Program
from gpupatch.backends._cuda_schedule import Schedule
from gpupatch.backends._cuda_share import FOLD, MERGE, SPLIT, share
from gpupatch.backends._site_loops import Geometry
from gpupatch.micro.lower import Block

_REGISTERS, _RESERVED = 255, 24
"""Registers of a thread, of 4 bytes, and how many of them hold no values of a step."""

_FILE = 65536
"""Registers of a multiprocessor."""

_CROWDED, _ROOMY = 168, 208
"""Registers of a thread above which the warps of a multiprocessor wait for each other at times, and
up to which all is kept in them: above, the code around the steps may lack some."""

_TEAM, _SHARED = 512, 32768
"""Threads of the largest team, and bytes that it may exchange."""

_FOUND, _TRIED, _BOLD = 6, 40, 2
"""Tiles that are offered, that are counted at most, and that come before one with room to spare."""

_LOOP, _BARRIER, _FUNCTION = 6, 20, 20
"""Instructions of a loop, of a barrier and of a function, roughly."""


@dataclass(frozen=True, eq=False)
class Choice:
    """A tile, and how a step is written for it.

    Attributes:
        tile: lanes and cells.
        program: what is computed at a site.
        masks_factors: how cells are frozen, see `Lane`.
        registers: of a thread, estimated.
        shared: bytes that a team exchanges.
        cost: cycles of a scheduler per live cell and step, estimated.
    """

    tile: Tile
    program: Program
    masks_factors: bool
    registers: int
    shared: int
    cost: float

    @property
    def fits(self) -> bool:
        """Whether registers and shared memory suffice."""
        return self.registers <= _limit(self.tile) and self.shared <= _SHARED

    def fits_moving(self, geometry: Geometry, single: bool) -> bool:
        """Whether registers suffice when edges move."""
        moving = self.steps(Known(self.program, geometry, self.tile), single, moving=True)
        return _registers(moving, single) <= _limit(self.tile)

    def steps(self, known: Known, single: bool, moving: bool) -> Schedule:
        """The lines of a step; see `Lane`."""
        full = Schedule(Lane(known, single, moving, self.masks_factors))
        if not moving or _registers(full, single) <= min(_ROOMY, _limit(self.tile)):
            return full
        return Schedule(Lane(known, single, moving, self.masks_factors, lean=True))


def programs(block: Block) -> list[Program]:
    """The different ways to write a block of increments."""
    written = [share(block, grouping) for grouping in (SPLIT, FOLD, MERGE)]
    return list({(tuple(p.nodes), tuple(p.updates)): p for p in written}.values())


def choose(written: list[Program], geometry: Geometry, tile: Tile, single: bool) -> Choice:
    """How a step is best written for a tile.

    Args:
        written: of `programs`.
        geometry: sites of a patch.
        tile: lanes and cells.
        single: whether the state is a float32 perturbation of a frozen base.

    Returns:
        The cheapest way of those that fit the registers, or that which takes the fewest.
    """
    found: list[Choice] = []
    for program in written:
        for masks_factors in (True, False):
            found.append(_weighed(tile, program, masks_factors, geometry, single))
            if found[-1].fits or program.unsafe:
                break
    fitting = [choice for choice in found if choice.fits]
    if fitting:
        return min(fitting, key=lambda choice: choice.cost)
    return min(found, key=lambda choice: choice.registers)


def candidates(block: Block, geometry: Geometry, single: bool) -> list[Choice]:
    """Choices that fit the registers, best first; one of the first three leaves room for others.

    Args:
        block: the increments of all fields.
        geometry: sites of a patch.
        single: whether the state is a float32 perturbation of a frozen base.
    """
    if not block.loads:
        return []
    written = programs(block)
    tiles = sorted(_tiles(block, geometry, single), key=lambda t: _rough(t, geometry, single))
    found: list[Choice] = []
    for tile in tiles[:_TRIED]:
        choice = choose(written, geometry, tile, single)
        if choice.fits and choice.fits_moving(geometry, single):
            found.append(choice)
        if len(found) >= _FOUND and any(choice.registers <= _ROOMY for choice in found):
            break
    found.sort(key=lambda choice: choice.cost)
    roomy = next((choice for choice in found[_BOLD:] if choice.registers <= _ROOMY), None)
    if roomy and all(choice.registers > _ROOMY for choice in found[:_BOLD]):
        found.remove(roomy)
        found.insert(_BOLD, roomy)
    return found


def _weighed(
    tile: Tile, program: Program, masks_factors: bool, geometry: Geometry, single: bool
) -> Choice:
    lane = Lane(Known(program, geometry, tile), single, False, masks_factors)
    schedule, wide = Schedule(lane), 1 if single else 2
    count = schedule.count
    arithmetic = count[ADD] + count[MULTIPLY] + count[FMA] + _FUNCTION * count[FUNCTION]
    issued = arithmetic + wide * (count[SHUFFLE] + count[CHOICE]) + count[SHARED] + _LOOP
    passed = wide * (count[SHUFFLE] + count[SHARED]) * 4
    cycles = max(issued, wide * arithmetic, passed) + _BARRIER * bool(lane.exchanged)
    registers = _registers(schedule, single)
    cost = cycles * tile.team / _live(geometry) * (1.1 if registers > _CROWDED else 1.0)
    shared = 2 * len(lane.exchanged) * tile.team * 4 * wide
    return Choice(tile, program, masks_factors, registers, shared, cost)


def _registers(schedule: Schedule, single: bool) -> int:
    return schedule.registers() * (1 if single else 2) + _RESERVED


def _limit(tile: Tile) -> int:
    return min(_REGISTERS, _FILE // max(tile.team, WARP))


def _live(geometry: Geometry) -> int:
    return math.prod(high - low for low, high in zip(*geometry.inside, strict=True))


def _tiles(block: Block, geometry: Geometry, single: bool) -> Iterator[Tile]:
    """Tiles whose values at cells, one of each kind, and around them fit the registers."""
    kept = len({(load.array, load.index) for load in block.loads}) + single * len(block.outputs)
    reach = [0] * len(geometry.sites)
    for load in block.loads:
        if load.array == "field":
            reach = [max(r, abs(o)) for r, o in zip(reach, load.offset, strict=True)]
    per_axis = [
        list(_along(n, e, r)) for n, e, r in zip(geometry.sites, geometry.edges, reach, strict=True)
    ]
    for axes in itertools.product(*per_axis):
        lanes, cells, start = zip(*axes, strict=True)
        tile = Tile(lanes, cells, start)
        values = kept * math.prod(cells) + len(block.outputs) * _around(tile) / 2
        fits = values * (1 if single else 2) + _RESERVED <= _limit(tile)
        if fits and tile.team <= _TEAM and tile.apart(0) <= WARP:
            yield tile


def _around(tile: Tile) -> float:
    """Places beside the cells of a lane that belong to other lanes."""
    cells = math.prod(tile.cells)
    return sum(2 * cells / c for c, n in zip(tile.cells, tile.lanes, strict=True) if n > 1)


def _along(n: int, edges: int, reach: int) -> Iterator[tuple[int, int, int]]:
    """Lanes, cells and first site along one axis."""
    yield 1, n, 0
    lanes = 2
    while lanes <= _TEAM:
        for start, covered in ((0, n), (edges, n - 2 * edges)):
            cells = -(-covered // lanes)
            if cells >= max(reach, 1) and (lanes - 1) * cells < n - edges - start:
                yield lanes, cells, start
        lanes *= 2


def _rough(tile: Tile, geometry: Geometry, single: bool) -> float:
    """A cost that needs no program."""
    values = 5 * math.prod(tile.cells) + (1 if single else 2) * _around(tile)
    return (values + _LOOP) * tile.team / _live(geometry)
