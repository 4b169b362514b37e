"""Micro-rules of the cases that were also computed with the Equation-Free Toolbox."""

import math

import gpupatch as gp


@gp.rule(fields="u")
def advective_burgers(u, steepness, dx):
    """du/dt = u_xx - steepness u u_x, not in conservation form."""
    return (u[1] - 2 * u[0] + u[-1]) / dx**2 - steepness * u[0] * (u[1] - u[-1]) / (2 * dx)


@gp.rule(fields="u")
def cubic_diffusion(u, dx, dy):
    """du/dt = laplacian of u^3."""
    across = u[1, 0] ** 3 - 2 * u[0, 0] ** 3 + u[-1, 0] ** 3
    along = u[0, 1] ** 3 - 2 * u[0, 0] ** 3 + u[0, -1] ** 3
    return across / dx**2 + along / dy**2


@gp.rule(fields="u", coefficients="kappa")
def forced_diffusion(u, kappa, dx, x, t):
    """du/dt = (kappa u_x)_x + (t + pi/2 t^2) sin(pi x) exp(x)."""
    flux = kappa[0.5] * (u[1] - u[0]) - kappa[-0.5] * (u[0] - u[-1])
    return flux / dx**2 + (t + math.pi / 2 * t**2) * gp.sin(math.pi * x) * gp.exp(x)


@gp.rule(fields="u v", coefficients="kappa", second_order=("u", "v"))
def damped_wave(u, v, kappa, damping, dx):
    """du/dt = v, dv/dt = (kappa u_x)_x + damping v_xx."""
    stress = kappa[0.5] * (u[1] - u[0]) - kappa[-0.5] * (u[0] - u[-1])
    return (stress + damping * (v[1] - 2 * v[0] + v[-1])) / dx**2
