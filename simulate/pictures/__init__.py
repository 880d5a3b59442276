"""Pictures of runs, sweeps, tasks and forecasts, and an animation of a training for a lecture."""

from lazyrich.simulate.pictures.animation import animate
from lazyrich.simulate.pictures.sweep import draw as plot_sweep

__all__ = ["animate", "plot_sweep"]
