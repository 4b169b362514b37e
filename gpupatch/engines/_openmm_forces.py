"""A particle model as forces of OpenMM, all from the traced energies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import sympy as sp

from gpupatch.engines._lepton import lepton
from gpupatch.engines.engine import Patch
from gpupatch.micro.trace import scalar_symbol
from gpupatch.particles.model import ParticleModel
from gpupatch.particles.potential import CUTOFF


def forces(openmm: Any, model: ParticleModel, patch: Patch) -> Iterator[Any]:
    """What acts on the particles of one patch.

    Args:
        openmm: the module.
        model: the micro-simulator.
        patch: its particles, whose types set parameters.
    """
    if model.pair is not None:
        yield _pairs(openmm, model, patch)
    if model.bonds is not None:
        yield _bonds(openmm, model)
    if model.angles is not None:
        yield _angles(openmm, model)
    if model.field is not None:
        yield _field(openmm, model, patch)


def _pairs(openmm: Any, model: ParticleModel, patch: Patch) -> Any:
    pair = model.pair
    assert pair is not None
    expression = pair.potential.truncated(pair.truncation)
    if pair.n_types == 1:
        numbers = {name: float(matrix[0, 0]) for name, matrix in pair.matrices.items()}
        force = openmm.CustomNonbondedForce(lepton(expression, numbers | {CUTOFF: pair.cutoff}))
    else:
        tables = {name: f"p{k}_" for k, name in enumerate(pair.matrices)}
        renamed = {scalar_symbol(name): sp.Symbol(tables[name], real=True) for name in tables}
        text = lepton(expression.xreplace(renamed), {CUTOFF: pair.cutoff})
        looked_up = [f"{t} = {t}table(kind1, kind2)" for t in tables.values()]
        force = openmm.CustomNonbondedForce("; ".join([text, *looked_up]))
        force.addPerParticleParameter("kind")
        n = pair.n_types
        for name, matrix in pair.matrices.items():
            table = openmm.Discrete2DFunction(n, n, matrix.reshape(-1).tolist())
            force.addTabulatedFunction(f"{tables[name]}table", table)
    for kind in patch.types.tolist():
        force.addParticle([kind] if pair.n_types > 1 else [])
    force.setNonbondedMethod(force.CutoffPeriodic if _closed(model) else force.CutoffNonPeriodic)
    force.setCutoffDistance(pair.cutoff)
    return force


def _bonds(openmm: Any, model: ParticleModel) -> Any:
    bonds = model.bonds
    assert bonds is not None
    force = openmm.CustomBondForce(lepton(bonds.potential.expression, _floats(bonds.parameters)))
    for i, j in bonds.pairs.tolist():
        force.addBond(i, j, [])
    force.setUsesPeriodicBoundaryConditions(_closed(model))
    return force


def _angles(openmm: Any, model: ParticleModel) -> Any:
    angles = model.angles
    assert angles is not None
    bend, cosine = sp.Symbol("theta", real=True), scalar_symbol("c")
    energy = angles.expression.xreplace({cosine: -sp.cos(bend)})
    force = openmm.CustomAngleForce(lepton(energy, _floats(angles.parameters)))
    for i, j, k in angles.triples.tolist():
        force.addAngle(i, j, k, [])
    force.setUsesPeriodicBoundaryConditions(_closed(model))
    return force


def _field(openmm: Any, model: ParticleModel, patch: Patch) -> Any:
    field = model.field
    assert field is not None
    alike = {name: v for name, v in field.parameters.items() if np.ndim(v) == 0}
    differing = [name for name in field.parameters if name not in alike]
    renamed = {scalar_symbol(name): sp.Symbol(f"p{k}_") for k, name in enumerate(differing)}
    text = lepton(field.expression.xreplace(renamed), _floats(alike))
    force = openmm.CustomExternalForce(text)
    for symbol in renamed.values():
        force.addPerParticleParameter(symbol.name)
    for i, kind in enumerate(patch.types):
        force.addParticle(
            i, [float(np.asarray(field.parameters[name])[kind]) for name in differing]
        )
    return force


def _floats(parameters) -> dict[str, float]:
    return {name: float(value) for name, value in parameters.items()}


def _closed(model: ParticleModel) -> bool:
    return "periodic" in model.boundary


def sides(model: ParticleModel, patch: Patch) -> np.ndarray:
    """Edges of OpenMM's box, in which an axis that is not periodic never comes around."""
    far = 1e6 * max(1.0, *patch.box.tolist())
    edges = np.full(3, far)
    for a, boundary in enumerate(model.boundary):
        if boundary == "periodic":
            edges[a] = patch.box[a]
    return edges
