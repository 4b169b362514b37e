"""Pictures of results: lines and space-time diagrams, maps, slices, orders of convergence.

Every function returns a `matplotlib.figure.Figure` that belongs to nobody: pyplot is not imported,
no window is opened, no global setting is changed.
"""

from gpupatch.plot.convergence import convergence_plot
from gpupatch.plot.figures import plot_dataset, plot_run
from gpupatch.plot.lines import space_time

__all__ = ["convergence_plot", "plot_dataset", "plot_run", "space_time"]
