"""From a result to its figure: the choice of picture, and `plot.png` beside a run."""

import json
import os
from pathlib import Path

import xarray as xr
from matplotlib.figure import Figure

from gpupatch.errors import InputError
from gpupatch.plot.bifurcation import bifurcation_figure, steady_figure
from gpupatch.plot.geometry import axes_of, field_names
from gpupatch.plot.law import law_figure
from gpupatch.plot.lines import line_figure
from gpupatch.plot.maps import map_figure
from gpupatch.plot.modes import spectrum_figure
from gpupatch.plot.pareto import study_figure
from gpupatch.plot.replicas import mean_of_replicas
from gpupatch.plot.slow_variables import slow_variables_figure
from gpupatch.plot.style import styled

_RUN = "solution"


@styled
def plot_dataset(ds: xr.Dataset) -> Figure:
    """Draw a result in the way that suits its number of space dimensions.

    One: lines at several times and a space-time diagram. Two: maps at the first, middle and last
    time, and the error where the exact solution is known. Three: slices through the middle at the
    last time. Every field has its row, patches are marked, and the micro field is drawn inside
    them where the dataset has it. Several members are drawn side by side, at the last time;
    replicas are averaged, and bands show the standard errors.

    Args:
        ds: result of a run, as in `solution.nc`.

    Returns:
        The figure, not shown and not saved.

    Raises:
        InputError: when the dataset has no field over time and space.
    """
    field_names(ds)
    ds = mean_of_replicas(ds)
    return line_figure(ds) if len(axes_of(ds)) == 1 else map_figure(ds)


@styled
def plot_run(
    directory: str | os.PathLike[str], output: str | os.PathLike[str] | None = None
) -> Path:
    """Draw the result of a run, of a task or of a study into a picture.

    Args:
        directory: where it wrote `solution.nc`, or `steady.nc` and the like, and `report.json`.
        output: the picture; `plot.png` or `steady.png` and the like in the directory when absent.
            The suffix chooses the format (png, pdf, svg).

    Returns:
        The path of the picture.

    Raises:
        InputError: when the directory holds no readable result, or nothing to draw.
    """
    folder = Path(directory)
    name = next((one for one in _FIGURES if (folder / f"{one}.nc").exists()), _RUN)
    result, report = folder / f"{name}.nc", folder / "report.json"
    picture = "plot.png" if name == _RUN else f"{name}.png"
    path = folder / picture if output is None else Path(output)
    if path.is_dir():
        raise InputError(f"`{path}` is a directory. Give the name of a picture, such as plot.pdf.")
    if output is None and path.is_symlink():
        raise InputError(f"`{path}` is a link; the picture would end up elsewhere. Remove it.")
    for file in (result, report):
        if file.exists() and not file.is_file():
            raise InputError(f"`{file}` is no file. Give the directory of a gpupatch run.")
    try:
        ds = xr.open_dataset(result, decode_times=False)
    except FileNotFoundError as error:
        known = ", ".join(f"{one}.nc" for one in _FIGURES)
        raise InputError(
            f"there is no result in `{folder}`: none of {known}. Give the directory of a gpupatch "
            "run."
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot read the result in `{folder}` ({error}). While the run is going on, or on a "
            "disk without file locks, set HDF5_USE_FILE_LOCKING=FALSE in the environment."
        ) from error
    with ds:
        facts = _run_facts(report) if name == _RUN else {}
        try:
            figure = _FIGURES[name](ds.assign_attrs(facts))
        except (KeyError, AttributeError) as error:
            raise InputError(f"`{result}` is no result of gpupatch: it lacks {error}.") from error
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot write the picture `{path}` ({error}). Give a file ending in .png, .pdf or "
            ".svg in a directory that exists."
        ) from error
    return path


_FIGURES = {
    _RUN: plot_dataset,
    "steady": steady_figure,
    "eigenvalues": spectrum_figure,
    "branch": bifurcation_figure,
    "law": law_figure,
    "variables": slow_variables_figure,
    "study": study_figure,
}
"""What the results of runs, tasks and studies are drawn by, by the name of their file."""


def _run_facts(report: Path) -> dict[str, object]:
    """Take from the report what the line under the title tells; a killed run may have none."""
    if not report.exists():
        return {}
    try:
        facts = json.loads(report.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"`{report}` is not JSON ({error}). Remove it to plot the result without it."
        ) from error
    if not isinstance(facts, dict):
        raise InputError(f"`{report}` is no table. Remove it to plot the result without it.")
    return {name: facts[name] for name in ("backend", "wall_seconds") if facts.get(name)}
