"""Every public function, and arguments that it takes."""

from typing import Any

import numpy as np
import scipy.stats

import gpupatch as gp
from gpupatch.files.case import load_case
from gpupatch.homogenisation import cell_grid
from gpupatch.micro import lattice
from gpupatch.particles.library import get as potential

NUMPY, _ = gp.get_backend("numpy")
LJ, SPRING, HARMONIC = (potential(name) for name in ("lennard_jones", "spring", "harmonic"))
UNIT = {"epsilon": 1.0, "sigma": 1.0}
HEAT = lattice.get("diffusion", 1)
MEDIUM = lattice.get("heterogeneous_diffusion", 1)
RING = gp.PatchGrid([(0.0, 1.0)], [12], 5, ratio=0.2)
CORES: dict[str, Any] = dict(domain=[(0.0, 1.0)], patches=[12], dx=1e-3, core=0.01, buffer=0.01)
LINE = gp.particle_grid([(0.0, 96.0)], [8], 4.0)
PLACES = gp.particle_grid([(0.0, 1.0)], [2], 0.1)
THREE = [gp.ParticleModel(3, one(), gp.Pair(LJ, UNIT, 2.0)) for one in (gp.Langevin, gp.Sheared)]
STATE = {"density": 0.5, "temperature": 1.0}
CHAIN = gp.ParticleModel(
    3,
    gp.Langevin(),
    bonds=gp.Bonds(HARMONIC, dict.fromkeys(HARMONIC.parameters, 1.0), gp.chain(8)),
    boundary=("open",) * 3,
)
LATTICE = gp.ParticleModel(
    1, gp.VelocityFlips(), bonds=gp.Bonds(SPRING, {"k": 1.0}, gp.chain(16)), boundary=("open",)
)
HEATED = gp.Problem(HEAT, RING, {"D": 1.0})
COUPLED = gp.CoupledScheme(HEATED, NUMPY)
WALLS = (gp.dirichlet(0.0), gp.dirichlet(1.0))
HELD = gp.PatchGrid([(0.0, 1.0)], [8], 3, dx=0.01, boundary=[WALLS])
WALLED = gp.CoupledScheme(gp.Problem(HEAT, HELD, {"D": 1.0}), NUMPY)
BURSTS = gp.BurstScheme(gp.Problem(HEAT, gp.PatchGrid(**CORES), {"D": 1.0}), NUMPY, gp.Burst(2e-6))
COLLOIDS = gp.ParticleProblem(
    gp.ParticleModel(1, gp.Brownian()), LINE, {"temperature": 1.0}, core=1.0
)
BOXES, SHEARED = (
    gp.BoxProblem(model, PLACES, STATE, names=(name,), particles=108)
    for model, name in zip(THREE, ("pressure", "velocity"), strict=True)
)
PULLED = gp.StretchProblem(CHAIN, PLACES, {"force": 1.0, "temperature": 1.0})


@gp.rule(fields="u q")
def binding(u, q):
    """A slow substrate and the complex that it forms fast."""
    return -u[0] + (u[0] + 0.5) * q[0], (u[0] - (u[0] + 1) * q[0]) / 0.01


HIDDEN = gp.BurstScheme(
    gp.Problem(binding, gp.PatchGrid([(0.0, 1.0)], [3], 5, dx=0.05, core=0.05)),
    NUMPY,
    gp.Burst(0.1),
    order=2,
    hidden={"q": 0.1},
)


def wave(x):
    return 1 + 0.3 * np.sin(2 * np.pi * x)


def bending(c, k):
    return k * (1 - c)


def trap(x, k):
    return k * x * x


def screened(r, A):
    return A * gp.exp(-r)


def made(declare, function):
    """A decorator with its arguments, applied."""
    return lambda **given: declare(**given)(function)


CALLS: dict[str, tuple[Any, dict[str, Any]]] = {
    "Angles": (gp.Angles, dict(energy=bending, parameters={"k": 1.0}, triples=gp.chain_angles(4))),
    "Bonds": (gp.Bonds, dict(potential=SPRING, parameters={"k": 1.0}, pairs=gp.chain(4))),
    "BoxFluxScheme": (
        gp.BoxFluxScheme,
        dict(
            problem=SHEARED,
            backend=NUMPY,
            burst=gp.Burst(1.0, heal=0.1, dt=0.005),
            order=2,
            strength=None,
            capacity=None,
            settle=0.1,
            tolerance=None,
        ),
    ),
    "BoxProblem": (
        gp.BoxProblem,
        dict(
            model=THREE[0],
            grid=PLACES,
            controls=STATE,
            names=("pressure",),
            members={},
            replicas=1,
            dtype="float64",
            seed=0,
            particles=108,
            tails=False,
        ),
    ),
    "BoxScheme": (gp.BoxScheme, dict(problem=BOXES, backend=NUMPY, dt=0.01, boxes=1, settle=0.1)),
    "Brownian": (gp.Brownian, dict(mobility=1.0)),
    "Burst": (
        gp.Burst,
        dict(length=1.0, heal=0.1, dt=0.1, slope="lsq", extrapolate=False, replicas=2),
    ),
    "BurstScheme": (
        gp.BurstScheme,
        dict(
            problem=gp.Problem(HEAT, gp.PatchGrid(**CORES), {"D": 1.0}),
            backend=NUMPY,
            burst=gp.Burst(1e-6),
            order=4,
            micro="rk4",
            edge="dirichlet",
            edge_rate=False,
            lift="polynomial",
            method="steps",
            restriction=None,
        ),
    ),
    "Cell": (gp.Cell, dict(values=[1.0, 2.0], axis=0)),
    "ChainFluxScheme": (
        gp.ChainFluxScheme,
        dict(
            problem=gp.ParticleProblem(
                LATTICE, gp.particle_grid([(0.0, 256.0)], [8], 16.0), names=("energy",), core=8.0
            ),
            backend=NUMPY,
            burst=gp.Burst(2.0, heal=1.0, dt=0.05),
            order=2,
            tolerance=None,
            max_replicas=4,
            diffusivity=1.0,
        ),
    ),
    "Core": (gp.Core, dict(width=1.0, axis=0, kernel="box")),
    "CoupledScheme": (
        gp.CoupledScheme,
        dict(
            problem=HEATED,
            backend=NUMPY,
            order=4,
            kind="centre",
            every=1,
            phases=1,
            micro="rk4",
            dt=None,
            burst=None,
        ),
    ),
    "Coupling": (gp.Coupling, dict(grid=RING, fields=("u",), order=4, kind="centre", phases=())),
    "Face": (gp.Face, dict(a=1.0, b=0.0, c=0.0, fields={})),
    "Field": (gp.Field, dict(energy=trap, parameters={"k": 1.0})),
    "FluxScheme": (
        gp.FluxScheme,
        dict(
            problem=gp.Problem(HEAT, gp.PatchGrid(**CORES, cells=True), {"D": 1.0}),
            backend=NUMPY,
            burst=gp.Burst(1e-6),
            order=4,
            micro="rk4",
        ),
    ),
    "HardRods": (gp.HardRods, dict(length=1.0, mobility=1.0)),
    "HeatDriven": (gp.HeatDriven, {}),
    "Langevin": (gp.Langevin, dict(friction=1.0)),
    "LatticeGas": (gp.LatticeGas, dict(kind="ssep", spacing=1.0, rate=1.0, seed=0)),
    "Lognormal": (gp.Lognormal, dict(sigma=1.0, seed=0, median=1.0)),
    "Neighbours": (gp.Neighbours, dict(search="auto", skin=0.3, capacity=10)),
    "Newton": (gp.Newton, {}),
    "NoseHoover": (gp.NoseHoover, dict(period=0.5)),
    "Pair": (
        gp.Pair,
        dict(potential=LJ, parameters=UNIT, cutoff=2.5, truncation="shifted", mixing="geometric"),
    ),
    "ParticleBurstScheme": (
        gp.ParticleBurstScheme,
        dict(
            problem=COLLOIDS,
            backend=NUMPY,
            burst=gp.Burst(0.1, dt=0.01),
            kernel="box",
            sampling=None,
        ),
    ),
    "ParticleFluxScheme": (
        gp.ParticleFluxScheme,
        dict(
            problem=COLLOIDS,
            backend=NUMPY,
            burst=gp.Burst(0.1, dt=0.01),
            order=2,
            sampling=None,
            diffusivity=1.0,
        ),
    ),
    "ParticleModel": (
        gp.ParticleModel,
        dict(
            ndim=3,
            dynamics=gp.Langevin(),
            pair=gp.Pair(LJ, UNIT, 2.0),
            bonds=None,
            angles=None,
            field=None,
            boundary=("periodic",) * 3,
            masses=(1.0,),
            neighbours=gp.Neighbours(),
            seed=0,
        ),
    ),
    "ParticlePlan": (
        gp.ParticlePlan,
        dict(
            n_steps=3,
            dt=0.1,
            observables=("kinetic",),
            weights=np.ones((4, 1)),
            core=gp.Core(1.0),
            first=0,
            stream=0,
        ),
    ),
    "ParticleProblem": (
        gp.ParticleProblem,
        dict(
            model=COLLOIDS.model,
            grid=LINE,
            controls={"temperature": 1.0},
            names=("density",),
            core=1.0,
            members={},
            replicas=1,
            dtype="float64",
            seed=0,
        ),
    ),
    "ParticleState": (gp.ParticleState, dict(vars(gp.make_state(np.zeros((2, 1, 3)), [1.0])))),
    "PatchGrid": (
        gp.PatchGrid,
        dict(
            domain=[(0.0, 1.0)],
            patches=[12],
            sites=9,
            ratio=None,
            dx=0.001,
            boundary="periodic",
            core=0.003,
            buffer=0.002,
            positions="equispaced",
            offset=0.0,
            edges=1,
            allow_overlap=False,
            edgy=False,
            cells=False,
        ),
    ),
    "Problem": (
        gp.Problem,
        dict(
            rule=MEDIUM,
            grid=RING,
            parameters={},
            coefficients={"kappa": 1.0},
            members={},
            replicas=1,
            dtype="float64",
            seed=0,
        ),
    ),
    "Projection": (
        gp.Projection,
        dict(method="adaptive", step=0.1, tol=1e-3, min_step=1e-9, max_step=1.0, pair="bs32"),
    ),
    "Rescaled": (gp.Rescaled, dict(every=2)),
    "Sampling": (
        gp.Sampling,
        dict(
            lift="low_noise",
            number=None,
            weight=1.0,
            edges="reservoir",
            refill=0.1,
            common=False,
            tolerance=0.1,
            max_replicas=4,
        ),
    ),
    "Sheared": (gp.Sheared, {}),
    "StretchProblem": (
        gp.StretchProblem,
        dict(
            model=CHAIN,
            grid=PLACES,
            controls={"force": 1.0, "temperature": 1.0},
            names=("extension",),
            members={},
            replicas=1,
            dtype="float64",
            seed=0,
        ),
    ),
    "StretchScheme": (
        gp.StretchScheme,
        dict(problem=PULLED, backend=NUMPY, dt=0.01, chains=1, settle=0.1),
    ),
    "VelocityFlips": (gp.VelocityFlips, dict(rate=1.0)),
    "chain": (gp.chain, dict(n=4, closed=False)),
    "chain_angles": (gp.chain_angles, dict(n=4)),
    "dirichlet": (gp.dirichlet, dict(value=0.0)),
    "effective": (
        gp.effective,
        dict(
            rule=MEDIUM,
            coefficients={"kappa": [1.0, 2.0]},
            grid=cell_grid([1.0], [2]),
            parameters=None,
        ),
    ),
    "flux_rule": (
        made(gp.flux_rule, lambda u, dx: -(u[1] - u[0]) / dx),
        dict(fields="u", coefficients=()),
    ),
    "get_backend": (gp.get_backend, dict(name="numpy")),
    "get_engine": (gp.get_engine, dict(name="lammps")),
    "make_state": (
        gp.make_state,
        dict(
            positions=np.zeros((2, 1, 3)),
            box=[1.0],
            velocities=np.zeros((2, 1, 3)),
            types=[0, 0, 0],
            counts=[3, 2],
            controls={"temperature": 1.0},
            names=("temperature",),
            weights=None,
        ),
    ),
    "neumann": (gp.neumann, dict(slope=0.0)),
    "particle_grid": (
        gp.particle_grid,
        dict(domain=[(0.0, 96.0)], patches=[8], width=4.0, boundary="periodic"),
    ),
    "potential": (gp.potential, dict(function=screened)),
    "project": (
        gp.project,
        dict(
            F=lambda t, u: -u,
            u0=[1.0],
            t=[0.0, 1.0],
            method="telescopic",
            step=0.1,
            inner=2,
            levels=2,
            inner_step=0.01,
        ),
    ),
    "robin": (gp.robin, dict(a=1.0, b=1.0, c=0.0)),
    "rule": (
        made(gp.rule, lambda u, v, dx: u[1] - u[0]),
        dict(fields="u v", coefficients=(), second_order=("u", "v"), noise=None, at=None),
    ),
    "simulate": (
        gp.simulate,
        dict(
            scheme=COUPLED,
            initial={"u": lambda x: np.sin(2 * np.pi * x)},
            end=1e-4,
            start=0.0,
            save=2,
            projection=None,
            exact=None,
            keep_micro=False,
            record=None,
            show=None,
            progress=None,
            attrs=None,
        ),
    ),
    "Checkpoints": (gp.Checkpoints, dict(path="none.npz", every=2, seconds=None)),
    "continue_": (
        gp.continue_,
        dict(
            scheme=COUPLED,
            parameter="D",
            end=2.0,
            U0={"u": 0.0},
            start=None,
            bounds=None,
            steps=1,
            step=0.02,
            longest=0.05,
            switch=False,
            functional="norm",
            k=1,
            locate=False,
            tolerance=1e-8,
            coarse=False,
            over=None,
            projection=None,
            difference=None,
            block=64,
            t=0.0,
        ),
    ),
    "eigenvalues": (
        gp.eigenvalues,
        dict(
            scheme=COUPLED,
            U={"u": 0.0},
            k=2,
            parameter=None,
            value=None,
            coarse=False,
            over=None,
            projection=None,
            difference=None,
            block=64,
            t=0.0,
        ),
    ),
    "Wall": (gp.Wall, dict(axis=0, side="high", field=None)),
    "backward": (
        gp.backward,
        dict(scheme=COUPLED, U0={"u": wave}, duration=1e-4, save=2, tolerance=1e-2, t=0.0),
    ),
    "control": (
        gp.control,
        dict(
            scheme=WALLED,
            what=gp.Wall(0, "high"),
            functional="mean u",
            target=0.4,
            bounds=(0.0, 2.0),
            U0={"u": 0.0},
            over=None,
            projection=None,
            start=0.0,
            tolerance=1e-4,
        ),
    ),
    "diagnose": (
        gp.diagnose,
        dict(
            scheme=BURSTS,
            state={"u": wave},
            t=0.0,
            projection=gp.Projection("euler", step=1e-3),
            tolerance=0.02,
            only=["D6"],
            span=1.0,
        ),
    ),
    "ensemble": (
        gp.ensemble,
        dict(
            scheme=COUPLED,
            initial={"u": wave},
            end=0.001,
            parameters={"D": scipy.stats.uniform(0.5, 1.0)},
            nodes=2,
            start=0.0,
            save=2,
            projection=None,
        ),
    ),
    "constrained_run": (
        gp.constrained_run,
        dict(
            scheme=HIDDEN, U={"u": wave}, order=0, over=None, t=0.0, tolerance=1e-6, iterations=20
        ),
    ),
    "implicit_lift": (
        gp.implicit_lift,
        dict(scheme=HIDDEN, U={"u": wave}, skip=None, t=0.0, tolerance=1e-6, iterations=20),
    ),
    "slow_variables": (
        gp.slow_variables,
        dict(scheme=HIDDEN, U={"u": wave}, candidates=["u", "u, q"], t=0.0, tolerance=0.02),
    ),
    "law": (
        gp.law,
        dict(
            scheme=COUPLED,
            states={"u": (-1.0, 1.0)},
            terms=["u_xx"],
            degree=1,
            spline=None,
            select="stepwise",
            tolerance=0.01,
            count=4,
            waves=2,
            seed=0,
            block=16,
            t=0.0,
        ),
    ),
    "steady": (
        gp.steady,
        dict(
            scheme=WALLED,
            U0={"u": 0.0},
            parameter=None,
            value=None,
            tolerance=1e-6,
            iterations=3,
            coarse=False,
            difference=None,
            block=16,
            t=0.0,
        ),
    ),
    "steady_states": (
        gp.steady_states,
        dict(
            scheme=WALLED,
            U0={"u": 0.0},
            parameter="D",
            values=[1.0, 2.0],
            tolerance=1e-6,
            iterations=3,
            coarse=False,
            difference=None,
            block=16,
            t=0.0,
        ),
    ),
    "make_oracle": (
        gp.make_oracle,
        dict(scheme=COUPLED, parameter="D", coarse=False, t=0.0, block=64),
    ),
    "run_case": (
        gp.run_case,
        dict(
            case=load_case("heat1d"),
            out="none",
            backend="numpy",
            overwrite=False,
            trust=False,
            quiet=True,
            dry_run=True,
            choice=None,
        ),
    ),
    "study": (
        gp.study,
        dict(
            case="heat1d",
            vary={"scheme.order": [2, 4]},
            out="none",
            backend="numpy",
            reference=None,
            limit=None,
            overwrite=False,
            trust=False,
            quiet=True,
            dry_run=True,
        ),
    ),
}
