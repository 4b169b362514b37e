"""How often patches are coupled, how many edge layers they have, how many members they carry."""

import numpy as np
import pytest

import gpupatch as gp
from gpupatch.backends.select import get_backend
from gpupatch.micro import lattice


def burgers(every, dt, backend="numpy", members=None, nu=0.05):
    """Burgers on 24 patches, ready to run."""
    grid = gp.PatchGrid([(-1.0, 1.0)], [24], 9, ratio=0.4)
    problem = gp.Problem(
        lattice.get("burgers", 1),
        grid,
        {"nu": nu} if members is None else {},
        members=members or {},
    )
    chosen, _ = get_backend(backend)
    return gp.CoupledScheme(problem, chosen, order=4, every=every, dt=dt)


SINE = {"u": lambda x: -np.sin(np.pi * x)}


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_coupling_every_few_steps_keeps_second_order(backend):
    """Edges that move linearly between couplings: the difference falls as (k dt)^2."""
    dt, end = 1.25e-4, 0.02
    final = {}
    for every in (1, 4, 8, 16):
        scheme = burgers(every, dt, backend)
        u = scheme.initial(SINE)
        u = scheme.advance(u, 0.0, dt, round(end / dt))
        final[every] = scheme.coarse(u)
    errors = [np.abs(final[k] - final[1]).max() for k in (4, 8, 16)]
    orders = np.log2(np.array(errors[1:]) / errors[:-1])
    assert orders.min() > 1.8
    assert errors[0] < 1e-5


@gp.rule(fields="u")
def hyperdiffusion(u, dx):
    """-u_xxxx, which reads two neighbours on each side."""
    return -(u[2] - 4 * u[1] + 6 * u[0] - 4 * u[-1] + u[-2]) / dx**4


def slow_modes(order, kind, n_patch=10):
    grid = gp.PatchGrid([(0.0, 2 * np.pi)], [n_patch], 14, ratio=0.3, edges=2, edgy=kind == "edgy")
    backend, _ = get_backend("numpy")
    scheme = gp.CoupledScheme(gp.Problem(hyperdiffusion, grid), backend, order, kind)
    found = np.sort(scheme.eigenvalues(7).real)[::-1]
    dx = grid.spacing[0]
    return found, -((4 / dx**2 * np.sin(np.arange(4) * dx / 2) ** 2) ** 2)


@pytest.mark.parametrize("kind", ["centre", "edgy"])
def test_two_edge_layers_couple_a_fourth_order_rule_exactly_when_spectral(kind):
    found, exact = slow_modes("spectral", kind)
    assert found[[1, 3, 5]] == pytest.approx(exact[1:], rel=1e-6)


@pytest.mark.parametrize("order", [4, 6])
def test_a_fourth_order_rule_is_two_orders_behind_the_coupling(order):
    """Edge values wrong by H^(order + 2) are divided by (ratio H)^4."""
    errors = []
    for n_patch in (10, 20):
        found, exact = slow_modes(order, "centre", n_patch)
        errors.append(abs(found[1] / exact[1] - 1))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order - 2, abs=0.3)


def test_a_rule_that_reads_further_than_the_edges_is_refused():
    grid = gp.PatchGrid([(0.0, 1.0)], [8], 9, ratio=0.3)
    backend, _ = get_backend("numpy")
    with pytest.raises(gp.RuleError, match="edges = 2"):
        gp.CoupledScheme(gp.Problem(hyperdiffusion, grid), backend, 2)


@pytest.mark.parametrize(("backend", "tolerance"), [("numpy", 1e-14), ("numba", 0.0)])
def test_members_of_a_sweep_equal_single_runs(backend, tolerance):
    """Bit for bit where the order of sums is ours; NumPy chooses it by the size of the batch."""
    values, dt = (0.03, 0.05, 0.08), 1e-4
    swept = burgers(1, dt, backend, members={"nu": values})
    together = swept.coarse(swept.advance(swept.initial(SINE), 0.0, dt, 50))
    for member, nu in enumerate(values):
        alone = burgers(1, dt, backend, nu=nu)
        one = alone.coarse(alone.advance(alone.initial(SINE), 0.0, dt, 50))
        assert np.abs(together[member] - one[0]).max() <= tolerance


def test_members_may_start_from_different_states():
    dt = 1e-4
    scheme = burgers(1, dt, members={"nu": (0.05, 0.05)})
    other = {"u": lambda x: 0.5 * np.cos(np.pi * x)}
    U = scheme.coarse(scheme.initial([SINE, other]))
    X = scheme.problem.grid.centres[0]
    assert U[0, 0] == pytest.approx(-np.sin(np.pi * X), abs=1e-14)
    assert U[1, 0] == pytest.approx(0.5 * np.cos(np.pi * X), abs=1e-14)
