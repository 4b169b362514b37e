"""Pictures of results: lines and space-time diagrams, maps, slices, orders of convergence.

Every function returns a `matplotlib.figure.Figure` that belongs to nobody: pyplot is not imported,
no window is opened, no global setting is changed.
"""

from gpupatch.plot.convergence import convergence_plot
from gpupatch.plot.figures import plot_dataset, plot_run
from gpupatch.plot.lines import space_time
from gpupatch.plot.particles import Profile, particle_figure

__all__ = [
    "Profile",
    "convergence_plot",
    "particle_figure",
    "plot_dataset",
    "plot_run",
    "space_time",
]
