"""Extended XYZ: particles as text that OVITO, ASE and VMD read.

A frame is one patch at one time:

    3
    Lattice="8.0 0.0 0.0 0.0 8.0 0.0 0.0 0.0 8.0" Origin="0.0 0.0 0.0" pbc="T T T"
        Properties=species:S:1:pos:R:3:velo:R:3 Time=0.5 patch=4 member=0      (one line)
    H 0.25 1.5 7.75 -0.3 0.1 0.9
    ...

Numbers are written so that they are read back exactly. Particles of type k are called by the
symbol of the element k + 1 unless names are given. Axes that the particles do not have are open,
one unit wide, and all coordinates along them are 0.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.errors import InputError
from gpupatch.files.snapshots import SNAPSHOTS, read_snapshots
from gpupatch.particles.state import ParticleState

_SYMBOLS = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se "
    "Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb "
    "Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm "
    "Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og"
)
PARTICLES = "particles.xyz"
ELEMENTS = tuple(_SYMBOLS.split())
"""Names of the types when no others are given."""
_COLUMNS = "species:S:1:pos:R:3:velo:R:3"


@dataclass(frozen=True, eq=False)
class Frame:
    """The particles of one patch at one time.

    Attributes:
        species: name of every particle, [particle].
        positions: [particle, 3].
        velocities: [particle, 3].
        box: edge lengths, [3].
        origin: lower corner of the box, [3].
        periodic: whether the box closes on itself along each axis.
        time: model time.
        patch: number of the patch within its member.
        member: number of the member.
        facts: what else the file says about the frame, by name.
    """

    species: tuple[str, ...]
    positions: NDArray[np.float64]
    velocities: NDArray[np.float64]
    box: NDArray[np.float64]
    origin: NDArray[np.float64]
    periodic: tuple[bool, ...]
    time: float = 0.0
    patch: int = 0
    member: int = 0
    facts: Mapping[str, str] = field(default_factory=dict)


def frames(
    state: ParticleState,
    boundary: Sequence[str],
    time: float = 0.0,
    members: int = 1,
    species: tuple[str, ...] = ELEMENTS,
) -> Iterator[Frame]:
    """Cut a batch of patches into frames.

    Args:
        state: the particles; the patches of a member follow one another.
        boundary: what closes each axis, as in `ParticleModel`.
        time: model time.
        members: members in the batch.
        species: names of the types.

    Yields:
        One frame per patch, with the particles that are there.

    Raises:
        InputError: if there are more types than names, or the patches do not fit the members.
    """
    most = int(state.types.max(initial=0))
    if most >= len(species):
        raise InputError(f"particles of type {most} have no name: {len(species)} are given.")
    if state.n_patch % members:
        raise InputError(f"{state.n_patch} patches cannot be shared by {members} members.")
    ndim, each = state.ndim, state.n_patch // members
    periodic = tuple(a < ndim and boundary[a] == "periodic" for a in range(3))
    for p in range(state.n_patch):
        n = int(state.counts[p])
        box = np.ones(3)
        box[:ndim] = state.box[p]
        member, patch = divmod(p, each)
        yield Frame(
            tuple(species[k] for k in state.types[p, :n]),
            _in_space(state.positions[p, :, :n]), _in_space(state.velocities[p, :, :n]),
            box, np.where(periodic, 0.0, -box / 2), periodic, time, patch, member,
        )  # fmt: skip


def _in_space(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """[axis, particle] as [particle, 3]."""
    padded = np.zeros((values.shape[1], 3))
    padded[:, : len(values)] = values.T
    return padded


def export_run(
    directory: str | os.PathLike[str], output: str | os.PathLike[str] | None = None
) -> Path:
    """Write all particles that a run has kept as extended XYZ.

    Args:
        directory: of the run, with `particles.nc`.
        output: the file; `particles.xyz` in the directory when absent. It is replaced.

    Returns:
        Its path.

    Raises:
        InputError: if the run has kept no particles.
    """
    source = Path(directory) / SNAPSHOTS
    path = Path(directory) / PARTICLES if output is None else Path(output)
    if output is None and path.is_symlink():
        raise InputError(f"`{path}` is a link; the particles would end up elsewhere. Remove it.")
    first = next(read_snapshots(source), None)
    if first is None:
        raise InputError(f"`{source}` holds no particles: the run has saved none.")
    write_extxyz(
        path,
        (
            frame
            for one in read_snapshots(source)
            for frame in frames(one.state, one.boundary, one.time, one.members)
        ),
    )
    return path


def write_extxyz(path: str | os.PathLike[str], given: Iterable[Frame]) -> int:
    """Write frames to a file, replacing it.

    Args:
        path: the file.
        given: the frames, in order.

    Returns:
        How many there were.

    Raises:
        InputError: if the name of a species or a fact holds white space or quotes.
    """
    count = 0
    with open(path, "w", encoding="utf-8") as file:
        for frame in given:
            file.write(f"{len(frame.species)}\n{_comment(frame)}\n")
            rows = np.hstack([frame.positions, frame.velocities]).tolist()
            for name, row in zip(frame.species, rows, strict=True):
                file.write(f"{_word(name)} {' '.join(map(repr, row))}\n")
            count += 1
    return count


def _comment(frame: Frame) -> str:
    lattice = " ".join(map(repr, np.diag(frame.box).ravel().tolist()))
    origin = " ".join(map(repr, frame.origin.tolist()))
    closed = " ".join("T" if one else "F" for one in frame.periodic)
    facts = "".join(f" {_word(name)}={_word(value)}" for name, value in frame.facts.items())
    return (
        f'Lattice="{lattice}" Origin="{origin}" pbc="{closed}" Properties={_COLUMNS} '
        f"Time={float(frame.time)!r} patch={frame.patch} member={frame.member}{facts}"
    )


def _word(text: str) -> str:
    if not text or any(c.isspace() or c in "\"'=" for c in text):
        raise InputError(
            f"{text!r} cannot stand in an extended XYZ file: leave out white space, quotes and `=`."
        )
    return text


def read_extxyz(path: str | os.PathLike[str]) -> list[Frame]:
    """Read frames as `write_extxyz` writes them; velocities and box may be missing.

    Args:
        path: the file.

    Returns:
        The frames, in order.

    Raises:
        InputError: if the file is not extended XYZ, with the line.
    """
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    found, at = [], 0
    while at < len(lines) and lines[at].strip():
        try:
            n = int(lines[at])
            body = [line.split() for line in lines[at + 2 : at + 2 + n]]
            if n < 0 or len(body) < n:
                raise ValueError(f"{n} particles are announced, {len(body)} follow")
            found.append(_frame(lines[at + 1], body))
        except (ValueError, IndexError, KeyError) as error:
            raise InputError(
                f"`{path}`, line {at + 1}: the frame that begins here is no extended XYZ ({error})."
            ) from error
        at += 2 + n
    return found


def _frame(comment: str, body: list[list[str]]) -> Frame:
    facts: dict[str, Any] = dict(word.split("=", 1) for word in shlex.split(comment) if "=" in word)
    columns = facts.pop("Properties", "species:S:1:pos:R:3").split(":")
    places, start = {}, 0
    for name, _, count in zip(columns[::3], columns[1::3], columns[2::3], strict=True):
        places[name] = slice(start, start + int(count))
        start += int(count)

    def read(name: str) -> NDArray[np.float64]:
        values = np.array([row[places[name]] for row in body], dtype=np.float64)
        return values.reshape(len(body), 3)

    lattice = _numbers(facts.pop("Lattice", "1 0 0 0 1 0 0 0 1"), 9).reshape(3, 3)
    if np.count_nonzero(lattice - np.diag(np.diag(lattice))):
        raise ValueError("the box has slanted edges")
    closed = facts.pop("pbc", "F F F").split()
    return Frame(
        tuple(row[places["species"]][0] for row in body),
        read("pos"),
        read("velo") if "velo" in places else np.zeros((len(body), 3)),
        np.diag(lattice).copy(),
        _numbers(facts.pop("Origin", "0 0 0"), 3),
        tuple(one == "T" for one in closed),
        float(facts.pop("Time", 0.0)),
        int(facts.pop("patch", 0)),
        int(facts.pop("member", 0)),
        facts,
    )


def _numbers(text: str, count: int) -> NDArray[np.float64]:
    values = np.array(text.split(), dtype=np.float64)
    if values.shape != (count,):
        raise ValueError(f"{text!r} should be {count} numbers")
    return values
