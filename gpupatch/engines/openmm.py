"""OpenMM as the micro-simulator of every patch."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpupatch.engines._openmm_forces import forces, sides
from gpupatch.engines.engine import InstancePerPatch, Patch
from gpupatch.errors import BackendError
from gpupatch.particles.dynamics import Rescaled
from gpupatch.particles.model import ParticleModel


class OpenMM(InstancePerPatch):
    """OpenMM, one context per patch.

    Of the dynamics, `newton` and `rescaled` are there: velocity Verlet as a custom integrator,
    because OpenMM's own Verlet method has velocities half a step behind. Every potential, bond,
    bending energy and field is given to OpenMM as its expression. Units are those of the model, as
    OpenMM's are consistent: nanometre, picosecond and dalton make its kilojoule per mole.

    Args:
        platform: of OpenMM. "Reference" computes in float64 on one core, "CPU" in float32.
        properties: of the platform, such as ``{"Precision": "double"}`` for "CUDA".

    Raises:
        BackendError: if OpenMM is not installed, or has no such platform here.

    Source: Eastman et al. (2017) [Eastman2017].
    """

    name = "OpenMM"
    dynamics = ("newton", "rescaled")

    def __init__(self, platform: str = "Reference", properties: Mapping[str, str] | None = None):
        super().__init__()
        try:
            self._library = importlib.import_module("openmm")
        except ImportError as error:
            raise BackendError(
                f"OpenMM cannot run: {error}. Install it with `pip install gpupatch[openmm]`."
            ) from error
        known = [p.getName() for p in map(self._platform, range(self._n_platforms()))]
        if platform not in known:
            raise BackendError(
                f"OpenMM has no platform `{platform}` here, only {', '.join(known)}. "
                + " ".join(self._library.Platform.getPluginLoadFailures())
            )
        self._on = (self._library.Platform.getPlatformByName(platform), dict(properties or {}))

    def _n_platforms(self) -> int:
        return self._library.Platform.getNumPlatforms()

    def _platform(self, k: int) -> Any:
        return self._library.Platform.getPlatform(k)

    def _check(self, model: ParticleModel) -> None:
        """Every part of a model has an expression, and OpenMM takes expressions."""

    def _open(self, model: ParticleModel, patch: Patch) -> _OpenMMPatch:
        return _OpenMMPatch(self._library, self._on, model, patch)

    def _is_failure(self, error: Exception) -> bool:
        return isinstance(error, self._library.OpenMMException)


class _OpenMMPatch:
    """One patch in a context of OpenMM."""

    def __init__(self, openmm: Any, on: tuple[Any, dict], model: ParticleModel, patch: Patch):
        self._library, self._on, self._model = openmm, on, model
        self._bounded = "reflecting" in model.boundary
        self._scaled = isinstance(model.dynamics, Rescaled)
        self._open(patch)
        self._place(patch)

    def _open(self, patch: Patch) -> None:
        openmm, model = self._library, self._model
        system = openmm.System()
        for mass in model.mass_of(patch.types).tolist():
            system.addParticle(mass)
        system.setDefaultPeriodicBoxVectors(*np.diag(sides(model, patch)))
        for force in forces(openmm, model, patch):
            system.addForce(force)
        self._integrator = _velocity_verlet(openmm, model)
        self._context = openmm.Context(system, self._integrator, *self._on)
        self._types, self._box = patch.types, patch.box

    def write(self, patch: Patch) -> None:
        """Replace the particles by as many others, and the box."""
        if not np.array_equal(patch.types, self._types):
            self._open(patch)
        if not np.array_equal(patch.box, self._box):
            self._context.setPeriodicBoxVectors(*np.diag(sides(self._model, patch)))
            self._box = patch.box
        self._place(patch)

    def solve(self, n_steps: int, dt: float, first: int) -> None:
        """Advance the patch; `first` matters where something happens every so many steps."""
        if self._scaled:
            self._integrator.setGlobalVariableByName("taken", first)
        self._integrator.setStepSize(dt)
        self._integrator.step(n_steps)

    def read(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Positions and velocities, [axis, particle] each; positions are not wrapped."""
        state = self._context.getState(positions=True, velocities=True)
        x, v = state.getPositions(asNumpy=True)._value, state.getVelocities(asNumpy=True)._value
        return x.T[: self._model.ndim], v.T[: self._model.ndim]

    def potential_energy(self) -> float:
        """Potential energy."""
        return self._context.getState(energy=True).getPotentialEnergy()._value

    def close(self) -> None:
        """Give back the memory."""
        del self._context, self._integrator

    def _place(self, patch: Patch) -> None:
        if self._bounded:
            self._integrator.setPerDofVariableByName("half", self._walls(patch))
        if self._scaled:
            free = self._model.degrees_of_freedom(np.array([patch.n]))[0]
            self._integrator.setGlobalVariableByName("wanted", free * patch.controls[0])
        self._context.setPositions(_three(patch.positions))
        self._context.setVelocities(_three(patch.velocities))

    def _walls(self, patch: Patch) -> list[list[float]]:
        half = [1e300] * 3
        for a, boundary in enumerate(self._model.boundary):
            if boundary == "reflecting":
                half[a] = float(patch.box[a]) / 2
        return [half] * patch.n


def _velocity_verlet(openmm: Any, model: ParticleModel) -> Any:
    """Half a kick, a drift, half a kick.

    Particles beyond a wall at +-half are mirrored in it; velocities are scaled so that twice the
    kinetic energy is `wanted` when the number of steps `taken` is a multiple of `every`.
    """
    integrator = openmm.CustomIntegrator(0.001)
    integrator.addUpdateContextState()
    integrator.addComputePerDof("v", "v + dt/2*f/m")
    integrator.addComputePerDof("x", "x + dt*v")
    if "reflecting" in model.boundary:
        integrator.addPerDofVariable("half", 0.0)
        integrator.addComputePerDof("v", "select(step(half - abs(x)), v, -v)")
        integrator.addComputePerDof("x", "max(min(x, 2*half - x), -2*half - x)")
    integrator.addComputePerDof("v", "v + dt/2*f/m")
    if isinstance(model.dynamics, Rescaled):
        for name in ("taken", "wanted", "found"):
            integrator.addGlobalVariable(name, 0.0)
        every = model.dynamics.every
        integrator.addComputeGlobal("taken", "taken + 1")
        integrator.beginIfBlock(f"taken - {every}*floor(taken/{every}) < 0.5")
        integrator.addComputeSum("found", "m*v*v")
        integrator.addComputePerDof("v", "v*sqrt(wanted/found)")
        integrator.endBlock()
    return integrator


def _three(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Vectors of three dimensions, [particle, 3], with zeros where the model has fewer."""
    padded = np.zeros((values.shape[1], 3))
    padded[:, : len(values)] = values.T
    return padded
