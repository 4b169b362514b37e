"""The order of the operations of a step.

New values replace old ones in place: whatever reads the old value of a cell is computed before the
cell is overwritten, so that nothing has to be moved between registers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from gpupatch.backends._cuda_cells import cell_name
from gpupatch.backends._cuda_lane import SHARED, SHUFFLE, Lane
from gpupatch.backends._cuda_nodes import Place

_TOGETHER = 16
"""Cells of a line whose operations alternate. Otherwise each would wait for the one before it, and
the compiler would look for an order of its own, in which new values cannot replace old ones."""


class Schedule:
    """The lines of a step.

    Args:
        lane: the operations.

    Attributes:
        lines: source, in order.
        count: how many operations of each kind are in it.
    """

    def __init__(self, lane: Lane):
        self.lane = lane
        self.lines: list[str] = []
        self.count: Counter[str] = Counter()
        self._order: dict[str, None] = {}
        self._exchange()
        readers: dict[str, list[str]] = {}
        for name, operation in lane.operations.items():
            for read in operation.reads:
                readers.setdefault(read, []).append(name)
        cells = list(lane.targets)
        together = _TOGETHER if len(lane.tile.cells) == 1 else 1
        for k in range(0, len(cells), together):
            self._overwrite(cells[k : k + together], readers)
        for edge, name in lane.drifts.items():
            self._emit([name])
            self.lines.append(f"{edge} = {name};")

    def registers(self) -> int:
        """Values that are alive at the same time at most, as the operations are ordered."""
        lane, last = self.lane, {}
        fields = range(lane.n_field)
        state = {cell_name("u", f, cell) for cell in lane.tile.box for f in fields} | {*lane.edges}
        for k, name in enumerate(self._order):
            last |= dict.fromkeys(lane.operations[name].reads, k)
        constants = last.keys() - lane.operations.keys() - state
        ends = Counter(last[name] for name in self._order if name in last)
        alive = most = 0
        for k, name in enumerate(self._order):
            alive += name in last
            most = max(most, alive)
            alive -= ends[k]
        return len(state) + len(constants) + most

    def _exchange(self) -> None:
        """Leave values to the lanes of other warps, and take what comes from other lanes."""
        lane = self.lane
        for k, name in enumerate(lane.exchanged):
            source = lane.operations[name].reads[0]
            self._emit([source])
            self.lines.append(f"around[step % 2][{k}][team.rank] = {source};")
            self.count[SHARED] += 1
        if lane.exchanged:
            self.lines.append("team.sync();")
        shuffles = [name for name, o in lane.operations.items() if o.kind == SHUFFLE]
        self._emit(shuffles + lane.exchanged)

    def _overwrite(self, cells: list[Place], readers: dict[str, list[str]]) -> None:
        """Compute what reads the old values of cells, and the new values, and replace them."""
        lane = self.lane
        wanted = [
            reader
            for cell in cells
            for f in range(lane.n_field)
            for reader in readers.get(cell_name("u", f, cell), [])
        ]
        wanted += [name for cell in cells for name in lane.targets[cell]]
        levels: dict[str, int] = {}
        for name in wanted:
            self._level(name, levels)
        self._emit(sorted(levels, key=levels.__getitem__))
        for cell in cells:
            for f, name in enumerate(lane.targets[cell]):
                self.lines.append(f"{cell_name('u', f, cell)} = {name};")

    def _level(self, name: str, levels: dict[str, int]) -> int:
        """How many operations follow one another up to this one; only new ones count."""
        operation = self.lane.operations.get(name)
        if operation is None or name in self._order:
            return 0
        if name not in levels:
            levels[name] = 1 + max((self._level(r, levels) for r in operation.reads), default=0)
        return levels[name]

    def _emit(self, names: Iterable[str]) -> None:
        for name in names:
            operation = self.lane.operations.get(name)
            if operation is None or name in self._order:
                continue
            self._emit(operation.reads)
            self._order[name] = None
            self.count[operation.kind] += 1
            self.lines.append(f"const T {name} = {operation.text};")
