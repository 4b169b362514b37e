"""How noisy the slopes are that are measured on independent diffusing particles.

Particles of density rho are a Poisson field. If every one of them contributes f(x + Z) - f(x) while
it moves by Z ~ N(0, 2 D t), the sum has the variance

    rho int E[f(x + Z) - f(x)]^2 dx = 2 rho (A(0) - E A(Z)),    A(u) = int f(x) f(x + u) dx.
"""

from __future__ import annotations

import numpy as np

from gpupatch.errors import InputError


def slope_variance(
    form: str, density: float, diffusivity: float, burst: float, core: float, spacing: float = 1.0
) -> float:
    """Variance of dU/dt from one burst, for bursts of any length.

    ======  =======================================================  ==========================
    form    what is measured                                         short bursts (sigma << h)
    ======  =======================================================  ==========================
    flux    difference of what crosses two faces, over H             4 D rho/(h t H^2)
    box     density in a core of width h                             4 rho sqrt(D t/pi)/(h t)^2
    cos2    the same, weighed with (1 + cos 2 pi x/h)/h              4 pi^2 D rho/(h^3 t)
    ======  =======================================================  ==========================

    Args:
        form: what is measured.
        density: rho, particles per length.
        diffusivity: D.
        burst: t, length of the burst.
        core: h.
        spacing: H, width of a cell; for "flux".

    Returns:
        The variance, in units of (density/time)^2.

    Raises:
        InputError: for another form, or numbers that are not positive.

    Source: the formula above for a Poisson field, Campbell's theorem, Kingman (1993), section 3.2
    [Kingman1993].
    """
    from scipy.special import erf, erfc

    if not min(density, diffusivity, burst, core, spacing) > 0:
        raise InputError("density, diffusivity, lengths and times must be positive.")
    h, sigma = core, np.sqrt(2 * diffusivity * burst)
    a = h / (np.sqrt(2) * sigma)
    tail, mean = np.exp(-(a**2)), sigma * np.sqrt(2 / np.pi)
    if form == "flux":
        square = sigma**2 * (erf(a) - 2 * a / np.sqrt(np.pi) * tail)
        cube = mean * sigma**2 * (2 - (2 + 2 * a**2) * tail)
        moved = h * square - cube / 3 + h**2 * mean * tail - h**3 / 3 * erfc(a)
        return float(2 * density * moved / (h * burst * spacing) ** 2)
    if form == "box":
        changed = mean * (1 - tail) + h * erfc(a)
        return float(2 * density * changed / (h * burst) ** 2)
    if form == "cos2":
        return float(2 * density * (1.5 / h - _overlap(h, sigma)) / burst**2)
    raise InputError(f"`form` must be 'flux', 'box' or 'cos2'; found {form!r}.")


def _overlap(h: float, sigma: float) -> float:
    """E A(Z) for the kernel (1 + cos 2 pi x/h)/h."""
    from scipy.integrate import quad

    k = 2 * np.pi / h

    def integrand(u: float) -> float:
        A = ((h - u) * (1 + np.cos(k * u) / 2) + 1.5 * np.sin(k * u) / k) / h**2
        return A * np.exp(-(u**2) / (2 * sigma**2)) * 2 / np.sqrt(2 * np.pi * sigma**2)

    return float(quad(integrand, 0, h, points=[min(sigma, h)], epsabs=0, epsrel=1e-10)[0])
