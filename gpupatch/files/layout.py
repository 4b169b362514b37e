"""What a result is called and where it lies: the one source of the names in `solution.nc`.

`SolutionWriter` writes a `Layout` to disk and `layout_dataset` builds it in memory, so that the two
cannot differ:

=================  ========================================  ===============================
variable           dimensions                                meaning
=================  ========================================  ===============================
`u`                time, [member], x[, y[, z]]               coarse value U of every patch
`u_exact`          time, [member], x[, y[, z]]               exact solution, same functional
`u_error`          time, [member], x[, y[, z]]               standard error of U
`u_micro`          time, [member], x[, ...], site_x[, ...]   micro field inside every patch
`time x y z`       itself                                    model time, patch centres
`member`           itself                                    index; present if more than one
`nu`               [member]                                  a parameter that was swept
`x_site`           x, site_x                                 position of every site
=================  ========================================  ===============================
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from gpupatch.arrays import Macro, Micro
from gpupatch.errors import InputError

if TYPE_CHECKING:
    import xarray

_AXES = ("x", "y", "z")


@dataclass(frozen=True, eq=False)
class Variable:
    """One variable of a result.

    Attributes:
        name: its name.
        dims: its dimensions.
        attrs: its long name and units.
        values: its values; None if it gains a record at every saved time.
        coords: the coordinates, other than those of its dimensions, that belong to it.
    """

    name: str
    dims: tuple[str, ...]
    attrs: dict[str, str]
    values: np.ndarray | None = None
    coords: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Layout:
    """The names, dimensions and coordinates of everything that one run reports.

    Attributes:
        fields: name of each field, in the order of the field axis.
        centres: patch centres, one increasing array per axis (x, y, z).
        offsets: site positions relative to the patch centre, one array per axis; needed for
            `with_micro` only.
        members: number of members; more than one gives every field a `member` dimension.
        member_coords: swept parameters, name -> one value per member.
        units: units of fields, parameters, axes and `time` by name; "1" for those not named.
        attrs: facts about the run: text, numbers or lists of either. As NetCDF does not tell a
            list of one from a number, such a list is stored as the number.
        with_micro: whether the micro field of every patch is kept.
        with_exact: whether an exact solution is kept.
        with_uncertainty: whether standard errors are kept.

    Raises:
        InputError: when the parts contradict each other.
    """

    fields: tuple[str, ...]
    centres: tuple[np.ndarray, ...]
    offsets: tuple[np.ndarray, ...] = ()
    members: int = 1
    member_coords: Mapping[str, Any] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    attrs: Mapping[str, Any] = field(default_factory=dict)
    with_micro: bool = False
    with_exact: bool = False
    with_uncertainty: bool = False

    def __post_init__(self):
        if not self.fields or not 1 <= len(self.centres) <= 3 or self.members < 1:
            raise InputError(
                "a result needs at least one field, one to three axes and one member, but there "
                f"are {len(self.fields)} fields, {len(self.centres)} axes, {self.members} members."
            )
        if self.with_micro and len(self.offsets) != len(self.centres):
            raise InputError(
                f"keeping micro fields needs site offsets for all {len(self.centres)} axes, but "
                f"there are {len(self.offsets)}. Give one array per axis."
            )
        for name, values in self.member_coords.items():
            if np.shape(values) != (self.members,):
                raise InputError(
                    f"the swept parameter `{name}` has values of shape {np.shape(values)} for "
                    f"{self.members} members. Give one value per member."
                )
        self.attributes()
        names = [variable.name for variable in self.variables()]
        names += set(self.sizes()).difference(names)
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(
                f"`{twice[0]}` would name two things in the result; `time`, `member`, `x`, `y`, "
                "`z`, `x_site`, `site_x` and the like are taken. Rename the field or parameter."
            )

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the patch axes: x, then y, then z."""
        return _AXES[: len(self.centres)]

    @property
    def macro_shape(self) -> tuple[int, ...]:
        """Shape of one record of coarse values, [member, field, *patch axes]."""
        return (self.members, len(self.fields), *(len(centre) for centre in self.centres))

    @property
    def micro_shape(self) -> tuple[int, ...]:
        """Shape of one record of micro fields, [member x patch axes, field, *sites]."""
        patches = self.members * math.prod(len(centre) for centre in self.centres)
        return (patches, len(self.fields), *(len(offset) for offset in self.offsets))

    def variables(self) -> list[Variable]:
        """List all variables: the coordinates, then what is recorded at every saved time."""
        return self._coordinates() + self._recorded()

    def _unit(self, name: str) -> dict[str, str]:
        return {"units": self.units.get(name, "1")}

    def _coordinates(self) -> list[Variable]:
        listed = [Variable("time", ("time",), {"long_name": "model time"} | self._unit("time"))]
        member = ("member",) if self.members > 1 else ()
        if member:
            listed.append(Variable("member", member, {"units": "1"}, np.arange(self.members)))
        for name, values in self.member_coords.items():
            swept = np.reshape(np.asarray(values, float), (self.members,) if member else ())
            listed.append(Variable(name, member, self._unit(name), swept))
        for axis, centres in zip(self.axes, self.centres, strict=True):
            attrs = {"long_name": f"patch centre along {axis}"} | self._unit(axis)
            listed.append(Variable(axis, (axis,), attrs, np.asarray(centres, float)))
        if self.with_micro:
            for axis, centres, offsets in zip(self.axes, self.centres, self.offsets, strict=True):
                attrs = {"long_name": f"site along {axis}"} | self._unit(axis)
                positions = np.add.outer(np.asarray(centres, float), np.asarray(offsets, float))
                dims = (axis, f"site_{axis}")
                listed.append(Variable(f"{axis}_site", dims, attrs, positions))
        return listed

    def _recorded(self) -> list[Variable]:
        coarse = ("time", *(("member",) if self.members > 1 else ()), *self.axes)
        inside = (*coarse, *(f"site_{axis}" for axis in self.axes))
        parameters = tuple(self.member_coords)
        sites = tuple(f"{axis}_site" for axis in self.axes)
        listed = []
        for name in self.fields:
            attrs = {"long_name": name} | self._unit(name)
            listed.append(Variable(name, coarse, attrs, coords=parameters))
            if self.with_exact:
                attrs = {"long_name": f"exact {name}"} | self._unit(name)
                listed.append(Variable(f"{name}_exact", coarse, attrs, coords=parameters))
            if self.with_uncertainty:
                attrs = {"long_name": f"standard error of {name}"} | self._unit(name)
                listed.append(Variable(f"{name}_error", coarse, attrs, coords=parameters))
            if self.with_micro:
                attrs = {"long_name": f"{name} inside the patches"} | self._unit(name)
                listed.append(Variable(f"{name}_micro", inside, attrs, coords=parameters + sites))
        return listed

    def sizes(self) -> dict[str, int]:
        """Length of every dimension but `time`."""
        return {
            dim: size
            for variable in self._coordinates()
            if variable.values is not None
            for dim, size in zip(variable.dims, variable.values.shape, strict=True)
        }

    def attributes(self) -> dict[str, Any]:
        """`attrs` in the forms that NetCDF gives back unchanged."""
        kept: dict[str, Any] = {}
        for name, value in self.attrs.items():
            items = list(value) if isinstance(value, list | tuple | np.ndarray) else [value]
            plain = [item.item() if isinstance(item, np.generic) else item for item in items]
            plain = [int(item) if isinstance(item, bool) else item for item in plain]
            numbers = all(isinstance(item, int | float) for item in plain)
            if not plain or not (numbers or all(isinstance(item, str) for item in plain)):
                raise InputError(
                    f"the attribute `{name}` of the result is {value!r}, but NetCDF keeps text, "
                    "numbers and lists of one of these only. Give one of them or leave it out."
                )
            if len(plain) == 1:
                kept[name] = plain[0]
            else:
                kept[name] = np.array(plain) if numbers else plain
        return kept

    def records(
        self,
        coarse: Macro,
        micro: Micro | None = None,
        exact: Macro | None = None,
        uncertainty: Macro | None = None,
    ) -> dict[str, np.ndarray]:
        """Split the arrays of one saved time into the variables that hold them.

        Args:
            coarse: coarse values, [member, field, *patch axes].
            micro: micro fields, [patch, field, *sites]; exactly when `with_micro`.
            exact: exact solution, same shape as `coarse`; exactly when `with_exact`.
            uncertainty: standard errors, same shape; exactly when `with_uncertainty`.

        Returns:
            Name -> values, without the time axis.

        Raises:
            InputError: when an array has not the shape that the layout asks for.
        """
        wanted = {
            "coarse": self.macro_shape,
            "micro": self.micro_shape if self.with_micro else None,
            "exact": self.macro_shape if self.with_exact else None,
            "uncertainty": self.macro_shape if self.with_uncertainty else None,
        }
        given = {"coarse": coarse, "micro": micro, "exact": exact, "uncertainty": uncertainty}
        for name, values in given.items():
            found = None if values is None else np.shape(values)
            if found != wanted[name]:
                raise InputError(
                    f"the {name} values to save have shape {found}, but the layout asks for "
                    f"{wanted[name]}. Pass arrays of the layout's shapes, and None for what it "
                    "does not keep."
                )
        lead = (self.members,) if self.members > 1 else ()
        patches = (*lead, *self.macro_shape[2:])
        records: dict[str, np.ndarray] = {}
        for index, name in enumerate(self.fields):
            records[name] = np.reshape(coarse[:, index], patches)
            if exact is not None:
                records[f"{name}_exact"] = np.reshape(exact[:, index], patches)
            if uncertainty is not None:
                records[f"{name}_error"] = np.reshape(uncertainty[:, index], patches)
            if micro is not None:
                shape = (*patches, *self.micro_shape[2:])
                records[f"{name}_micro"] = np.reshape(micro[:, index], shape)
        return records

    def arrays(
        self, records: Mapping[str, np.ndarray]
    ) -> tuple[Macro, Micro | None, Macro | None, Macro | None]:
        """Put the variables of one saved time together again: the inverse of `records`.

        Args:
            records: name -> values, without the time axis.

        Returns:
            Coarse values, and micro fields, exact solution and standard errors or None.
        """

        def joined(ending: str, shape: tuple[int, ...]) -> np.ndarray:
            one = (shape[0], *shape[2:])
            return np.stack([np.reshape(records[f + ending], one) for f in self.fields], axis=1)

        return (
            joined("", self.macro_shape),
            joined("_micro", self.micro_shape) if self.with_micro else None,
            joined("_exact", self.macro_shape) if self.with_exact else None,
            joined("_error", self.macro_shape) if self.with_uncertainty else None,
        )


def layout_dataset(
    layout: Layout,
    times: Sequence[float],
    coarse: Sequence[Macro],
    micro: Sequence[Micro] | None = None,
    exact: Sequence[Macro] | None = None,
    uncertainty: Sequence[Macro] | None = None,
) -> "xarray.Dataset":
    """Build in memory the dataset that `SolutionWriter` would leave on disk.

    Args:
        layout: names, dimensions and coordinates.
        times: model times of the records.
        coarse: one [member, field, *patch axes] array per time.
        micro: one [patch, field, *sites] array per time, with `layout.with_micro`.
        exact: one array of the coarse shape per time, with `layout.with_exact`.
        uncertainty: likewise, with `layout.with_uncertainty`.

    Returns:
        The dataset, identical to `xarray.open_dataset` of the written file.

    Raises:
        InputError: when an array has not the shape that the layout asks for.
    """
    import xarray

    absent: list[None] = [None] * len(times)
    records = [
        layout.records(*arrays)
        for arrays in zip(
            coarse, micro or absent, exact or absent, uncertainty or absent, strict=True
        )
    ]
    sizes = layout.sizes()
    data: dict[str, Any] = {}
    coords: dict[str, Any] = {}
    for variable in layout.variables():
        if variable.name == "time":
            coords["time"] = (variable.dims, np.asarray(times, float), variable.attrs)
        elif variable.values is not None:
            coords[variable.name] = (variable.dims, variable.values, variable.attrs)
        else:
            shape = (len(times), *(sizes[dim] for dim in variable.dims[1:]))
            stacked = np.array([record[variable.name] for record in records], float)
            data[variable.name] = (variable.dims, stacked.reshape(shape), variable.attrs)
    return xarray.Dataset(data, coords, layout.attributes())
