"""The library of lattice rules, by name and number of space dimensions.

Every rule is a finite-difference lattice that is a micro-simulator in its own right: the exact
solution against which a patch scheme is judged is the solution of the lattice, which itself
approximates the partial differential equation named in each docstring to second order.
"""

from collections.abc import Mapping

from gpupatch.errors import RuleError, suggestion
from gpupatch.micro.rule import Rule, rule


def _laplacian(u, *spacings):
    """Second difference summed over the axes, (2 d + 1)-point stencil."""
    zero = (0,) * len(spacings)
    total = 0.0
    for axis, spacing in enumerate(spacings):
        right = tuple(int(a == axis) for a in range(len(spacings)))
        left = tuple(-int(a == axis) for a in range(len(spacings)))
        total = total + (u[right] - 2 * u[zero] + u[left]) / spacing**2
    return total


@rule(fields="u")
def diffusion1d(u, D, dx):
    """Heat conduction: du/dt = D u_xx. Source: Fourier's law; units of D: length^2/time."""
    return D * (u[1] - 2 * u[0] + u[-1]) / dx**2


@rule(fields="u")
def diffusion2d(u, D, dx, dy):
    """Heat conduction in the plane: du/dt = D (u_xx + u_yy)."""
    return D * _laplacian(u, dx, dy)


@rule(fields="u")
def diffusion3d(u, D, dx, dy, dz):
    """Heat conduction in space: du/dt = D (u_xx + u_yy + u_zz)."""
    return D * _laplacian(u, dx, dy, dz)


@rule(fields="u", coefficients="kappa")
def heterogeneous_diffusion1d(u, kappa, dx):
    """Conduction in a layered medium: du/dt = (kappa u_x)_x, kappa sampled on the faces.

    The lattice homogenises exactly to the harmonic mean of kappa over a period
    [BunderRobertsKevrekidis2017].
    """
    return (kappa[0.5] * (u[1] - u[0]) - kappa[-0.5] * (u[0] - u[-1])) / dx**2


@rule(fields="u", coefficients="kappa")
def heterogeneous_diffusion2d(u, kappa, dx, dy):
    """Conduction in a heterogeneous plane: du/dt = div(kappa grad u), kappa on the faces."""
    across = kappa[0.5, 0] * (u[1, 0] - u[0, 0]) - kappa[-0.5, 0] * (u[0, 0] - u[-1, 0])
    along = kappa[0, 0.5] * (u[0, 1] - u[0, 0]) - kappa[0, -0.5] * (u[0, 0] - u[0, -1])
    return across / dx**2 + along / dy**2


@rule(fields="u", coefficients="kappa")
def heterogeneous_diffusion3d(u, kappa, dx, dy, dz):
    """Conduction in a heterogeneous solid: du/dt = div(kappa grad u), kappa on the faces."""
    x = kappa[0.5, 0, 0] * (u[1, 0, 0] - u[0, 0, 0]) - kappa[-0.5, 0, 0] * (
        u[0, 0, 0] - u[-1, 0, 0]
    )
    y = kappa[0, 0.5, 0] * (u[0, 1, 0] - u[0, 0, 0]) - kappa[0, -0.5, 0] * (
        u[0, 0, 0] - u[0, -1, 0]
    )
    z = kappa[0, 0, 0.5] * (u[0, 0, 1] - u[0, 0, 0]) - kappa[0, 0, -0.5] * (
        u[0, 0, 0] - u[0, 0, -1]
    )
    return x / dx**2 + y / dy**2 + z / dz**2


@rule(fields="u")
def burgers1d(u, nu, dx):
    """Steepening waves with viscosity: du/dt = nu u_xx - (u^2/2)_x, conservative difference.

    Source: the equation of Burgers (1948), solved exactly by Cole (1951) [Cole1951].
    """
    return nu * (u[1] - 2 * u[0] + u[-1]) / dx**2 - (u[1] ** 2 - u[-1] ** 2) / (4 * dx)


@rule(fields="u")
def advection_diffusion1d(u, c, D, dx):
    """A drifting, spreading concentration: du/dt = -c u_x + D u_xx, centred differences."""
    return D * (u[1] - 2 * u[0] + u[-1]) / dx**2 - c * (u[1] - u[-1]) / (2 * dx)


@rule(fields="u")
def advection_diffusion2d(u, cx, cy, D, dx, dy):
    """A concentration drifting in a uniform flow: du/dt = -c . grad u + D div grad u."""
    drift = cx * (u[1, 0] - u[-1, 0]) / (2 * dx) + cy * (u[0, 1] - u[0, -1]) / (2 * dy)
    return D * _laplacian(u, dx, dy) - drift


@rule(fields="u")
def fisher_kpp1d(u, D, r, dx):
    """An invading population: du/dt = D u_xx + r u (1 - u); fronts run at 2 sqrt(r D).

    Source: Fisher (1937), Kolmogorov, Petrovsky and Piskunov (1937) [Fisher1937].
    """
    return D * (u[1] - 2 * u[0] + u[-1]) / dx**2 + r * u[0] * (1 - u[0])


@rule(fields="u")
def fisher_kpp2d(u, D, r, dx, dy):
    """An invading population in the plane: du/dt = D div grad u + r u (1 - u)."""
    return D * _laplacian(u, dx, dy) + r * u[0, 0] * (1 - u[0, 0])


@rule(fields="u")
def allen_cahn1d(u, D, a, dx):
    """A bistable medium: du/dt = D u_xx + u (1 - u)(u - a); fronts run at sqrt(D/2)(1 - 2 a).

    Source: the equation of Nagumo; see Murray (2002), section 13.3 [Murray2002].
    """
    return D * (u[1] - 2 * u[0] + u[-1]) / dx**2 + u[0] * (1 - u[0]) * (u[0] - a)


@rule(fields="u")
def allen_cahn2d(u, D, a, dx, dy):
    """A bistable medium in the plane: du/dt = D div grad u + u (1 - u)(u - a)."""
    return D * _laplacian(u, dx, dy) + u[0, 0] * (1 - u[0, 0]) * (u[0, 0] - a)


@rule(fields="u")
def porous_medium1d(u, dx):
    """Gas seeping through a porous solid: du/dt = (u^2)_xx; fronts move at finite speed.

    Source: Barenblatt (1952); Vazquez (2007), chapter 4 [Vazquez2007].
    """
    return (u[1] ** 2 - 2 * u[0] ** 2 + u[-1] ** 2) / dx**2


@rule(fields="u")
def porous_medium2d(u, dx, dy):
    """Gas seeping through a porous solid in the plane: du/dt = div grad u^2."""
    x = (u[1, 0] ** 2 - 2 * u[0, 0] ** 2 + u[-1, 0] ** 2) / dx**2
    y = (u[0, 1] ** 2 - 2 * u[0, 0] ** 2 + u[0, -1] ** 2) / dy**2
    return x + y


@rule(fields="u v")
def gray_scott2d(u, v, Du, Dv, F, k, dx, dy):
    """Spots and stripes of an autocatalytic reaction U + 2 V -> 3 V fed from outside.

    du/dt = Du div grad u - u v^2 + F (1 - u)
    dv/dt = Dv div grad v + u v^2 - (F + k) v

    Source: Pearson (1993), eqs. (2)-(3) [Pearson1993].
    """
    reaction = u[0, 0] * v[0, 0] ** 2
    return (
        Du * _laplacian(u, dx, dy) - reaction + F * (1 - u[0, 0]),
        Dv * _laplacian(v, dx, dy) + reaction - (F + k) * v[0, 0],
    )


@rule(fields="u v")
def schnakenberg1d(u, v, a, b, d, dx):
    """An activator that grows Turing patterns when its substrate diffuses much faster.

    du/dt = u_xx + a - u + u^2 v
    dv/dt = d v_xx + b - u^2 v

    Source: Murray (2003), section 2.4 with gamma = 1 [Murray2003].
    """
    reaction = u[0] ** 2 * v[0]
    return (
        (u[1] - 2 * u[0] + u[-1]) / dx**2 + a - u[0] + reaction,
        d * (v[1] - 2 * v[0] + v[-1]) / dx**2 + b - reaction,
    )


@rule(fields="u v")
def schnakenberg2d(u, v, a, b, d, dx, dy):
    """Turing patterns in the plane: the reaction of `schnakenberg1d` with two-axis diffusion."""
    reaction = u[0, 0] ** 2 * v[0, 0]
    return (
        _laplacian(u, dx, dy) + a - u[0, 0] + reaction,
        d * _laplacian(v, dx, dy) + b - reaction,
    )


@rule(fields="u v")
def fitzhugh_nagumo1d(u, v, d, epsilon, a0, a1, dx):
    """An excitable medium with a slow recovery field.

    du/dt = u_xx + u - u^3 - v
    dv/dt = d v_xx + epsilon (u - a1 v - a0)

    Source: Theodoropoulos, Qian and Kevrekidis (2000), eqs. (1)-(2)
    [TheodoropoulosQianKevrekidis2000].
    """
    return (
        (u[1] - 2 * u[0] + u[-1]) / dx**2 + u[0] - u[0] ** 3 - v[0],
        d * (v[1] - 2 * v[0] + v[-1]) / dx**2 + epsilon * (u[0] - a1 * v[0] - a0),
    )


@rule(fields="u v", second_order=("u", "v"))
def wave1d(u, v, c, dx):
    """A vibrating string: du/dt = v, dv/dt = c^2 u_xx."""
    return c**2 * (u[1] - 2 * u[0] + u[-1]) / dx**2


@rule(fields="u v", second_order=("u", "v"))
def wave2d(u, v, c, dx, dy):
    """A vibrating membrane: du/dt = v, dv/dt = c^2 (u_xx + u_yy)."""
    return c**2 * _laplacian(u, dx, dy)


@rule(fields="u v", coefficients=("stiffness", "density"), second_order=("u", "v"))
def elastic_rod1d(u, v, stiffness, density, dx):
    """Longitudinal waves in a layered rod: density dv/dt = (stiffness u_x)_x, du/dt = v.

    `stiffness` is sampled on the faces, `density` at the sites.
    """
    stress = stiffness[0.5] * (u[1] - u[0]) - stiffness[-0.5] * (u[0] - u[-1])
    return stress / (density[0] * dx**2)


@rule(fields="h u")
def shallow_water1d(h, u, g, depth, nu, dx):
    """Long waves on water of mean depth `depth`, weakly viscous.

    dh/dt = -((depth + h) u)_x
    du/dt = -g h_x - (u^2/2)_x + nu u_xx

    Source: Saint-Venant's equations; see Stoker (1957), chapter 2 [Stoker1957].
    """
    flow = (depth + h[1]) * u[1] - (depth + h[-1]) * u[-1]
    push = g * (h[1] - h[-1]) + (u[1] ** 2 - u[-1] ** 2) / 2
    return -flow / (2 * dx), nu * (u[1] - 2 * u[0] + u[-1]) / dx**2 - push / (2 * dx)


@rule(fields="h u", at={"h": "even", "u": "odd"})
def staggered_wave1d(h, u, g, depth, dx):
    """Linear shallow-water waves on a staggered lattice: h and u on alternate sites.

    dh/dt = -depth u_x, du/dt = -g h_x, centred differences over two lattice spacings.

    Source: Cao and Roberts (2016), section 2 [CaoRoberts2016].
    """
    return -depth * (u[1] - u[-1]) / (2 * dx), -g * (h[1] - h[-1]) / (2 * dx)


_LIBRARY: Mapping[str, tuple[Rule, ...]] = {
    "diffusion": (diffusion1d, diffusion2d, diffusion3d),
    "heterogeneous_diffusion": (
        heterogeneous_diffusion1d,
        heterogeneous_diffusion2d,
        heterogeneous_diffusion3d,
    ),
    "burgers": (burgers1d,),
    "advection_diffusion": (advection_diffusion1d, advection_diffusion2d),
    "fisher_kpp": (fisher_kpp1d, fisher_kpp2d),
    "allen_cahn": (allen_cahn1d, allen_cahn2d),
    "porous_medium": (porous_medium1d, porous_medium2d),
    "gray_scott": (gray_scott2d,),
    "schnakenberg": (schnakenberg1d, schnakenberg2d),
    "fitzhugh_nagumo": (fitzhugh_nagumo1d,),
    "wave": (wave1d, wave2d),
    "elastic_rod": (elastic_rod1d,),
    "shallow_water": (shallow_water1d,),
    "staggered_wave": (staggered_wave1d,),
}


def names() -> tuple[str, ...]:
    """Names of the library rules, sorted."""
    return tuple(sorted(_LIBRARY))


def get(name: str, ndim: int) -> Rule:
    """A library rule for a number of space dimensions.

    Args:
        name: one of `names()`.
        ndim: 1, 2 or 3.

    Returns:
        The rule.

    Raises:
        RuleError: if there is no such rule, or not in so many dimensions.
    """
    if name not in _LIBRARY:
        raise RuleError(f"there is no library rule `{name}`. {suggestion(name, _LIBRARY)}")
    for candidate in _LIBRARY[name]:
        if candidate.ndim == ndim:
            return candidate
    found = ", ".join(str(candidate.ndim) for candidate in _LIBRARY[name])
    raise RuleError(
        f"library rule `{name}` was asked for in {ndim} dimensions, but exists in {found}. "
        "Change the grid, or declare a rule of your own with `@gp.rule`."
    )
