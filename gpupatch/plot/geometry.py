"""Where things lie in a picture: fields and axes of a dataset, cells, patches, sites."""

import numpy as np
import xarray as xr

from gpupatch.errors import InputError

_SUFFIXES = ("_micro", "_exact", "_error")


def field_names(ds: xr.Dataset) -> list[str]:
    """Names of the coarse fields.

    Raises:
        InputError: when the dataset holds no field over time and space, or no saved time.
    """
    names = [
        str(name)
        for name, values in ds.data_vars.items()
        if {"time", "x"} <= set(values.dims) and not str(name).endswith(_SUFFIXES)
    ]
    if not names or not ds.sizes["time"]:
        raise InputError(
            "there is nothing to plot: the dataset needs a field over `time` and `x` with at least "
            f"one saved time, but has the variables {sorted(map(str, ds.data_vars))} and "
            f"{ds.sizes.get('time', 0)} times. Give the result of a run that saved something."
        )
    return names


def axes_of(ds: xr.Dataset) -> list[str]:
    """Names of the patch axes, in the order x, y, z."""
    return [axis for axis in ("x", "y", "z") if axis in ds.dims]


def choose(count: int, most: int) -> list[int]:
    """Pick at most `most` indices of `count`, evenly, the first and the last among them."""
    return sorted({round(index) for index in np.linspace(0, count - 1, min(count, most))})


def cell_edges(centres: np.ndarray) -> np.ndarray:
    """Edges of the cells around increasing points: midway, and as far outside as inside."""
    if centres.size == 1:
        return centres[0] + np.array([-0.5, 0.5])
    middle = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]])


def space_edges(ds: xr.Dataset, axis: str) -> np.ndarray:
    """Edges of the cells around the patch centres, within the attribute `domain` if there is one.

    `domain` lists the low and the high end of every axis, one after the other.
    """
    edges = cell_edges(ds[axis].values)
    if "domain" not in ds.attrs:
        return edges
    low, high = np.reshape(ds.attrs["domain"], (-1, 2))[axes_of(ds).index(axis)]
    return np.concatenate([[low], np.clip(edges[1:-1], low, high), [high]])


def time_edges(times: np.ndarray) -> np.ndarray:
    """Edges of the strips around saved times; the first and last end at their own time."""
    edges = cell_edges(times)
    return edges if times.size == 1 else np.clip(edges, times[0], times[-1])


def half_widths(ds: xr.Dataset) -> dict[str, float] | None:
    """Half the width of a patch along every axis; None if the dataset does not tell."""
    axes = axes_of(ds)
    if "half_width" in ds.attrs:
        widths = np.broadcast_to(np.atleast_1d(ds.attrs["half_width"]), len(axes))
        return {axis: float(width) for axis, width in zip(axes, widths, strict=True)}
    if all(f"{axis}_site" in ds.coords for axis in axes):
        return {axis: float(np.ptp(ds[f"{axis}_site"].values[0])) / 2 for axis in axes}
    return None


def patch_boxes(ds: xr.Dataset, axes: list[str]) -> np.ndarray | None:
    """Corners of every patch in the plane (or on the line) of some axes.

    The patches of the schemes `flux` and `box_flux` lie on the faces of the cells, all others at
    the centres.

    Args:
        ds: result of a run.
        axes: one axis or two.

    Returns:
        [patch, axis, 2], the low and the high end; None if the dataset does not tell.
    """
    widths = half_widths(ds)
    if widths is None:
        return None
    centres = {axis: ds[axis].values for axis in axes}
    grids = [[centres[axis] for axis in axes]]
    if ds.attrs.get("scheme") in ("flux", "box_flux"):
        grids = [
            [cell_edges(centres[axis]) if axis == normal else centres[axis] for axis in axes]
            for normal in axes
        ]
    points = np.concatenate(
        [np.stack(np.meshgrid(*grid, indexing="ij"), -1).reshape(-1, len(axes)) for grid in grids]
    )
    reach = np.array([widths[axis] for axis in axes])
    return np.stack([points - reach, points + reach], axis=-1)


def lattice_edges(sites: np.ndarray) -> np.ndarray:
    """Edges along one axis of the cells of all sites, with one cell between two patches.

    Args:
        sites: positions, [patch, site].

    Returns:
        patches * (sites + 1) edges. Edge sites get half a cell, so that a patch is as wide as it
        is; where patches overlap, each is cut midway to the next.
    """
    inner = (sites[:, 1:] + sites[:, :-1]) / 2
    edges = np.concatenate([sites[:, :1], inner, sites[:, -1:]], axis=1)
    if len(sites) > 1:
        bounds = cell_edges(sites.mean(axis=1))
        edges = np.clip(edges, bounds[:-1, None], bounds[1:, None])
    return edges.ravel()


def on_lattice(values: np.ndarray, n_axes: int) -> np.ndarray:
    """Lay patch values out on the cells of `lattice_edges`, NaN between the patches.

    Args:
        values: [..., *patch axes, *site axes].
        n_axes: number of patch axes, equal to that of site axes.

    Returns:
        [..., *cells along each axis].
    """
    lead = values.ndim - 2 * n_axes
    padded = np.pad(
        values,
        [(0, 0)] * (lead + n_axes) + [(0, 1)] * n_axes,
        constant_values=np.nan,
    )
    order = [*range(lead)]
    for axis in range(n_axes):
        order += [lead + axis, lead + n_axes + axis]
    sizes = [
        padded.shape[lead + axis] * padded.shape[lead + n_axes + axis] for axis in range(n_axes)
    ]
    laid = padded.transpose(order).reshape(*padded.shape[:lead], *sizes)
    return laid[(..., *[slice(None, -1)] * n_axes)]
