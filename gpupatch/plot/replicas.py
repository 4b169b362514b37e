"""Replicas of a run: their mean, and how sure it is."""

import numpy as np
import xarray as xr


def mean_of_replicas(ds: xr.Dataset) -> xr.Dataset:
    """Average a result over its replicas, the repetitions of every member.

    Args:
        ds: result of a run; if it has replicas, the coordinate `replica` tells them apart.

    Returns:
        The same if there are none. Otherwise their mean, without micro fields, and with the
        standard error of the mean as `<field>_error`; swept members remain.
    """
    if "replica" not in ds.coords or "member" not in ds.dims:
        return ds
    count = int(ds["replica"].max()) + 1
    first = np.arange(0, ds.sizes["member"], count)
    kept = ds.isel(member=first).drop_vars("replica")
    averaged = {}
    for name, values in kept.data_vars.items():
        if "member" not in values.dims or str(name).endswith(("_micro", "_error")):
            continue
        runs = ds[name].transpose("member", ...).values
        runs = runs.reshape(len(first), count, *runs.shape[1:])
        dims = ("member", *(dim for dim in ds[name].dims if dim != "member"))
        averaged[name] = (dims, runs.mean(axis=1), values.attrs)
        if not str(name).endswith("_exact"):
            error = runs.std(axis=1, ddof=1) / np.sqrt(count)
            averaged[f"{name}_error"] = (dims, error, {"units": values.attrs.get("units", "1")})
    mean = xr.Dataset(averaged, kept.coords, kept.attrs).transpose("time", "member", ...)
    return mean if len(first) > 1 else mean.isel(member=0, drop=True)
