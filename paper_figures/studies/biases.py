"""Early and late implicit biases: what several figures of Lyu et al. read off their runs."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from xarray import DataArray, Dataset


def share(runs: Dataset, norm: str) -> DataArray:
    """Return the margin in this norm ("l1", "l2") as a share of the largest possible one."""
    return runs[f"{norm}_margin"] / runs[f"best_{norm}_margin"]


def at(runs: Dataset, time: float) -> Dataset:
    """Return the record nearest to this time, each run having the same times."""
    nearest = int(np.argmin(np.abs(runs.time.isel(seed=0).values - time)))
    return runs.isel(step=nearest)


def slopes(event: DataArray) -> DataArray:
    """Return the slope of the event against log(alpha), by least squares, of every run's series."""
    found = event.assign_coords(alpha=np.log(event.alpha.values)).polyfit("alpha", 1)
    return found.polyfit_coefficients.sel(degree=1)


def alpha_axis(ax: Axes, alphas: Sequence[float]) -> None:
    """Make the x axis one of the initial scale, with these ticks; add a legend."""
    ax.set(xscale="log", xlabel="initial scale α")
    ax.set_xticks(alphas, [f"{alpha:g}" for alpha in alphas])
    ax.set_xticks([], minor=True)
    ax.legend(loc="upper left")
