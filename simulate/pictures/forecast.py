"""The picture of a forecast: when the losses fall, and what lazy training reaches."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lazyrich.plotting import (
    BLACK,
    BLUE,
    GREY,
    SKY,
    VERMILLION,
    WIDTH,
    Picture,
    house_style,
    legend_above,
    letter,
)
from lazyrich.simulate.laws.lazy import lazy_loss, plateau

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw(found: Any) -> "Figure":
    """Return the figure of a ``Prediction``: (a) times of its data sets, (b) losses over P.

    (b) only of the target that there are laws of averages for.
    """
    with house_style():
        both = found.report["|beta|^2"] is not None
        size = (1.3 * WIDTH if both else 0.65 * WIDTH, 0.5 * WIDTH)
        figure = Picture(figsize=size, layout="constrained")
        left, *others = figure.subplots(1, 1 + both, squeeze=False)[0]
        _times(left, found)
        letter(left, "a", f"predicted: {found.phase}")
        for right in others:
            _lazy(right, found.report)
            letter(right, "b")
    return figure


def _times(ax: "Axes", found: Any) -> None:
    horizon = found.forecasts[0].horizon
    for row, (name, color) in enumerate((("test_fall", VERMILLION), ("train_fall", BLUE))):
        times = np.array([getattr(one, name) for one in found.forecasts])
        heights = row + 0.3 * (np.arange(len(times)) - (len(times) - 1) / 2) / max(len(times), 2)
        within = np.isfinite(times)
        ax.plot(times[within], heights[within], "o", color=color, ms=3)
        ends = np.full((~within).sum(), horizon)
        ax.plot(ends, heights[~within], ">", color=color, ms=5, mfc="none")
        middle = getattr(found, name)
        if math.isfinite(middle):
            ax.plot([middle] * 2, [row - 0.25, row + 0.25], color=color, lw=1.2)
    ax.set_yticks([0, 1], ["test loss\nfalls", "train loss\nfalls"])
    ax.set(xscale="log", ylim=(-0.6, 1.6), xlabel="gradient steps", xlim=(None, 1.5 * horizon))
    ax.axvline(horizon, color=GREY, lw=0.6, ls=":")
    ax.text(horizon, 1.55, "horizon ", ha="right", va="top", fontsize=5.5, color=GREY)


def _lazy(ax: "Axes", report: dict[str, Any]) -> None:
    D, P, b, epsilon = (report[name] for name in ("D", "P", "|beta|^2", "epsilon"))
    most = max(2 * P, D * (D + 3) // 2 * 2)
    grid = np.unique(np.geomspace(1, most, 120).round().astype(int))
    lazy = [lazy_loss(D, int(each), epsilon, b=b).total for each in grid]
    ax.plot(grid, lazy, color=BLACK, label="lazy training, at the end")
    early = [plateau(D, int(each), b=b).test for each in grid]
    finite = np.where(np.isfinite(early), early, np.nan)
    ax.plot(grid, finite, color=SKY, ls=(0, (5, 1, 1, 1)), label="early plateau")
    ax.axvline(P, color=GREY, lw=0.7, ls=":")
    place = ax.get_xaxis_transform()
    ax.text(P, 0.98, f" P = {P}", transform=place, va="top", fontsize=5.5, color=GREY)
    top = 3 * float(np.nanmax(lazy))
    ax.set(xscale="log", yscale="log", xlabel="samples P", ylabel="mean test loss")
    ax.set_ylim(top=top)
    legend_above(ax, 2)
