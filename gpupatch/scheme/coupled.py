"""The `coupled` scheme: the state is the micro field, edges follow the neighbours."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gpupatch.arrays import Backend, Handle, Kernels, Macro, Micro, Plain, Sparse
from gpupatch.burst import Burst, BurstPlan
from gpupatch.contract import checked
from gpupatch.coupling import BoundaryFill, coupling_of
from gpupatch.errors import NonFiniteError, SchemeError
from gpupatch.micro import analysis
from gpupatch.micro.model import MicroModel
from gpupatch.projection import Projection
from gpupatch.restriction import centre_value, weighted_mean
from gpupatch.scheme.alone import SitesAlone, shaped, site_places
from gpupatch.scheme.base import PatchScheme
from gpupatch.scheme.problem import Function, Initial, Problem, coarse_shape
from gpupatch.scheme.quarantine import Begun, FailedPatch
from gpupatch.scheme.systems import CoupledSystem


@checked(SchemeError)
class CoupledScheme(PatchScheme):
    """Micro-steps in all patches, coupled across the gaps.

    With E the interpolation of edge values (act "couple") and f the rule, the scheme is the
    large system of equations

        du/dt = f(E u)

    on the sites of all patches; the coarse value U is the value at the centre of a patch.

    ==========  ==================================================
    symbol      name
    ==========  ==================================================
    u           state, a handle of the backend
    E           ``coupling``
    f           ``kernels.rate``
    U           ``coarse(u)``, [member, field, *patch axes]
    ==========  ==================================================

    Args:
        problem: rule, grid, parameters, medium.
        backend: where the patches live.
        order: order of the coupling in H: 2, 4, 6, 8 or "spectral".
        kind: "centre", "edgy" or "staggered".
        every: micro-steps between couplings; in between the edges move linearly in time.
        phases: ensemble of phase shifts of a periodic medium, members per axis.
        micro: micro-stepper.
        dt: micro time step; chosen from the rule when absent.
        burst: length and estimator of the bursts between the leaps of a projective method; as
            many micro-steps as its `inner` says when absent.

    Raises:
        SchemeError: if the parts do not fit together.

    Source: Roberts and Kevrekidis (2007), section 2; Bunder, Roberts and Kevrekidis (2017) for
    heterogeneous media [RobertsKevrekidis2007, BunderRobertsKevrekidis2017].
    """

    kind = "coupled"
    functional = "value at the centre of the patch"

    def __init__(
        self,
        problem: Problem,
        backend: Backend,
        order: int | str = 4,
        kind: str = "centre",
        every: int = 1,
        phases: int | tuple[int, ...] = 1,
        micro: str = "rk4",
        dt: float | None = None,
        burst: Burst | None = None,
    ):
        super().__init__(problem, backend, micro, dt)
        grid, rule = problem.grid, problem.rule
        phases = tuple(phases) if isinstance(phases, list | tuple) else (phases,) * grid.ndim
        self.every, self.burst_spec = every, burst
        self._check(kind, phases)
        self.coupling = coupling_of(grid, rule.fields, order, kind, phases)
        self.model = problem.model(phases=phases)
        self.kernels = backend.load(self.model, problem.dtype)
        self.restriction = centre_value(grid)
        self._stride = (0.0, 0, 0)

    @property
    def models(self) -> list[MicroModel]:
        """The one batch of patches."""
        return [self.model]

    @property
    def batches(self) -> list[Kernels]:
        """The passes over the one batch."""
        return [self.kernels]

    def initial(self, initial: Initial, t: float = 0.0) -> Handle:
        """A state sampled from functions of position.

        Args:
            initial: functions of position by field, for all members or one mapping per member.
            t: time of the boundary values.

        Returns:
            The state with coupled edges.
        """
        n_phases = self.model.n_members // self.n_members
        sampled = [
            self.problem.sample(functions, None, n_phases)
            for functions in self.problem.initial_of_members(initial)
        ]
        return self.load(np.concatenate(sampled), t)

    def load(self, u: Micro, t: float = 0.0) -> Handle:
        """A state from the values at all sites, [patch, field, *sites]; edges are overwritten."""
        handle = self.kernels.pack(u)
        self.kernels.couple(self.coupling, handle, t)
        return handle

    def fields(self, u: Handle, t: float) -> Micro:
        """Values at all sites, [patch, field, *sites], ensembles of phases averaged."""
        values = self.kernels.unpack(u)
        n_phases = self.model.n_members // self.n_members
        if n_phases == 1:
            return values
        shaped = values.reshape(self.n_members, n_phases, -1, *values.shape[1:])
        return shaped.mean(axis=1).reshape(-1, *values.shape[1:])

    def coarse(self, u: Handle) -> Macro:
        """Coarse values U, [member, field, *patch axes]."""
        values = self.kernels.restrict(self.restriction, u)
        n_phases = self.model.n_members // self.n_members
        shaped = values.reshape(self.n_members, n_phases, -1, values.shape[-1]).mean(axis=1)
        return coarse_shape(self.problem, self.n_members, shaped)

    def exact(self, functions: Mapping[str, Function], t: float) -> Macro:
        """Functions of position and time through the functional that defines U."""
        u = self.problem.sample(functions, t, self.n_members)
        return coarse_shape(self.problem, self.n_members, weighted_mean(u, self.restriction))

    @property
    def keeps_dt(self) -> bool:
        """Whether the micro time step is given, or chosen once as the rule is linear."""
        return self.problem.rule.linear or self.dt is not None

    @property
    def fixes_blocks(self) -> bool:
        """Whether noise is numbered, time counted or rounding begun anew block by block."""
        rule, single = self.problem.rule, self.problem.dtype == "float32"
        return bool(rule.noise) or single or rule.time_dependent or self.coupling.time_dependent

    def stable_dt(self, u: Handle, t: float) -> float:
        """Micro time step: the one given, or the one chosen from the rule at this state."""
        return self.choose_dt(self.model, self.kernels.unpack(u), t)

    def advance(self, u: Handle, t: float, dt: float, n_steps: int) -> Handle:
        """Take micro-steps.

        Args:
            u: state; overwritten.
            t: time at the beginning.
            dt: micro time step.
            n_steps: number of steps, a multiple of `every`.

        Returns:
            The state at ``t + n_steps dt``.
        """
        first = self.micro_steps
        self._stride = (dt, n_steps, first)
        self.kernels.advance(self.coupling, u, t, dt, n_steps, self.micro, self.every, first)
        self.count(n_steps, dt)
        return u

    def copy(self, u: Handle) -> Handle:
        """An independent copy of a state."""
        return self.kernels.axpy([(1.0, u)])

    def dump(self, u: Handle, slope: bool = False) -> dict[str, Plain]:
        """A copy of a state, or of a slope, as host arrays by name.

        In float32 a state is told as its base and what it differs by from it, so that nothing is
        rounded; a slope has no base.
        """
        stored, kernels = self.kernels.store(u), self.kernels
        whole = slope or self.problem.dtype == "float64"
        # adding -0 changes no number, not even the sign of a zero
        base = None if whole else kernels.unpack(kernels.recall(np.full_like(stored, -0.0)))
        return {"u": stored, "base": base}

    def restore(self, arrays: Mapping[str, Plain], slope: bool = False) -> Handle:
        """The state, or the slope, that `dump` showed, perhaps in another precision."""
        stored, base = np.array(arrays["u"]), arrays["base"]
        if slope or (base is None and self.problem.dtype == "float64"):
            return self.kernels.recall(stored)
        if base is None:
            return self.kernels.pack(stored)
        if self.problem.dtype == "float64":
            return self.kernels.pack(base + stored.astype(np.float64))
        self.kernels.pack(base)
        return self.kernels.recall(stored)

    def finite(self, u: Handle) -> bool:
        """Whether every value is finite."""
        return self.kernels.finite(u)

    def locate_failure(self, u: Handle, t: float) -> NonFiniteError:
        """Where the state stopped being finite."""
        return self.nonfinite(self.kernels.unpack(u), t, self.model.n_members)

    def failed(self, failure: NonFiniteError, t: float, u: Handle) -> FailedPatch:
        """The patch that failed, as it was in the last good state.

        Args:
            failure: where the state stopped being finite.
            t: time of the last good state.
            u: that state.
        """
        dt, n_steps, first = self._stride
        phases = self.model.n_members // self.n_members
        place = int(np.ravel_multi_index(failure.patch, self.grid.patches))
        row = failure.member * len(self.model.origin) + place
        values = self.kernels.unpack(u)
        begun = Begun(
            t, self.coarse(u), 0, n_steps, dt, 0, first, {}, {"micro": values[row : row + 1]}
        )
        member, replica = divmod(failure.member, phases)
        return FailedPatch(begun, row, replica, member, failure.patch)

    def alone(self, failed: FailedPatch) -> SitesAlone:
        """One patch from its last good state on, with the edges that it had then.

        Args:
            failed: the patch, as `failed` describes it.

        Raises:
            InputError: if it does not fit this scheme.
        """
        begun, n = failed.begun, failed.begun.n_steps
        plan = BurstPlan(
            self.micro, begun.dt, n, self.restriction, np.zeros((n + 1, 1)), first=begun.first
        )
        return SitesAlone(
            kernels=self.backend.load(self.model.alone(failed.row), self.problem.dtype),
            fields=self.names,
            coordinates=site_places(self.grid, failed.patch),
            lifting=None,
            extended=None,
            rate=None,
            micro=shaped(begun.states, "micro", (1, *self.model.shape[1:])),
            plan=plan,
            time=begun.time,
            told=(
                "the patch goes on alone from the last good state with its edges at rest, which "
                "shows what the rule does inside; its neighbours are not run again, so what they "
                "sent through the edges after that is missing"
            ),
        )

    def system(self, projection: Projection, t: float, u: Handle) -> CoupledSystem:
        """This scheme as the system that a projective method leaps over.

        Args:
            projection: the method.
            t: time of `u`.
            u: state from which the micro time step is chosen.
        """
        system = CoupledSystem(self, self.burst_spec, projection.inner)
        system.prepare(t, u)
        return system

    def rebase(self, u: Handle) -> Handle:
        """In float32 freeze the present state as the base of the perturbation form."""
        if self.problem.dtype == "float64":
            return u
        return self.kernels.pack(self.kernels.unpack(u))

    def rate(self, u: Handle, t: float) -> Handle:
        """du/dt with coupled edges; the edges of `u` are set."""
        self.kernels.couple(self.coupling, u, t)
        return self.kernels.rate(u, t)

    def jacobian(self, u: Micro | None = None, t: float = 0.0) -> Sparse:
        """Derivative of the coupled rate with respect to the interior sites, J = f'(E u) E.

        Args:
            u: values about which the rule is linearised; zero when absent.
            t: time.

        Returns:
            scipy.sparse CSR array, [n, n], n the number of interior values, C order of
            [patch, field, *interior sites].
        """
        u = np.zeros(self.model.shape) if u is None else np.array(u, dtype=float)
        handle = self.kernels.pack(u)
        self.kernels.couple(self.coupling, handle, t)
        A = analysis.jacobian(self.model, self.kernels.unpack(handle), t)
        keep = self.interior
        return (A @ self._edges)[keep][:, keep]

    def eigenvalues(
        self, k: int = 6, u: Micro | None = None, t: float = 0.0
    ) -> NDArray[np.complex128]:
        """The `k` eigenvalues of the coupled rate nearest to zero, the slow modes.

        Args:
            k: how many.
            u: values about which the rule is linearised; zero when absent.
            t: time.

        Returns:
            Eigenvalues sorted by magnitude, [k], in units of 1/time.
        """
        J = self.jacobian(u, t)
        if J.shape[0] <= 1200 or k >= J.shape[0] - 1:
            values = np.linalg.eigvals(J.toarray())
            return values[np.argsort(np.abs(values))][:k]
        from scipy.sparse import linalg

        scale = float(np.abs(J.diagonal()).max())
        values = linalg.eigs(
            J.tocsc(),
            k=k,
            sigma=1e-6 * scale,
            which="LM",
            return_eigenvectors=False,
            v0=np.random.default_rng(0).normal(size=J.shape[0]),
        )
        return values[np.argsort(np.abs(values))]

    @functools.cached_property
    def interior(self) -> NDArray[np.int64]:
        """Positions of the interior values in a flattened state."""
        index = np.arange(int(np.prod(self.model.shape))).reshape(self.model.shape)
        return index[(slice(None), slice(None), *self.model.inside)].ravel()

    @functools.cached_property
    def _edges(self):
        """The linear part of E as a sparse matrix over all sites: x, then y, then z."""
        factors = []
        for axis, plan in enumerate(self.coupling.axes):
            factors.append(self._interpolation_matrix(axis))
            if plan.fills is not None:
                factors += [self._face_matrix(axis, side, plan.fills[side]) for side in (0, 1)]
        return functools.reduce(lambda total, factor: factor @ total, factors)

    def _interpolation_matrix(self, axis: int):
        """Identity, but for the rows of all edge sites across an axis."""
        grid, plan, index = self.problem.grid, self.coupling.axes[axis], self._index
        patch_axis, site_axis = 1 + axis, 2 + grid.ndim + axis
        entries = []
        for side in (0, 1):
            shift = plan.member_step[side] if plan.phases > 1 else 0
            moved = self._moved_members(index, axis, shift)
            for layer in range(grid.edges):
                write = np.take(index, plan.target[side, layer], axis=site_axis)
                line = np.take(moved, plan.source[side, layer], axis=site_axis)
                for k in range(plan.nodes.shape[1]):
                    read = np.take(line, plan.nodes[:, k], axis=patch_axis)
                    entries.append((write, read, plan.weights[side][:, k], patch_axis))
        return self._replace_rows(entries)

    def _face_matrix(self, axis: int, side: int, fill: BoundaryFill):
        """Identity, but for the rows of the edge sites on one face of the domain."""
        grid, plan = self.problem.grid, self.coupling.axes[axis]
        patch_axis, site_axis = 1 + axis, 1 + grid.ndim + axis
        end = np.take(self._index, 0 if side == 0 else -1, axis=patch_axis)
        entries = []
        for layer in range(grid.edges):
            write = np.take(end, plan.target[side, layer], axis=site_axis)
            for k, site in enumerate(fill.inside):
                read = np.take(end, site, axis=site_axis)
                entries.append((write, read, fill.weights[:, layer, k], grid.ndim))
        return self._replace_rows(entries)

    @property
    def _index(self) -> NDArray[np.int64]:
        """Positions in a flattened state, [member, *patch axes, field, *sites]."""
        shape = self.model.shape
        index = np.arange(int(np.prod(shape)))
        return index.reshape(self.model.n_members, *self.problem.grid.patches, *shape[1:])

    def _replace_rows(self, entries):
        """A sparse identity with other rows, from (rows, columns, weights, axis of the weights)."""
        from scipy import sparse

        rows, columns, data = [], [], []
        for write, read, weight, axis in entries:
            shape = [1] * write.ndim
            shape[axis] = len(weight)
            rows.append(write.ravel())
            columns.append(read.ravel())
            data.append(np.broadcast_to(weight.reshape(shape), write.shape).ravel())
        r, c, d = np.concatenate(rows), np.concatenate(columns), np.concatenate(data)
        size = int(np.prod(self.model.shape))
        kept = np.setdiff1d(np.arange(size), r)
        r, c = np.concatenate([r, kept]), np.concatenate([c, kept])
        d = np.concatenate([d, np.ones(len(kept))])
        return sparse.csr_array(sparse.coo_array((d, (r, c)), shape=(size, size)))

    def _moved_members(self, index, axis, shift):
        if shift == 0:
            return index
        phases = self.coupling.phases
        shape = (self.n_members, *reversed(phases), *index.shape[1:])
        return np.roll(index.reshape(shape), shift, axis=len(phases) - axis).reshape(index.shape)

    def _check(self, kind, phases) -> None:
        rule, grid = self.problem.rule, self.problem.grid
        if rule.parity and kind != "staggered":
            raise SchemeError(
                f"rule `{rule.name}` lives on a staggered lattice: use `couple = 'staggered'`."
            )
        if kind == "staggered" and not rule.parity:
            raise SchemeError(
                f"rule `{rule.name}` is not staggered: declare `at=` in it, or couple by 'centre'."
            )
        if len(phases) != grid.ndim or min(phases) < 1:
            raise SchemeError(
                f"`phases` is {phases}, {len(phases)} entries for {grid.ndim} axes; give one "
                "number per axis, at least 1 each."
            )
        if self.every < 1:
            raise SchemeError(f"`every` is {self.every}; couple at least every 1 step.")
        if max(phases) > 1 and kind != "edgy":
            raise SchemeError("an ensemble of phase shifts needs `couple = 'edgy'`.")
        if len(phases) != grid.ndim:
            raise SchemeError(f"`phases` has {len(phases)} entries for {grid.ndim} axes.")
