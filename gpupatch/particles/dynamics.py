"""How particles move: deterministic, thermostatted, overdamped, sheared, flipped.

All velocity dynamics are splittings of one step of length h into kicks B (v += h/2 F/m), drifts
A (x += h v) and what couples the particles to a bath. Forces are computed once a step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gpupatch.contract import checked
from gpupatch.errors import RuleError


@dataclass(frozen=True)
class Dynamics:
    """Equations of motion of the particles of a patch.

    Attributes:
        kind: name in generated sources and case files.
        controls: what is imposed on every patch, one number each, in this order.
        moves_velocities: whether velocities are part of the state.
        random: whether steps draw random numbers.
    """

    kind: ClassVar[str] = ""
    controls: ClassVar[tuple[str, ...]] = ()
    moves_velocities: ClassVar[bool] = True
    random: ClassVar[bool] = False


def _positive(kind: str, **given: float) -> None:
    for name, value in given.items():
        if not 0 < value < float("inf"):
            raise RuleError(f"`{name}` of `{kind}` dynamics is {value}; it must be positive.")


@checked(RuleError)
@dataclass(frozen=True)
class Newton(Dynamics):
    """Constant energy, by velocity Verlet: B A B.

    Source: Swope, Andersen, Berens and Wilson (1982), eq. (A4) [Swope1982].
    """

    kind = "newton"


@checked(RuleError)
@dataclass(frozen=True)
class Langevin(Dynamics):
    """A bath that rubs and kicks: B A/2 O A/2 B.

        O: v <- exp(-friction h) v + sqrt((1 - exp(-2 friction h)) T/m) xi

    Attributes:
        friction: rate at which velocities are forgotten, per time.

    Source: Leimkuhler and Matthews (2013), eq. (6) [LeimkuhlerMatthews2013].
    """

    friction: float = 1.0

    kind = "langevin"
    controls = ("temperature",)
    random = True

    def __post_init__(self):
        _positive(self.kind, friction=self.friction)


@checked(RuleError)
@dataclass(frozen=True)
class Brownian(Dynamics):
    """Overdamped motion: x += h mobility F + sqrt(2 mobility T h) xi (Euler and Maruyama).

    Attributes:
        mobility: velocity per force; the diffusivity is mobility x T.

    Source: Ermak (1975) [Ermak1975].
    """

    mobility: float = 1.0

    kind = "brownian"
    controls = ("temperature",)
    moves_velocities = False
    random = True

    def __post_init__(self):
        _positive(self.kind, mobility=self.mobility)


@checked(RuleError)
@dataclass(frozen=True)
class HardRods(Dynamics):
    """Brownian rods on a line that cannot pass each other.

    Points y_i = x_i - i length move freely and are put back in order, which is exact for a step of
    any length: the order statistics of free Brownian points are those of reflected ones.

    Attributes:
        length: of a rod.
        mobility: velocity per force of one rod; its free diffusivity is mobility x T.

    Source: Harris (1965) [Harris1965].
    """

    length: float
    mobility: float = 1.0

    kind = "hard_rods"
    controls = ("temperature",)
    moves_velocities = False
    random = True

    def __post_init__(self):
        _positive(self.kind, length=self.length, mobility=self.mobility)


@checked(RuleError)
@dataclass(frozen=True)
class NoseHoover(Dynamics):
    """A deterministic bath that keeps the canonical ensemble: N B A B N.

        N: zeta += h/4 (2 K - g T)/Q;  v <- exp(-zeta h/2) v;  zeta += h/4 (2 K - g T)/Q

    with g degrees of freedom and Q = g T period^2 / (4 pi^2). zeta is kept with the state.

    Attributes:
        period: of the oscillations of the temperature.

    Source: Nose (1984), Hoover (1985); Martyna, Tuckerman, Tobias and Klein (1996), section 3
    [Nose1984, Hoover1985, Martyna1996].
    """

    period: float = 0.5

    kind = "nose_hoover"
    controls = ("temperature",)

    def __post_init__(self):
        _positive(self.kind, period=self.period)


@checked(RuleError)
@dataclass(frozen=True)
class Rescaled(Dynamics):
    """Velocity Verlet whose velocities are scaled to a temperature after every so-many-th step.

    With `every` = 1 the kinetic energy is constant (to second order in h, the isokinetic ensemble).

    Attributes:
        every: steps between two scalings.

    Source: Woodcock (1971) [Woodcock1971].
    """

    every: int = 1

    kind = "rescaled"
    controls = ("temperature",)

    def __post_init__(self):
        _positive(self.kind, every=self.every)


@checked(RuleError)
@dataclass(frozen=True)
class Sheared(Dynamics):
    """A homogeneous flow u_x = shear_rate y, velocities relative to it, at constant kinetic energy.

        dx/dt = v + shear_rate y e_x,   dv/dt = F/m - shear_rate v_y e_x - alpha v     (SLLOD)

    The box closes on itself by Lees and Edwards' shifted images; velocities are scaled to the
    temperature after every step, which is alpha.

    Source: Evans and Morriss (2008), eqs (6.29), (6.33) [EvansMorriss2008]; Lees and Edwards (1972)
    [LeesEdwards1972].
    """

    kind = "sheared"
    controls = ("temperature", "shear_rate")


@checked(RuleError)
@dataclass(frozen=True)
class HeatDriven(Dynamics):
    """A homogeneous heat flow along x, driven by a field that stands for -dT/dx / T.

        dv_i/dt = F_i + (e_i - <e>) E + 1/2 sum_j F_ij (r_ij.E) - 1/(2N) sum_jk F_jk (r_jk.E)
                  - alpha v_i

    with r_ij = x_i - x_j, at constant kinetic energy; the heat flux is then lambda T E. The masses
    must be 1.

    Source: Evans (1982) [Evans1982]; Evans and Morriss (2008), section 6.5 [EvansMorriss2008].
    """

    kind = "heat_driven"
    controls = ("temperature", "heat_field")


@checked(RuleError)
@dataclass(frozen=True)
class VelocityFlips(Dynamics):
    """Velocity Verlet, and every velocity changes its sign at a rate, which keeps the energy.

    Attributes:
        rate: flips of one particle per time.

    Source: Dhar, Venkateshan and Lebowitz (2011), section II [DharVenkateshanLebowitz2011].
    """

    rate: float = 0.5

    kind = "velocity_flips"
    random = True

    def __post_init__(self):
        _positive(self.kind, rate=self.rate)


DYNAMICS: dict[str, type[Dynamics]] = {
    one.kind: one
    for one in (
        Newton, Langevin, Brownian, HardRods, NoseHoover, Rescaled, Sheared, HeatDriven,
        VelocityFlips,
    )
}  # fmt: skip
