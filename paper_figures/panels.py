"""Panels that figures share: learning curves of one run or of a sweep, the terms of a test loss."""

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from xarray import Dataset

from lazyrich.plotting import LOOKS, VERMILLION, look, shades
from lazyrich.simulate.outcome import THRESHOLD

TERMS = ("variance", "misalignment", "linear")


def learning_curves(
    ax: Axes,
    history: Dataset,
    seed: int = 0,
    *,
    test: str = "population_loss",
    threshold: float = THRESHOLD,
) -> None:
    """Draw train and test loss of one seed, the test loss of the others thin, and the threshold.

    ``history`` is over (seed, step); ``test`` names the loss taken as the test loss.
    """
    later = history.sel(step=slice(1, None))
    for run in later[test].drop_sel(seed=seed):
        ax.plot(later.step, run, color=VERMILLION, linewidth=0.4, alpha=0.45)
    if later.sizes["seed"] > 1:
        name = "test loss, other seeds"
        ax.plot([], [], color=VERMILLION, linewidth=0.4, alpha=0.7, label=name)
    ax.plot(later.step, later.train_loss.sel(seed=seed), **LOOKS["train_loss"])
    ax.plot(later.step, later[test].sel(seed=seed), **LOOKS["population_loss"])
    ax.axhline(threshold, color="black", linewidth=0.4, linestyle=":")
    ax.set(yscale="log", ylabel="loss")


def loss_terms(ax: Axes, history: Dataset) -> None:
    """Draw the terms of the test loss of one run, and what 1,000 samples make of the loss."""
    later = history.sel(step=slice(1, None))
    ax.plot(later.step, later.population_loss, **look("population_loss", linewidth=0.9))
    measured = later.test_loss[::8]
    ax.plot(measured.step, measured, "o", color=VERMILLION, markersize=2, label="on 1,000 samples")
    for name in TERMS:
        ax.plot(later.step, later[name], **LOOKS[name])
    ax.set(ylim=(0, 1.35 * float(later.population_loss.max())), ylabel="loss")


def swept_curves(ax: Axes, runs: Dataset, parameter: str, *, seed: int = 0) -> None:
    """Draw train (dashed) and test loss for each value of a parameter, from dark to light."""
    later = runs.sel(seed=seed, step=slice(1, None))
    values = later[parameter].values
    for value, color in zip(values, shades(len(values)), strict=True):
        run = later.sel({parameter: value})
        for name in ("train_loss", "population_loss"):
            dashes = LOOKS[name]["linestyle"]
            ax.plot(run.step, run[name], color=color, linestyle=dashes, linewidth=0.9)
    ax.axhline(THRESHOLD, color="black", linewidth=0.4, linestyle=":")
    ax.set(yscale="log", ylim=(1e-4, 2), ylabel="loss")


def dashes(train: str = "train loss", test: str = "test loss") -> list[Line2D]:
    """Return the legend's lines for train and test where the colours are a parameter's."""
    pairs = ((train, LOOKS["train_loss"]), (test, LOOKS["population_loss"]))
    return [
        Line2D([], [], color="black", linestyle=line["linestyle"], label=label)
        for label, line in pairs
    ]
