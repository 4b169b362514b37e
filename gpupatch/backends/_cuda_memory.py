"""How much device memory a batch needs, computed from its layout, and how it is cut to fit."""

from __future__ import annotations

from dataclasses import dataclass

from gpupatch.errors import BackendError

_SHARE = 0.85
"""Part of the free device memory that is used; the rest is left to other libraries."""


@dataclass(frozen=True)
class MemoryPlan:
    """Device memory for one batch of patches.

    Attributes:
        per_patch: bytes of one patch, by what they hold.
        shared: bytes that do not grow with the number of patches.
        n_patches: patches in the batch.
        available: free bytes on the device.
    """

    per_patch: dict[str, int]
    shared: int
    n_patches: int
    available: int

    @property
    def bytes_per_patch(self) -> int:
        """Bytes of one patch."""
        return sum(self.per_patch.values())

    @property
    def chunk(self) -> int:
        """Patches that fit at the same time.

        Raises:
            BackendError: if not even one does.
        """
        room = int(_SHARE * self.available) - self.shared
        fitting = room // max(self.bytes_per_patch, 1)
        if fitting < 1:
            raise BackendError(
                f"one patch needs {_size(self.bytes_per_patch + self.shared)} of device memory, "
                f"but {_size(self.available)} are free. Use fewer sites or a larger device."
            )
        return min(fitting, self.n_patches)

    def check_all_fit(self) -> None:
        """Refuse a batch that must be on the device as a whole but does not fit.

        Raises:
            BackendError: with the need, what is there, and what to do.
        """
        if self.chunk < self.n_patches:
            raise BackendError(
                f"{self.n_patches} coupled patches need {_size(self.total)} of device memory "
                f"({self.parts}), but {_size(self.available)} are free: {self.chunk} patches would "
                "fit. Use fewer patches or members, `dtype = 'float32'`, or a larger device."
            )

    @property
    def total(self) -> int:
        """Bytes of the whole batch."""
        return self.shared + self.n_patches * self.bytes_per_patch

    @property
    def parts(self) -> str:
        """Bytes per patch in words."""
        return " + ".join(f"{size} B {name}" for name, size in self.per_patch.items() if size)

    def __str__(self) -> str:
        cut = -(-self.n_patches // self.chunk)
        text = f"{self.bytes_per_patch} B per patch ({self.parts}), {_size(self.total)} in all"
        pieces = f", in {cut} pieces of {self.chunk} patches" if cut > 1 else ""
        return f"{text}, {_size(self.available)} free{pieces}"


def _size(count: int) -> str:
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.3g} {unit}"
