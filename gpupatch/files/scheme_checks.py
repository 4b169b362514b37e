"""What has to hold in the sections that say how patches are coupled, run and leapt over."""

from collections.abc import Iterator

from gpupatch.errors import SchemeError
from gpupatch.files.mistakes import Mistake
from gpupatch.files.particles import HELD, Particles
from gpupatch.files.schema import Burst, Grid, Run, Scheme, Time
from gpupatch.projection import OPTIONS
from gpupatch.steps import count_steps

_NO_BURST = ("none", "pfe", "telescopic")
_ONLY_FOR = {
    "couple": (("coupled",), ()),
    "every": (("coupled",), ()),
    "phases": (("coupled",), ()),
    "edge": (("burst",), ("flux", "burst")),
    "edge_rate": (("burst",), ()),
    "lift": (("burst",), ("flux", "burst")),
    "method": (("burst",), ()),
    "hidden": (("burst",), ()),
    "refill": ((), ("flux", "burst")),
    "number": ((), ("flux", "burst")),
    "weight": ((), ("flux", "burst")),
    "common": ((), ("flux", "burst")),
    "tolerance": ((), ("flux", "burst", "box_flux")),
    "max_replicas": ((), ("flux", "burst")),
    "diffusivity": ((), ("flux",)),
    "kernel": ((), ("burst",)),
    "measure": ((), ("box", "stretch")),
    "boxes": ((), ("box",)),
    "chains": ((), ("stretch",)),
    "settle": ((), ("box", "box_flux", "stretch")),
    "strength": ((), ("box_flux",)),
    "capacity": ((), ("box_flux",)),
    "order": (("coupled", "burst", "flux"), ("flux", "box_flux")),
}
"""Kinds of scheme that read a key, on lattices and of particles."""
_CHOICES = {
    "edge": (("dirichlet", "neumann"), ("open", "reflecting", "reservoir")),
    "lift": (("polynomial", "projection"), ("low_noise", "stochastic", "weighted")),
}
"""Values of a key, on lattices and of particles."""
_DEFAULTS = {
    key: field.get_default(call_default_factory=True) for key, field in Scheme.model_fields.items()
}


def read_keys(scheme: Scheme, of_particles: bool) -> set[str]:
    """Keys of `[scheme]` that have an effect."""
    unread = {key for key, readers in _ONLY_FOR.items() if scheme.kind not in readers[of_particles]}
    return set(Scheme.model_fields) - unread


def check_scheme(scheme: Scheme, particles: Particles | None) -> Iterator[Mistake]:
    """Every key has an effect, and a value that suits the micro-simulator."""
    of_particles = particles is not None
    for key, readers in _ONLY_FOR.items():
        kinds, others = readers[of_particles], readers[not of_particles]
        if scheme.kind in kinds or getattr(scheme, key) == _DEFAULTS[key]:
            continue
        told = f"kind = {scheme.kind!r}" if kinds else "particles" if of_particles else "lattices"
        cure = kinds or [
            f"{kind} of {'lattices' if of_particles else 'particles'}" for kind in others
        ]
        yield Mistake(
            f"scheme.{key}", f"this has no effect with {told}; it is for {' and '.join(cure)}."
        )
    for key, choices in _CHOICES.items():
        given, allowed = getattr(scheme, key), choices[of_particles]
        if given is not None and given not in allowed:
            told = "particles" if of_particles else "lattices"
            yield Mistake(
                f"scheme.{key}",
                f"found {given!r}; with {told} it must be {' or '.join(map(repr, allowed))}.",
            )


def check_sites(grid: Grid, scheme: Scheme) -> Iterator[Mistake]:
    """Patches have the sites that their coupling needs."""
    centred = scheme.kind == "coupled" and scheme.couple != "edgy"
    if grid.sites and centred and any(n % 2 == 0 for n in grid.sites):
        yield Mistake(
            "grid.sites",
            f"found {list(grid.sites)}; a patch needs a site at its centre, so the number must be "
            'odd, except with scheme.couple = "edgy".',
        )
    if len(scheme.phases) not in (1, len(grid.domain)):
        yield Mistake(
            "scheme.phases",
            f"found {len(scheme.phases)} entries, but the domain has {len(grid.domain)} axes.",
        )
    if scheme.couple == "staggered" and any(n % 2 for n in grid.patches):
        yield Mistake(
            "grid.patches",
            f"found {list(grid.patches)}; a staggered lattice of patches needs an even number.",
        )
    if scheme.kind == "coupled":
        for key in ("core", "buffer"):
            if getattr(grid, key) is not None:
                yield Mistake(
                    f"grid.{key}",
                    "this has no effect with scheme.kind = 'coupled'; it is for burst and flux.",
                )


def check_bursts(scheme: Scheme, burst: Burst | None, time: Time) -> Iterator[Mistake]:
    """Schemes that leap have bursts, and others have none."""
    bursting = ", ".join(name for name in OPTIONS if name not in _NO_BURST)
    if scheme.kind in HELD:
        if burst is not None:
            yield Mistake(
                "burst", f"this has no effect with kind = {scheme.kind!r}, which never leaps."
            )
        if time.projection != "none":
            yield Mistake(
                "time.projection",
                f"found {time.projection!r}; a {scheme.kind} is run without leaps.",
            )
    elif scheme.kind != "coupled":
        if burst is None:
            yield Mistake("burst", f"scheme.kind = {scheme.kind!r} needs this section: its length.")
        if time.projection in _NO_BURST:
            yield Mistake(
                "time.projection",
                f"found {time.projection!r}; scheme.kind = {scheme.kind!r} leaps with one of "
                f"{bursting}.",
            )
    elif burst is not None and time.projection in _NO_BURST:
        yield Mistake(
            "burst",
            f"this has no effect with time.projection = {time.projection!r} in a coupled scheme; "
            f"it is for {bursting}.",
        )


def check_burst(burst: Burst | None) -> Iterator[Mistake]:
    """The parts of a burst fit into it."""
    if burst is not None:
        yield from _countable("burst.dt", burst.dt, burst.length)
    if burst is not None and burst.heal is not None and burst.heal >= burst.length:
        yield Mistake(
            "burst.heal", f"found {burst.heal}; it must be shorter than the burst, {burst.length}."
        )
    if burst is not None and burst.dt is not None and burst.dt > burst.length:
        yield Mistake(
            "burst.dt", f"found {burst.dt}; it must not exceed the burst, {burst.length}."
        )


def _countable(path: str, step: float | None, span: float) -> Iterator[Mistake]:
    """Steps are long enough to advance the time."""
    if step is not None:
        try:
            count_steps(span, step)
        except SchemeError as error:
            yield Mistake(path, str(error))


def check_time(time: Time) -> Iterator[Mistake]:
    """Times rise, and the options of a projective method are its own."""
    for key in ("dt", "step"):
        yield from _countable(f"time.{key}", getattr(time, key), time.end - time.start)
    if time.end <= time.start:
        yield Mistake("time.end", f"found {time.end}; it must be after the start, {time.start}.")
    if isinstance(time.save, tuple):
        inside = all(time.start <= t <= time.end for t in time.save)
        if not inside or any(b <= a for a, b in zip(time.save, time.save[1:], strict=False)):
            yield Mistake("time.save", "the times must rise and lie between `start` and `end`.")
    read = () if time.projection == "none" else OPTIONS[time.projection]
    needed = "step" in read and time.projection not in ("adaptive", "implicit")
    if needed and time.step is None:
        yield Mistake(
            "time.step", f"projection = {time.projection!r} needs it: the time of a leap."
        )
    for key in ("step", "inner", "levels", "tol"):
        if getattr(time, key) is not None and key not in read:
            readers = ", ".join(name for name in OPTIONS if name != "none" and key in OPTIONS[name])
            yield Mistake(
                f"time.{key}",
                f"this has no effect with projection = {time.projection!r}; it is for {readers}.",
            )


def check_failures(scheme: Scheme, run: Run) -> Iterator[Mistake]:
    """Neighbours stand in for a failed patch only where patches are on their own in a burst."""
    if run.on_failure == "quarantine" and scheme.kind in ("coupled", *HELD):
        why = (
            "patches of the `coupled` scheme share their micro fields at every step, so a failure "
            "has already reached the neighbours"
            if scheme.kind == "coupled"
            else f"patches of the `{scheme.kind}` scheme are held at states of their own, so none "
            "can stand in for another"
        )
        yield Mistake("run.on_failure", f"{why}; use 'stop'.")
    if (
        run.on_failure == "stop"
        and run.max_quarantined != Run.model_fields["max_quarantined"].default
    ):
        yield Mistake(
            "run.max_quarantined", "this has no effect without on_failure = 'quarantine'."
        )


SCHEME_CHECKS = (check_failures, check_sites, check_scheme, check_burst, check_bursts, check_time)
