"""What a scheme has to know, besides its state, to go on where another process stopped."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

from gpupatch.arrays import Plain
from gpupatch.errors import InputError
from gpupatch.particles.state import ParticleState


class Remembering:
    """Tells and takes back its counters, the numbers of its random streams and what it measured.

    A class lists the attributes that belong to its memory; those of its base classes are told as
    well. Attributes that are no plain numbers, text, arrays, lists or mappings need an override of
    both methods.
    """

    remembered: ClassVar[tuple[str, ...]] = ()

    def memory(self) -> dict[str, Plain]:
        """A copy of what this object remembers, in plain numbers and host arrays."""
        return {name: copy.deepcopy(getattr(self, name)) for name in self._remembered()}

    def remember(self, memory: Mapping[str, Plain]) -> None:
        """Take back what `memory` told, in this process or in another one.

        Args:
            memory: as `memory` gave it.

        Raises:
            InputError: if something is missing, because another version told it.
        """
        for name in self._remembered():
            if name not in memory:
                raise InputError(
                    f"the checkpoint says nothing about `{name.lstrip('_')}`, so another version "
                    "of gpupatch wrote it. Resume with that version, or begin anew."
                )
            setattr(self, name, copy.deepcopy(memory[name]))

    def _remembered(self) -> list[str]:
        """Names of all classes, those of base classes first."""
        classes = reversed(type(self).__mro__)
        return [name for one in classes for name in vars(one).get("remembered", ())]


def particle_arrays(state: ParticleState) -> dict[str, Any]:
    """The arrays of a state of particles by name, copied.

    Args:
        state: particles; ``ParticleState(**arrays)`` makes them again.
    """
    return {one.name: getattr(state, one.name).copy() for one in dataclasses.fields(state)}
