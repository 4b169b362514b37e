"""Runs that are put down and taken up by a scheme that knows nothing but the checkpoint."""

import functools

import numpy as np
import pytest

import gpupatch as gp
from gpupatch import march
from gpupatch.backends._numpy import NumpyBackend
from gpupatch.backends.select import get_backend
from gpupatch.checkpoints import Checkpoint, Checkpoints
from gpupatch.errors import InputError
from gpupatch.files.case import load_case
from gpupatch.files.frozen import freeze, thaw
from gpupatch.grid import PatchGrid, dirichlet, neumann
from gpupatch.micro import lattice
from gpupatch.projection import Projection
from gpupatch.run.build import build
from gpupatch.scheme import BurstScheme, CoupledScheme, FluxScheme, Problem
from gpupatch.simulation import simulate
from gpupatch.solution import Saved

NOT_OF_THE_PHYSICS = {
    "wall_seconds", "wall_seconds_by_part", "updates_per_second", "finiteness_checks",
    "resumptions", "device",
}  # fmt: skip
CIRCLE = (0.0, 2 * np.pi)
WAVE = {"u": lambda x: 1.5 + np.sin(x)}


class Noted(Checkpoints):
    """Puts a run down after every leap, as bytes."""

    def __init__(self):
        super().__init__("nowhere", seconds=1e-9)
        self.notes: list[bytes] = []

    def due(self) -> bool:
        return True

    def write(self, checkpoint: Checkpoint) -> None:
        tree = {"run": checkpoint.run, "saved": checkpoint.saved.plain()}
        self.notes.append(freeze(tree))

    def checkpoint(self, index: int) -> Checkpoint:
        tree = thaw(self.notes[index])
        return Checkpoint(tree["run"], Saved.from_plain(tree["saved"]))


@gp.rule(fields="u", noise={"u": lambda s: s})
def noisy(u, s, dx):
    return 0.02 * (u[1] - 2 * u[0] + u[-1]) / dx**2 - u[0] ** 2


@gp.rule(fields="u")
def pulled(u, t, dx):
    return 0.1 * (u[1] - 2 * u[0] + u[-1]) / dx**2 + gp.cos(40 * t) * u[0]


def rule_run(
    rule, kind="coupled", *, backend, parameters=None, scheme=None, walls=None, dtype="float64",
    replicas=1, members=None, **options,
):  # fmt: skip
    """A run of a rule on five patches: scheme, initial values, and how it is simulated."""
    boundary = ["periodic" if walls is None else walls]
    grid = PatchGrid([CIRCLE], [5], 11, dx=0.04, boundary=boundary, cells=kind == "flux")
    problem = Problem(
        rule, grid, parameters or {}, members=members or {}, replicas=replicas, dtype=dtype, seed=5
    )
    kinds = {"coupled": CoupledScheme, "burst": BurstScheme, "flux": FluxScheme}
    made = kinds[kind](problem, backend, **(scheme or {}))
    return made, WAVE, {"end": 0.12, "save": 4} | options


def fisher(kind="coupled", parameters=None, **more):
    rule, numbers = lattice.get("fisher_kpp", 1), parameters or {"D": 0.02, "r": 2.0}
    return rule_run(rule, kind, parameters=numbers, **more)


def diffusion(kind="coupled", **more):
    return rule_run(lattice.get("diffusion", 1), kind, parameters={"D": 0.02}, **more)


def leaping(kind="coupled", method="rk4", scheme=None, **more):
    """Leaps over Fisher's equation, two between saves at least."""
    projection = LEAPS[method]
    burst = {} if projection.inner else {"burst": BURST}
    return fisher(kind, projection=projection, scheme=burst | (scheme or {}), **more)


def case_run(name, *overrides, backend):
    """A built-in case with smaller numbers."""
    case = load_case(name, overrides)
    parts = build(case, backend)
    options = {"end": case.time.end, "save": case.time.save, "projection": parts.projection}
    return parts.scheme, parts.initial, options


BURST = gp.Burst(0.002)
WALLS = (dirichlet(lambda x, t: 1 + 0.3 * np.sin(30 * t)), neumann(0.2))
LEAPS = {
    "none": Projection("none", step=0.012),
    "rk2": Projection("rk2", step=0.015),
    "rk4": Projection("rk4", step=0.015),
    "ab4": Projection("ab4", step=0.012),
    "adaptive": Projection("adaptive", tol=1e-6, step=0.01),
    "prk4": Projection("prk4", step=0.015, inner=4),
    "pfe": Projection("pfe", step=0.01, inner=3),
    "telescopic": Projection("telescopic", step=0.015, inner=2, levels=2),
    "implicit": Projection("implicit", tol=0.1, step=0.04),
}
STEPS = {"scheme": {"micro": "euler", "dt": 5e-4}}
RUNS = {
    "micro-steps of a linear rule": diffusion,
    "micro-steps of a nonlinear rule": fisher,
    "micro-steps in float32": functools.partial(fisher, dtype="float32"),
    "micro-steps between moving walls": functools.partial(diffusion, walls=WALLS),
    "micro-steps of a rule that depends on time": functools.partial(rule_run, pulled),
    "micro-steps of members": functools.partial(
        rule_run, lattice.get("diffusion", 1), members={"D": [0.2, 0.4]}, keep_micro=True
    ),
    "noise": functools.partial(rule_run, noisy, parameters={"s": 0.1}, replicas=2, **STEPS),
    "noise in float32": functools.partial(
        rule_run, noisy, parameters={"s": 0.1}, dtype="float32", **STEPS
    ),
    "coupled every third step": functools.partial(fisher, scheme={"every": 3}),
    **{f"coupled, {name}": functools.partial(leaping, method=name) for name in LEAPS},
    "coupled, ab4 in float32": functools.partial(leaping, method="ab4", dtype="float32"),
    "coupled, adaptive between moving walls": functools.partial(
        leaping, method="adaptive", walls=WALLS
    ),
    "burst, rk4": functools.partial(leaping, "burst"),
    "burst, ab4 in float32": functools.partial(leaping, "burst", "ab4", dtype="float32"),
    "burst, implicit": functools.partial(leaping, "burst", "implicit"),
    "burst, details that are kept": functools.partial(
        leaping, "burst", "ab4", scheme={"lift": "projection"}
    ),
    "burst, edges that move": functools.partial(
        leaping, "burst", "adaptive", scheme={"edge_rate": True}, walls=WALLS
    ),
    "burst, noise": functools.partial(
        rule_run, noisy, "burst", parameters={"s": 0.1}, projection=LEAPS["rk2"],
        scheme={"micro": "euler", "burst": gp.Burst(0.002, dt=4e-4, replicas=2)},
    ),
    "burst, propagator": lambda backend: diffusion(
        "burst", projection=LEAPS["ab4"], scheme={"burst": BURST, "method": "propagator"},
        backend=backend,
    ),
    "flux, rk4": functools.partial(leaping, "flux", end=0.06, save=3),
    "flux, adaptive": functools.partial(leaping, "flux", "adaptive", walls=WALLS, end=0.06, save=3),
    "flux, noise": functools.partial(
        rule_run, noisy, "flux", parameters={"s": 0.1}, projection=LEAPS["ab4"],
        scheme={"micro": "euler", "burst": gp.Burst(0.002, dt=4e-4)},
    ),
    **{
        f"particles, {name}": functools.partial(case_run, *words)
        for name, words in {
            "flux": ("walkers", "run.replicas=2", "time.end=0.0048", "time.save=3"),
            "flux with a tolerance": (
                "walkers", "run.replicas=2", "time.end=0.0048", "time.save=3",
                "burst.replicas=2", "scheme.tolerance=0.05", "scheme.max_replicas=4",
            ),
            "burst": (
                "walkers", "scheme.kind=burst", "scheme.order=", "time.end=0.0048", "time.save=3",
                "initial.density=2000", "time.projection=ab2", "run.replicas=2",
            ),
            "rods": (
                "hard_rods", "burst.replicas=2", "run.replicas=1", "time.end=12000", "time.save=3",
            ),
            "a lattice gas": (
                "walkers", "particles={dynamics=\"zero_range\", spacing=0.001, rate=1e6}",
                "scheme.common=", "scheme.lift=", "time.end=0.0048", "time.save=3",
                "run.replicas=1", "compare=", "grid.core=0.011", "grid.buffer=0.016",
            ),
            "chains": (
                "chain_heat", "particles.number=41", "grid.core=15", "grid.buffer=13",
                "burst.replicas=2", "run.replicas=1", "time.end=32000", "time.save=3",
                "burst.length=12", "burst.heal=2", "grid.patches=4",
            ),
            "boxes": (
                "lj_fluid", "particles.number=108", "scheme.settle=0.05", "time.end=0.3",
                "grid.patches=1", "time.save=3", "particles.pair.cutoff=2.3",
            ),
            "fluxes from boxes": (
                "lj_couette", "scheme.settle=0.1", "burst.length=0.25", "burst.heal=0.05",
                "grid.patches=2", "time.end=150", "time.save=3", "particles.number=32",
                "particles.pair.cutoff=1.8",
            ),
            "stretched chains": (
                "polymer_stretch", "scheme.chains=2", "scheme.settle=0.2", "time.end=2",
                "time.save=3",
            ),
        }.items()
    },
}  # fmt: skip


LONG = (
    "coupled, implicit", "coupled, adaptive between moving walls", "flux, adaptive",
    "particles, chains",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _short_blocks(monkeypatch):
    """Blocks of micro-steps that are shorter than the time between two saves."""
    monkeypatch.setattr(march, "_FIXED_BLOCK", 8)


def facts(report):
    return {key: value for key, value in report.items() if key not in NOT_OF_THE_PHYSICS}


def assert_same(found, expected):
    assert found.times == expected.times
    for name in ("coarse", "micro", "exact", "uncertainty"):
        a, b = getattr(found, name), getattr(expected, name)
        assert (a is None) == (b is None)
        for one, other in zip(a or [], b or [], strict=True):
            np.testing.assert_array_equal(one, other)
    np.testing.assert_equal(facts(found.report), facts(expected.report))


def run(label, backend=None, **more):
    scheme, initial, options = RUNS[label](backend=backend or NumpyBackend())
    return simulate(scheme, initial, **options | more)


@pytest.mark.parametrize(
    "label",
    [pytest.param(one, marks=pytest.mark.slow if one in LONG else ()) for one in RUNS],
)
def test_a_run_that_is_taken_up_ends_as_if_it_had_never_stopped(label):
    noted = Noted()
    undisturbed = run(label, checkpoint=noted)
    for index in sorted({len(noted.notes) // 3, len(noted.notes) - 2}):
        taken_up = run(label, resume=noted.checkpoint(index))
        assert_same(taken_up, undisturbed)
        assert len(taken_up.report["resumptions"]) == 1


@pytest.mark.parametrize(
    "label",
    ["coupled, ab4", "coupled, ab4 in float32", "burst, ab4 in float32", "burst, edges that move"],
)
def test_a_run_on_a_device_is_taken_up_to_the_last_bit(host, label):
    undisturbed, noted = run(label, host), Noted()
    assert_same(run(label, host, checkpoint=noted), undisturbed)
    taken_up = run(label, host, resume=noted.checkpoint(len(noted.notes) // 2))
    assert_same(taken_up, undisturbed)


@pytest.mark.parametrize("label", ["micro-steps of a nonlinear rule", "burst, ab4 in float32"])
def test_compiled_code_takes_a_run_up_to_the_last_bit_and_from_the_reference(label):
    numba = get_backend("numba")[0]
    undisturbed, noted, reference = run(label, numba), Noted(), Noted()
    run(label, numba, checkpoint=noted)
    taken_up = run(label, numba, resume=noted.checkpoint(len(noted.notes) // 2))
    assert_same(taken_up, undisturbed)
    expected = run(label, checkpoint=reference)
    found = run(label, numba, resume=reference.checkpoint(len(reference.notes) // 2))
    tolerance = 1e-12 if expected.report["dtype"] == "float64" else 1e-6
    np.testing.assert_allclose(found.coarse[-1], expected.coarse[-1], rtol=0, atol=tolerance)
    assert found.report["resumptions"][0]["backend"] == "numba"


@pytest.mark.parametrize("method", ["micro-steps", "ab4", "adaptive"])
@pytest.mark.parametrize(("begun", "then"), [("float64", "float32"), ("float32", "float64")])
def test_a_run_is_taken_up_in_another_precision(method, begun, then):
    """And is no less exact than one in float32 throughout."""

    def made(dtype, **more):
        if method == "micro-steps":
            scheme, initial, options = fisher(dtype=dtype, backend=NumpyBackend())
        else:
            scheme, initial, options = leaping(method=method, dtype=dtype, backend=NumpyBackend())
        return simulate(scheme, initial, **options | more)

    noted = Noted()
    whole = {begun: made(begun, checkpoint=noted), then: made(then)}
    found = made(then, resume=noted.checkpoint(len(noted.notes) // 2))
    exact, single = whole["float64"].coarse, whole["float32"].coarse
    rounding = max(abs(a - b).max() for a, b in zip(single, exact, strict=True))
    assert 0 < abs(found.coarse[-1] - exact[-1]).max() < 4 * rounding < 2e-4
    assert found.report["dtype"] == then


@pytest.mark.parametrize("label", ["noise in float32", "coupled, adaptive", "particles, boxes"])
def test_checkpoints_do_not_disturb_a_run(label):
    assert_same(run(label, checkpoint=Noted()), run(label))


@pytest.mark.parametrize("seconds", [0.0, 1e9])
@pytest.mark.parametrize(
    "label",
    [
        "micro-steps of a nonlinear rule",
        "micro-steps between moving walls",
        "micro-steps of a rule that depends on time",
    ],
)
def test_a_fast_machine_and_a_slow_one_agree_to_the_last_bit(monkeypatch, label, seconds):
    usual = run(label)
    monkeypatch.setattr(march, "_BLOCK_SECONDS", seconds)
    assert_same(run(label), usual)


class Pulled(Exception):
    pass


def test_a_file_is_enough_to_go_on(tmp_path):
    """Also after an error in a callback, and with replicas, whose records the file holds."""
    path, label = tmp_path / "run.npz", "noise"
    undisturbed = run(label, callbacks=[print])

    def pull(t, coarse):
        if t > 0.07:
            raise Pulled

    kept = Checkpoints(path, every=1)
    with pytest.raises(Pulled):
        run(label, checkpoint=kept, callbacks=[pull])
    taken_up = run(label, checkpoint=kept, resume=path, callbacks=[print])
    assert taken_up.report["resumptions"][0]["time"] == undisturbed.times[1]
    assert_same(taken_up, undisturbed)
    assert_same(run(label, resume=path), undisturbed)


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    path = tmp_path / "run.npz"
    run("burst, rk4", checkpoint=Checkpoints(path, every=1))
    with pytest.raises(InputError, match="made with scheme 'burst'"):
        run("coupled, rk4", resume=path)
    with pytest.raises(InputError, match="began at 0"):
        run("burst, rk4", resume=path, start=0.01)
    with pytest.raises(InputError, match="there is no checkpoint"):
        run("burst, rk4", resume=tmp_path / "other.npz")


@pytest.mark.parametrize("given", [{"every": 0}, {"seconds": -1.0}])
def test_checkpoints_are_some_time_apart(given):
    with pytest.raises(InputError, match="must be positive"):
        Checkpoints("run.npz", **given)
