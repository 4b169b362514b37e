"""Boxes at imposed states and the conservation law whose fluxes they measure.

What belongs to the scheme is tested with boxes that obey a law exactly, up to noise of a known
size, in place of particles; particles themselves are in the physics tests.
"""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from gpupatch import solutions
from gpupatch.backends.select import get_backend
from gpupatch.burst import Burst
from gpupatch.errors import NonFiniteError, SchemeError
from gpupatch.grid import dirichlet
from gpupatch.particles.dynamics import HeatDriven, Langevin, Newton, NoseHoover, Sheared
from gpupatch.particles.interaction import Pair
from gpupatch.particles.lattice_gas import LatticeGas
from gpupatch.particles.library import lennard_jones
from gpupatch.particles.model import ParticleModel
from gpupatch.particles.observe import component_count, component_slices
from gpupatch.projection import Projection
from gpupatch.scheme.box_flux import BoxFluxScheme
from gpupatch.scheme.boxes import BoxProblem, BoxScheme
from gpupatch.scheme.particle_problem import particle_grid
from gpupatch.scheme.propagated import Propagated, combined, exactly
from gpupatch.simulation import simulate

PAIR = Pair(lennard_jones, {"epsilon": 1.0, "sigma": 1.0}, 2.0, "shifted")
VISCOSITY, CONDUCTIVITY = 0.8, 3.0


class LinearBoxes:
    """Boxes whose stress and heat flux are linear in what drives them, with Gaussian noise."""

    name = "linear"

    def __init__(self, noise=0.0, seed=0):
        self.noise, self.random = noise, np.random.default_rng(seed)

    def load(self, model, dtype):
        raise SchemeError("there are no lattices here.")

    def load_particles(self, model, dtype):
        self.model = model
        return SimpleNamespace(
            pack=lambda state: state.copy(), unpack=lambda state: state.copy(),
            burst=self.burst, facts=dict,
        )  # fmt: skip

    def burst(self, state, plan):
        d, names = self.model.ndim, plan.observables
        out = np.zeros((plan.weights.shape[1], state.n_patch, component_count(names, d)))
        if not names:
            return out
        at, volume = component_slices(names, d), np.prod(state.box, axis=1)
        T, drive = state.controls.T
        noise = self.noise * self.random.normal(size=out.shape[:2])
        if "heat_flux" in at:
            out[..., at["heat_flux"].start] = (CONDUCTIVITY * T * drive + noise) * volume
        else:
            out[..., at["virial"].start + 1] = -(VISCOSITY * drive + noise) * volume
        return out


def couette(backend, cells=8, **options):
    """Fluid between a wall at rest and a wall that moves at speed 1."""
    replicas, members = options.pop("replicas", 1), options.pop("members", {})
    boundary = options.pop("boundary", [(dirichlet(0.0), dirichlet(1.0))])
    boxes, particles = options.pop("boxes", 1), options.pop("particles", 4)
    model = ParticleModel(3, Sheared(), PAIR)
    problem = BoxProblem(
        model, particle_grid([(0.0, 40.0)], [cells], 4.0, boundary=boundary),
        {"density": 0.5, "temperature": 1.2}, particles=particles, members=members,
        replicas=replicas,
    )  # fmt: skip
    burst = Burst(0.5, heal=0.1, dt=0.005, replicas=boxes)
    return BoxFluxScheme(problem, backend, burst, settle=0.05, **options)


def conduction(backend, boxes=1, **options):
    """A periodic profile of the temperature."""
    problem = BoxProblem(
        ParticleModel(3, HeatDriven(), PAIR), particle_grid([(0.0, 40.0)], [8], 4.0),
        {"density": 0.5}, particles=4,
    )  # fmt: skip
    burst = Burst(0.5, heal=0.1, dt=0.005, replicas=boxes)
    return BoxFluxScheme(problem, backend, burst, settle=0.05, **{"capacity": 2.5, **options})


def wave(x):
    return 1.2 + 0.2 * np.cos(2 * np.pi * x / 40)


def test_errors_of_independent_sources_add_in_quadrature_and_of_the_same_source_linearly():
    one = Propagated(np.ones((1, 1, 2)), np.array([[[[3.0], [0.0]]]]))
    other = Propagated(np.ones((1, 1, 2)), np.array([[[[1.0, 4.0], [0.0, 2.0]]]]))
    total = combined([(2.0, one), (-1.0, other), (1.0, exactly(np.ones((1, 1, 2))))])
    np.testing.assert_allclose(total.values, 2.0)
    np.testing.assert_allclose(total.error[0, 0], [np.hypot(5, 4), 2.0])


def test_a_box_shears_with_the_gradient_on_its_face():
    scheme = couette(LinearBoxes())
    value, gradient = scheme.at_faces(0.0, np.linspace(1 / 16, 15 / 16, 8)[None, None])
    np.testing.assert_allclose(value[0], np.linspace(0, 1, 9), atol=1e-14)
    np.testing.assert_allclose(gradient[0], 1 / 40, rtol=1e-12)


@pytest.mark.parametrize("order", [2, 4])
def test_steady_couette_flow_does_not_change(order):
    scheme = couette(LinearBoxes(), order=order)
    U = scheme.initial({"velocity": lambda y: y / 40})
    assert np.abs(scheme.slope(0.0, U).values).max() < 1e-15
    np.testing.assert_allclose(scheme.flux, -VISCOSITY / 40, rtol=1e-12)
    assert scheme.coefficient()[0] == pytest.approx(VISCOSITY, rel=1e-12)


def test_heat_flows_down_the_temperature_and_the_total_stays_to_roundoff():
    scheme = conduction(LinearBoxes(noise=0.05), order=4)
    run = simulate(scheme, {"temperature": wave}, 40.0, projection=Projection("rk2", step=2.0))
    first, last = run.coarse[0][0, 0], run.coarse[-1][0, 0]
    assert last.sum() == pytest.approx(first.sum(), rel=1e-14)
    assert np.ptp(last) < 0.9 * np.ptp(first)


@pytest.mark.parametrize(("order", "factor"), [(2, 4), (4, 16)])
def test_the_macroscopic_scheme_converges_at_its_order(order, factor):
    def error(cells):
        scheme = couette(LinearBoxes(), cells, order=order, boundary="periodic")
        U = scheme.initial({"velocity": lambda x: np.sin(2 * np.pi * x / 40)})
        k = 2 * np.pi / 40
        exact = -VISCOSITY / 0.5 * k**2 * U.values
        return np.abs(scheme.slope(0.0, U).values - exact).max()

    assert error(8) / error(16) == pytest.approx(factor, rel=0.2)


def test_a_strength_drives_all_boxes_alike_and_scales_their_flux_back():
    plain, strong = couette(LinearBoxes()), couette(LinearBoxes(), strength=0.3)
    U = np.sin(np.arange(8.0))[None, None]
    for scheme in (plain, strong):
        scheme.initial({"velocity": 0.0})
    slopes = [scheme.slope(0.0, exactly(U)).values for scheme in (plain, strong)]
    np.testing.assert_allclose(*slopes, rtol=1e-12)
    assert strong.boxes is not None
    np.testing.assert_allclose(np.abs(strong.boxes.controls[:, 1]), 0.3)
    hot = conduction(LinearBoxes(), strength=0.1)
    hot.slope(0.0, hot.initial({"temperature": wave}))
    gradient = hot.at_faces(0.0, hot.initial({"temperature": wave}).values)[1]
    hot.slope(0.0, hot.initial({"temperature": wave}))
    np.testing.assert_allclose(hot.flux, -CONDUCTIVITY * gradient, rtol=1e-12)


@pytest.mark.parametrize("boxes", [1, 4])
@pytest.mark.parametrize("strength", [None, 0.2])
def test_propagated_errors_are_the_spread_of_independent_runs(boxes, strength):
    """Members with their own noise: z-scores against the solution without noise."""
    noise, n = 0.02, 100
    scheme = couette(LinearBoxes(noise, seed=2), replicas=n, boxes=boxes, strength=strength)
    clean = couette(LinearBoxes())
    projection = Projection("rk2", step=16.0)
    end, sure = (
        projection.advance(s.system(projection, 0.0, U), 0.0, U, 128.0)
        for s in (scheme, clean) for U in [s.initial({"velocity": 0.0})]
    )  # fmt: skip
    z = (scheme.coarse(end) - clean.coarse(sure)) / scheme.uncertainty(end)
    assert z.shape == (n, 1, 8)
    spread = z[:, 0].std(axis=0)
    np.testing.assert_allclose(spread, 1.0, atol=3.5 / np.sqrt(2 * n) + 0.1)
    k, error = scheme.coefficient()
    pulls = (k - VISCOSITY) / error
    assert abs(pulls.mean()) < 3.5 / np.sqrt(n)
    assert pulls.std() == pytest.approx(1.0, abs=3.5 / np.sqrt(2 * n) + 0.1)


def test_members_sweep_states_and_errors_come_with_every_one():
    scheme = couette(LinearBoxes(0.01), members={"density": [0.4, 0.8]}, boxes=2)
    run = simulate(scheme, {"velocity": 0.0}, 8.0, projection=Projection("euler", step=4.0), save=2)
    assert run.coarse[-1].shape == (2, 1, 8)
    assert run.coarse[-1][0, 0, -1] > run.coarse[-1][1, 0, -1]
    assert run.uncertainty is not None
    assert np.all(run.uncertainty[0] == 0.0)
    assert np.all(run.uncertainty[-1][:, 0, -1] > 0.0)
    assert len(run.report["viscosity"]) == 2
    assert run.report["fraction_of_space"] > 0
    assert run.report["particle_steps"] > 0


def test_boxes_are_kept_from_burst_to_burst():
    scheme = couette(get_backend("numpy")[0], cells=2, particles=32)
    U = scheme.initial({"velocity": 0.0})
    scheme.slope(0.0, U)
    before = scheme.boxes
    scheme.slope(0.0, U)
    assert before is not None
    assert scheme.boxes is not None
    box = scheme.boxes.box[:, :, None]
    moved = scheme.boxes.positions - before.positions
    moved -= np.rint(moved / box) * box
    assert np.abs(moved).max() < 2.0
    assert scheme.micro_steps == 10 + 2 * 100
    assert scheme.particle_steps == scheme.micro_steps * 3 * 32


def test_methods_that_lose_the_noise_are_refused():
    scheme = couette(LinearBoxes())
    implicit = Projection("implicit")
    with pytest.raises(SchemeError, match="keeps no account of noise"):
        simulate(scheme, {"velocity": 0.0}, 1.0, projection=implicit)


def test_leaps_are_chosen_by_the_values_alone():
    scheme = couette(LinearBoxes())
    adaptive = Projection("adaptive", tol=1e-3)
    run = simulate(scheme, {"velocity": 0.0}, 200.0, projection=adaptive, save=2)
    flow = solutions.get("couette_start")
    exact = flow.evaluate(scheme.grid.centres, 200.0, diffusivity=VISCOSITY / 0.5, width=40.0)["u"]
    np.testing.assert_allclose(run["velocity"][-1, 0], exact, atol=0.02)


def test_bursts_are_repeated_until_the_noise_is_tolerated():
    """Couette flow has the flux 0.02; 4 boxes with noise 0.02 know it to 0.01 from one burst."""
    errors = {}
    for tolerance in (None, 0.25, 0.02):
        scheme = couette(LinearBoxes(0.02), boxes=4, tolerance=tolerance)
        scheme.slope(0.0, scheme.initial({"velocity": lambda y: y / 40}))
        errors[tolerance] = scheme.flux_error.max()
        settling, burst = 10, 100
        bursts = (scheme.micro_steps - settling) // burst
        if tolerance is None:
            assert bursts == 1
        elif tolerance == 0.02:
            assert bursts == 16
        else:
            assert 1 < bursts < 16
            assert errors[tolerance] <= 0.25 * np.abs(scheme.flux).max()
    assert errors[None] > errors[0.25] > errors[0.02]


def test_boxes_that_burst_stop_the_run_where_it_happened():
    scheme = couette(LinearBoxes())
    U = scheme.initial({"velocity": np.sin})
    values = U.values.copy()
    values[0, 0, 3] = np.nan
    assert not scheme.finite(exactly(values))
    with pytest.raises(NonFiniteError, match=r"`velocity` .* patch \(3\)"):
        raise scheme.locate_failure(exactly(values), 1.0)


def fluid(dynamics=None, **options):
    options = {"names": ("density", "pressure"), **options}
    model = ParticleModel(2, dynamics or NoseHoover(), PAIR)
    return BoxProblem(model, particle_grid([(0.3, 0.7)], [2], 0.1), particles=24, **options)


def test_an_equation_of_state_is_a_profile_over_the_density():
    """The coordinate of the grid is the density; an average is known better the longer it is."""
    scheme = BoxScheme(fluid(), get_backend("numpy")[0], dt=0.005, boxes=2, settle=0.1)
    initial = {"density": lambda x: x, "temperature": 2.0}
    run = simulate(scheme, initial, 0.4, save=3)
    assert run.status == "finished"
    np.testing.assert_allclose(run["density"], [[[0.4, 0.6]]] * 3, rtol=1e-12)
    assert np.all(np.diff(run["pressure"][-1]) > 0)
    assert run.uncertainty is not None
    assert np.isnan(run.uncertainty[0][:, 1]).sum() == 0
    assert np.all(run.uncertainty[-1][:, 0] == 0.0)
    assert np.all(run.uncertainty[-1][:, 1] > 0.0)
    assert run.report["micro_steps"] == 20 + 80
    assert run.report["boxes_per_state"] == 2


def test_the_average_does_not_depend_on_how_a_run_is_cut():
    scheme = BoxScheme(fluid(), get_backend("numpy")[0], dt=0.005, settle=0.1)
    begun = scheme.initial({"density": 0.5, "temperature": 1.5})
    whole = scheme.advance(scheme.copy(begun), 0.0, 0.005, 40)
    cut = scheme.advance(scheme.advance(scheme.copy(begun), 0.0, 0.005, 15), 0.075, 0.005, 25)
    np.testing.assert_allclose(cut.series, whole.series, rtol=1e-9)
    assert whole.series.shape == (8, 2, 2)
    np.testing.assert_allclose(scheme.coarse(whole)[0, 1], whole.series[:, :, 1].mean(axis=0))


def test_states_come_from_members_where_positions_do_not_give_them():
    problem = fluid(
        Langevin(2.0), members={"temperature": [1.0, 3.0]}, names=("temperature",), replicas=2,
        controls={"density": 0.4},
    )  # fmt: skip
    scheme = BoxScheme(problem, get_backend("numpy")[0], dt=0.005, settle=0.5)
    run = scheme.advance(scheme.initial({}), 0.0, 0.005, 100)
    np.testing.assert_array_equal(run.imposed["temperature"], np.repeat([1.0, 3.0], 4))
    seen = scheme.coarse(run)
    assert seen.shape == (4, 1, 2)
    assert seen[2:].mean() > 2 * seen[:2].mean()


def test_driven_boxes_show_their_coefficient_at_the_strength_imposed():
    problem = fluid(
        Sheared(), names=("viscosity", "shear_stress"), members={"shear_rate": [0.5, 1.0]},
        controls={"density": 0.5, "temperature": 1.0},
    )  # fmt: skip
    scheme = BoxScheme(problem, get_backend("numpy")[0], dt=0.005, settle=0.1)
    seen = scheme.coarse(scheme.advance(scheme.initial({}), 0.0, 0.005, 20))
    np.testing.assert_allclose(seen[:, 0], seen[:, 1] / np.array([[0.5], [1.0]]))


def test_mistakes_are_named():
    numpy = get_backend("numpy")[0]
    with pytest.raises(SchemeError, match="nothing measures `presure`"):
        BoxScheme(fluid(names=("presure",)), numpy, 0.005)
    with pytest.raises(SchemeError, match="imposes no `shear_rate`"):
        BoxScheme(fluid(names=("viscosity",)), numpy, 0.005)
    with pytest.raises(SchemeError, match="no control `temperatur`"):
        fluid(controls={"temperatur": 1.0})
    with pytest.raises(SchemeError, match="`tails` need"):
        fluid(tails=True)
    with pytest.raises(SchemeError, match="need a value for `density`"):
        BoxScheme(fluid(), numpy, 0.005).initial({"temperature": 1.0})
    scheme = BoxScheme(fluid(), numpy, 0.005, settle=0.01)
    with pytest.raises(SchemeError, match="nothing is held at `densty`"):
        scheme.initial({"densty": 0.5, "density": 0.5, "temperature": 1.0})
    with pytest.raises(SchemeError, match="`settle` is -1"):
        BoxScheme(fluid(), numpy, 0.005, settle=-1.0)
    with pytest.raises(SchemeError, match="temperature is -1"):
        fluid(controls={"density": 0.5, "temperature": -1.0})
    with pytest.raises(SchemeError, match=r"`controls` of `BoxProblem` is .*a finite number"):
        fluid(controls={"density": np.nan})
    with pytest.raises(SchemeError, match="no lattice gas"):
        BoxProblem(LatticeGas("ssep"), scheme.grid)
    with pytest.raises(SchemeError, match="particles of one type"):
        BoxProblem(replace(fluid().model, masses=(1.0, 2.0)), scheme.grid)
    state = scheme.initial({"density": 0.5, "temperature": 1.0})
    with pytest.raises(SchemeError, match="takes micro-steps only"):
        scheme.system(Projection("euler", step=0.5), 0.0, state)
    with pytest.raises(SchemeError, match="not driven by a gradient"):
        BoxFluxScheme(fluid(Newton()), numpy, Burst(0.2, dt=0.005))
    with pytest.raises(SchemeError, match="`capacity`"):
        conduction(numpy, capacity=None)
    with pytest.raises(SchemeError, match="`strength` is -1"):
        couette(numpy, strength=-1.0)
    with pytest.raises(SchemeError, match=r"give `burst.dt`"):
        BoxFluxScheme(couette(numpy).states, numpy, Burst(0.2))
